// Runs in the real extension host of a window without a folder.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import * as vscode from "vscode";

import { activate, menu, own, scratch, until, verdict } from "./support";

async function quiet(): Promise<void> {
  assert.equal(vscode.workspace.workspaceFolders, undefined);
  const alone = path.join(scratch, "alone.py");
  writeFileSync(alone, "def test_red():\n    assert 1 == 2\n");
  const file = await vscode.workspace.openTextDocument(alone);
  const untitled = await vscode.workspace.openTextDocument({
    language: "python",
    content: "def test_red():\n    assert 1 == 2\n",
  });
  await vscode.window.showTextDocument(file);
  const api = await activate();
  await until("the status", () => (api.status() === "$(circle-slash) Greenlit" ? true : undefined));
  assert.match(api.tooltip(), /Open a folder/);
  for (const document of [file, untitled]) {
    assert.deepEqual(await menu(document, 1), []);
    assert.deepEqual(own(document.uri), []);
  }
  // What the palette offers says so, and does no harm.
  const status = await vscode.commands.executeCommand("greenlit.testAll");
  assert.equal(status, undefined);
  assert.deepEqual(api.problems(), []);
  assert.equal(api.testItems().size, 0);
}

export function run(): Promise<void> {
  return verdict(quiet);
}
