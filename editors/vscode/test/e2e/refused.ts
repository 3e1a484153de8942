// Runs in the real extension host, on a project, with a daemon that does not start.
// Environment: IN_THE_WAY, without which it starts; SAID, what is told of it.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import * as vscode from "vscode";

import { activate, execute, own, until, verdict } from "./support";

async function refused(): Promise<void> {
  const { IN_THE_WAY = "", SAID = "" } = process.env;
  const [folder] = vscode.workspace.workspaceFolders ?? [];
  assert.ok(folder && IN_THE_WAY && SAID);
  const tests = vscode.Uri.joinPath(folder.uri, "test_people.py");
  const document = await vscode.workspace.openTextDocument(tests);
  await vscode.window.showTextDocument(document);
  const api = await activate();
  const plain = () => api.tooltip().replaceAll("\\", "");
  await until("the reason", () => plain().includes(SAID) || undefined);
  assert.match(api.status(), /reconnecting|stopped/);
  assert.ok(api.problems().length <= 1, api.problems().join("\n"));

  // Mended, the next thing that a person wants works.
  rmSync(IN_THE_WAY, { recursive: true });
  await execute("greenlit.testAll");
  await until("the diagnostic", () => own(document.uri)[0]);
  assert.ok(!plain().includes(SAID));
}

export function run(): Promise<void> {
  return verdict(refused);
}
