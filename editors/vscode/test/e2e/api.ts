// Runs in the real extension host, on the project of tests/src/projects.rs: `is_adult` is wrong.

import assert from "node:assert/strict";
import { appendFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import * as vscode from "vscode";

import type { Api } from "../../src/extension";

const PATIENCE_MS = 90_000;
const scratch = process.env.SCRATCH ?? ".";
const RED = "test_people.py::test_adult_on_the_birthday";

async function until<T>(what: string, ready: () => T | undefined | Promise<T | undefined>): Promise<T> {
  // A driver that gives up says from here how far it came.
  appendFileSync(path.join(scratch, "progress"), `${new Date().toISOString()} ${what}\n`);
  const end = Date.now() + PATIENCE_MS;
  while (Date.now() < end) {
    const found = await ready();
    if (found !== undefined && found !== false) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`waited for ${what}`);
}

async function menu(document: vscode.TextDocument, line: number): Promise<vscode.CodeAction[]> {
  const { range } = document.lineAt(line);
  const kind = vscode.CodeActionKind.QuickFix.value;
  const actions = await vscode.commands.executeCommand<vscode.CodeAction[]>(
    "vscode.executeCodeActionProvider",
    document.uri,
    range,
    kind,
    5,
  );
  return actions.filter((action) => /verified/.test(action.title));
}

async function journey(): Promise<void> {
  const [folder] = vscode.workspace.workspaceFolders ?? [];
  assert.ok(folder);
  const file = (name: string) => vscode.Uri.joinPath(folder.uri, name);
  const document = await vscode.workspace.openTextDocument(file("test_people.py"));
  await vscode.window.showTextDocument(document);
  const extension = vscode.extensions.getExtension<Api>("greenlit.greenlit");
  assert.ok(extension);
  const api = await extension.activate();

  const own = () =>
    vscode.languages.getDiagnostics(document.uri).filter(({ source }) => source === "greenlit");
  const diagnostic = await until("the diagnostic", () => own()[0]);
  assert.equal(diagnostic.code, RED);
  const line = diagnostic.range.start.line;
  assert.match(document.lineAt(line).text, /is_adult\(18\)/);

  // The Test Explorer: outcomes, and where the tests are written.
  const item = await until("the test's place", () => {
    const found = api.testItems().get(RED);
    return found?.range && found;
  });
  assert.equal(item.range?.start.line, 3);
  assert.equal(item.uri?.toString(), document.uri.toString());
  assert.equal(api.outcome(RED), "failed");
  assert.equal(api.outcome("test_people.py::test_child"), "passed");

  const fixes = await until("a fix in the menu", async () => {
    const found = await menu(document, line);
    return found.some(({ title }) => title.startsWith("Fix ")) ? found : undefined;
  });
  assert.ok(fixes.some(({ title }) => title.startsWith("Preview")));
  const lenses = await until("the code lens", async () => {
    const found = await vscode.commands.executeCommand<vscode.CodeLens[]>(
      "vscode.executeCodeLensProvider",
      document.uri,
    );
    return found.some((lens) => /verified fix/.test(lens.command?.title ?? "")) ? found : undefined;
  });
  assert.equal(lenses[0]?.range.start.line, 3);

  // The evidence panel.
  const fix = fixes.find(({ title }) => title.startsWith("Fix "));
  const data = (fix as unknown as { data?: unknown } | undefined)?.data;
  const evidenceEntry = fixes.find(({ title }) => title.startsWith("Show the evidence"));
  const [all] = (evidenceEntry?.command?.arguments ?? []) as [unknown[]];
  await vscode.commands.executeCommand("greenlit.openEvidence", [data ?? all[0]]);
  const html = await until("the evidence", () => api.evidenceHtml());
  for (const part of ["Content-Security-Policy", RED, "red_to_green".slice(0, 3), "people.py"]) {
    assert.ok(html.includes(part), part);
  }

  // The preview, in the diff editor.
  await vscode.commands.executeCommand("greenlit.previewFix", [data ?? all[0]]);
  const preview = await until("the preview", () =>
    vscode.workspace.textDocuments.find(({ uri }) => uri.scheme === "greenlit-fix"),
  );
  assert.match(preview.getText(), />= 18/);

  // A text that is no file is left alone.
  const untitled = await vscode.workspace.openTextDocument({ language: "python", content: "x = 1" });
  assert.deepEqual(await menu(untitled, 0), []);

  // Nothing has changed so far. An edit that misses the point withdraws the fix.
  const code = await vscode.workspace.openTextDocument(file("people.py"));
  assert.ok(!code.isDirty);
  const before = code.getText();
  await replace(code, `# changed\n${before}`);
  await until("the fix to be withdrawn", async () => (await menu(document, line)).length === 0 || undefined);
  await replace(code, before);
  await code.save();

  const again = await until("the fix to come back", async () =>
    (await menu(document, line)).find(({ title, edit }) => title.startsWith("Fix ") && edit),
  );
  assert.ok(again.edit);
  assert.ok(await vscode.workspace.applyEdit(again.edit));
  assert.match(code.getText(), />= 18/);
  await code.save();
  await until("the diagnostics to clear", () => (own().length === 0 ? true : undefined));
  await until("the test to be green", () => (api.outcome(RED) === "passed" ? true : undefined));
  assert.match(await until("the status", () => (/passed/.test(api.status()) ? api.status() : undefined)), /4 passed/);

  await until("the evidence to say so", () => (/not on offer any more/.test(api.evidenceHtml() ?? "") ? true : undefined));

  const issue = await api.issueBody();
  assert.match(issue, /\| ok \| greenlit \|/);
  assert.ok(!issue.includes(folder.uri.fsPath) && !issue.includes("is_adult"), issue);

  await daemonGone(api, code);
  await noBinary(api);
}

async function replace(document: vscode.TextDocument, text: string): Promise<void> {
  const edit = new vscode.WorkspaceEdit();
  edit.replace(document.uri, new vscode.Range(0, 0, document.lineCount, 0), text);
  assert.ok(await vscode.workspace.applyEdit(edit));
}

/** The daemon is killed: the status says so at most, work resumes, nobody is bothered. */
async function daemonGone(api: Api, code: vscode.TextDocument): Promise<void> {
  const status = await vscode.commands.executeCommand<{ report?: { pid: number } }>("greenlit.status");
  const pid = status.report?.pid;
  assert.ok(pid);
  process.kill(pid, "SIGKILL");
  await replace(code, code.getText().replace(">= 18", "> 18"));
  await code.save();
  await until("work to resume", () => (/1 failing/.test(api.status()) ? true : undefined));
  const after = await vscode.commands.executeCommand<{ report?: { pid: number } }>("greenlit.status");
  assert.notEqual(after.report?.pid, pid);
}

/** A setting that names nothing is said in the bar, and mended by setting it right. */
async function noBinary(api: Api): Promise<void> {
  const settings = vscode.workspace.getConfiguration("greenlit");
  await settings.update("path", "/nowhere/greenlit", vscode.ConfigurationTarget.Global);
  await until("the problem", () => (api.status().startsWith("$(error)") ? true : undefined));
  await settings.update("path", undefined, vscode.ConfigurationTarget.Global);
  await until("the server", () => (/failing|passed/.test(api.status()) ? true : undefined));
}

export async function run(): Promise<void> {
  const verdict = path.join(scratch, "verdict");
  try {
    await journey();
    writeFileSync(verdict, "passed");
  } catch (error) {
    writeFileSync(verdict, `failed: ${error instanceof Error ? error.stack : String(error)}`);
    throw error;
  }
}
