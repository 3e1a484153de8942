// A Neovim is on the same daemon and has the same file open, with other unsaved contents.
// Environment: NVIM_PROGRAM, and what the script wants.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import * as vscode from "vscode";

import type { Api } from "../../src/extension";
import { activate, execute, own, red, replace, until, verdict } from "./support";

async function journey(): Promise<void> {
  const [folder] = vscode.workspace.workspaceFolders ?? [];
  const { NVIM_PROGRAM: nvim, NVIM_SCRIPT: script } = process.env;
  assert.ok(folder && nvim && script);
  const open = (name: string) =>
    vscode.workspace.openTextDocument(vscode.Uri.joinPath(folder.uri, name));
  const [source, tests] = [await open("people.py"), await open("test_people.py")];
  await vscode.window.showTextDocument(tests);
  const api = await activate();
  await red(tests);

  await replace(source, source.getText().replace("> 18", ">= 18"));
  await all(api, "the unsaved edit to count", /4 passed/);

  const status = await execute<{ report?: { pid: number } }>("greenlit.status");
  const env = { ...process.env, PROJECT: folder.uri.fsPath, DAEMON: String(status.report?.pid) };
  await promisify(execFile)(nvim, ["--clean", "--headless", "-l", script], { env });

  // What failed there is not seen here.
  assert.deepEqual(own(tests.uri), []);
  assert.match(api.status(), /4 passed/);
  assert.ok(source.isDirty && source.getText().includes(">= 18"));
  await replace(source, source.getText().replace(">= 18", "> 18"));
  await all(api, "its own failure", /1 failing/);
  assert.equal(own(tests.uri).length, 1);
}

/**
 * Runs all tests. The workbench may not know them yet; then it runs none. What the daemon then does of its
 * own accord is let come to its end: asking anew would stop it each time.
 */
async function all(api: Api, what: string, wanted: RegExp): Promise<void> {
  await until(what, async () => {
    await execute("testing.runAll");
    await until(`${what}, at rest`, () => !api.status().startsWith("$(loading") || undefined);
    return wanted.test(api.status()) || undefined;
  });
}

export function run(): Promise<void> {
  return verdict(journey);
}
