// What the suites share. They run in the real extension host.

import assert from "node:assert/strict";
import { appendFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import * as vscode from "vscode";

import type { Api } from "../../src/extension";

/** For one step. A busy machine takes its time; nothing here is about how long. */
const PATIENCE_MS = 240_000;
export const scratch = process.env.SCRATCH ?? ".";

let last: string | undefined;

/** A driver that gives up says from here how far it came. */
function progress(what: string): void {
  if (what === last) return;
  last = what;
  appendFileSync(path.join(scratch, "progress"), `${new Date().toISOString()} ${what}\n`);
}

export async function until<T>(
  what: string,
  ready: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  progress(what);
  const end = Date.now() + PATIENCE_MS;
  while (Date.now() < end) {
    const found = await ready();
    if (found !== undefined && found !== false) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`waited for ${what}`);
}

/** A command may wait for a person who is not there: then the test says for which. */
export async function execute<T>(command: string, ...args: unknown[]): Promise<T> {
  progress(`command ${command}`);
  return Promise.race([
    vscode.commands.executeCommand<T>(command, ...args),
    new Promise<never>((_, reject) =>
      setTimeout(() => reject(new Error(`waited for the command ${command}`)), PATIENCE_MS),
    ),
  ]);
}

export async function activate(): Promise<Api> {
  const extension = vscode.extensions.getExtension<Api>("greenlit.greenlit");
  assert.ok(extension);
  return extension.activate();
}

/** Our diagnostics of a document. */
export function own(uri: vscode.Uri): vscode.Diagnostic[] {
  return vscode.languages.getDiagnostics(uri).filter(({ source }) => source === "greenlit");
}

/** Our entries of the quick-fix menu at a line. */
export async function menu(
  document: vscode.TextDocument,
  line: number,
): Promise<vscode.CodeAction[]> {
  const { range } = document.lineAt(line);
  const kind = vscode.CodeActionKind.QuickFix.value;
  const actions = await execute<vscode.CodeAction[]>(
    "vscode.executeCodeActionProvider",
    document.uri,
    range,
    kind,
    5,
  );
  return actions.filter((action) => /verified/.test(action.title));
}

/** The line of our first diagnostic, once there is one. */
export async function red(document: vscode.TextDocument): Promise<number> {
  const found = await until(`a diagnostic in ${document.fileName}`, () => own(document.uri)[0]);
  return found.range.start.line;
}

/**
 * The edit of the fix at a line that brings this text: another one that is green too may be verified, and
 * so be shown, before it.
 */
export function fixAt(
  document: vscode.TextDocument,
  line: number,
  wanted = ">= 18",
): Promise<vscode.WorkspaceEdit> {
  return until(`the fix with ${wanted} in ${document.fileName}`, async () => {
    for (const { title, edit } of await menu(document, line)) {
      if (title.startsWith("Fix ") && edit && (await brings(edit, wanted))) return edit;
    }
    return undefined;
  });
}

async function brings(edit: vscode.WorkspaceEdit, wanted: string): Promise<boolean> {
  for (const [uri, edits] of edit.entries()) {
    const document = await vscode.workspace.openTextDocument(uri);
    const before = document.getText();
    const after = [...edits]
      .sort((a, b) => b.range.start.compareTo(a.range.start))
      .reduce((text, { range, newText }) => {
        const [start, end] = [document.offsetAt(range.start), document.offsetAt(range.end)];
        return text.slice(0, start) + newText + text.slice(end);
      }, before);
    if (after.includes(wanted) && !before.includes(wanted)) return true;
  }
  return false;
}

export async function replace(document: vscode.TextDocument, text: string): Promise<void> {
  const edit = new vscode.WorkspaceEdit();
  edit.replace(document.uri, new vscode.Range(0, 0, document.lineCount, 0), text);
  assert.ok(await vscode.workspace.applyEdit(edit));
}

/** Runs a suite and leaves its verdict for the driver. */
export async function verdict(suite: () => Promise<void>): Promise<void> {
  const file = path.join(scratch, "verdict");
  try {
    await suite();
    writeFileSync(file, "passed");
  } catch (error) {
    writeFileSync(file, `failed: ${error instanceof Error ? error.stack : String(error)}`);
    throw error;
  }
}
