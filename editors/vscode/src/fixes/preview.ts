// Texts as they would be with a fix applied, for VS Code's own diff editor.

import * as vscode from "vscode";

import type { ActionData } from "../protocol";
import { patched } from "./patch";

export const SCHEME = "greenlit-fix";

/** Texts kept for tabs that may be looked at again. */
const KEPT = 50;

export class Previews implements vscode.TextDocumentContentProvider {
  private readonly texts = new Map<string, string>();
  private readonly fixes = new Map<string, { data: ActionData; title: string }>();

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.texts.get(uri.toString()) ?? "";
  }

  /** The fix that a preview shows. */
  fixOf(uri: vscode.Uri | undefined): { data: ActionData; title: string } | undefined {
    return uri && this.fixes.get(uri.toString());
  }

  /** Opens the diff of one file, or of several in one editor. */
  async open(edit: vscode.WorkspaceEdit, data: ActionData, title: string): Promise<void> {
    const files: [vscode.Uri, vscode.Uri][] = [];
    for (const [uri, edits] of edit.entries()) {
      const document = await vscode.workspace.openTextDocument(uri);
      const changes = edits.map((change) => ({
        start: document.offsetAt(change.range.start),
        end: document.offsetAt(change.range.end),
        text: change.newText,
      }));
      const preview = uri.with({ scheme: SCHEME, query: `${data.fix}/${document.version}` });
      this.keep(preview, patched(document.getText(), changes), { data, title });
      files.push([uri, preview]);
    }
    const [first] = files;
    if (files.length === 1 && first) {
      await vscode.commands.executeCommand("vscode.diff", ...first, title);
    } else if (first) {
      const triples = files.map(([before, after]) => [before, before, after]);
      await vscode.commands.executeCommand("vscode.changes", title, triples);
    }
  }

  private keep(uri: vscode.Uri, text: string, fix: { data: ActionData; title: string }): void {
    const key = uri.toString();
    this.texts.delete(key);
    this.texts.set(key, text);
    this.fixes.set(key, fix);
    const [oldest] = this.texts.keys();
    if (this.texts.size > KEPT && oldest !== undefined) {
      this.texts.delete(oldest);
      this.fixes.delete(oldest);
    }
  }
}
