// Runs in the real extension host, on a workspace of three folders: `people`, as in api.ts, `long`,
// whose only module has 50,000 lines, and `wide`, with wide characters and lines that end with CR and LF.

import assert from "node:assert/strict";
import * as vscode from "vscode";

import type { Api } from "../../src/extension";
import { activate, execute, fixAt, menu, own, red, replace, until, verdict } from "./support";

const PEOPLE = "test_people.py::test_adult_on_the_birthday";
const LONG = "test_long.py::test_last";

async function awkward(): Promise<void> {
  const [people, long, wide] = vscode.workspace.workspaceFolders ?? [];
  assert.ok(people && long && wide);
  const open = (folder: vscode.WorkspaceFolder, name: string) =>
    vscode.workspace.openTextDocument(vscode.Uri.joinPath(folder.uri, name));
  const tests = await open(people, "test_people.py");
  const ofLong = await open(long, "test_long.py");
  // VS Code closes a document after some minutes that no tab shows.
  const show = (document: vscode.TextDocument) =>
    vscode.window.showTextDocument(document, { preview: false });
  const [code, longCode] = [await open(people, "people.py"), await open(long, "long.py")];
  const [wideCode, ofWide] = [await open(wide, "people.py"), await open(wide, "test_people.py")];
  for (const document of [code, longCode, wideCode, tests, ofLong, ofWide]) {
    await show(document);
  }
  const api = await activate();

  // Each folder has its own diagnostics, tests and fixes.
  const line = await red(tests);
  const lineOfLong = await red(ofLong);
  await until("both outcomes", () =>
    [PEOPLE, LONG].every((test) => api.outcome(test) === "failed") ? true : undefined,
  );
  await fixAt(tests, line);
  await fixAt(ofLong, lineOfLong);
  await until("the sum in the bar", () => (/3 failing, \d+ fixes/.test(api.status()) ? true : undefined));
  for (const name of ["people", "long"]) {
    assert.match(api.tooltip(), new RegExp(`\\*\\*${name}\\*\\*[^]*Sandbox: (?!nothing)[a-z]+`));
  }

  await longFile(api, longCode, ofLong, lineOfLong);
  await undoAndRedo(code, tests, line);
  await renamed(people, tests);
  await wideCharacters(wideCode, ofWide);
  await elsewhere();

  // A folder that leaves takes along what it had.
  vscode.workspace.updateWorkspaceFolders(1, 1);
  await until("its tests to go", () => (api.testItems().has(LONG) ? undefined : true));
  assert.equal(own(ofLong.uri).length, 0);
  assert.deepEqual(api.problems(), []);
}

/** A fix at the end of 50,000 lines lands where it belongs, after edits all over the file. */
async function longFile(
  api: Api,
  code: vscode.TextDocument,
  tests: vscode.TextDocument,
  line: number,
): Promise<void> {
  assert.ok(code.lineCount > 50_000);
  const edit = new vscode.WorkspaceEdit();
  for (let at = 0; at < 300; at++) {
    edit.insert(code.uri, new vscode.Position(at * 160, 0), `# 👋 ${at}\n`);
  }
  assert.ok(await vscode.workspace.applyEdit(edit));
  await until("the fix to be withdrawn", async () =>
    (await menu(tests, line)).length === 0 ? true : undefined,
  );
  assert.ok(await code.save());
  assert.ok(await vscode.workspace.applyEdit(await fixAt(tests, line)));
  assert.match(code.lineAt(code.lineCount - 2).text, /^ {4}return number >= 18$/);
  assert.ok(await code.save());
  await until("the long file to be green", () =>
    api.outcome(LONG) === "passed" && own(tests.uri).length === 0 ? true : undefined,
  );
}

/** As fast as they come: the server's text stays the editor's. */
async function undoAndRedo(
  code: vscode.TextDocument,
  tests: vscode.TextDocument,
  line: number,
): Promise<void> {
  const before = code.getText();
  const editor = await vscode.window.showTextDocument(code, { preview: false });
  for (let step = 0; step < 60; step++) {
    const at = new vscode.Position(step % 4, 0);
    const done = await editor.edit((edit) =>
      step % 3 === 0
        ? edit.delete(new vscode.Range(at, at.translate(0, 1)))
        : edit.insert(at, step % 3 === 1 ? "# 𝕏 é\n" : "👋"),
    );
    assert.ok(done);
  }
  assert.notEqual(code.getText(), before);
  for (const command of ["undo", "redo", "undo"]) {
    await Promise.all(Array.from({ length: 60 }, () => vscode.commands.executeCommand(command)));
  }
  assert.equal(code.getText(), before);
  // Ctrl+S also writes what is as it was.
  await execute("workbench.action.files.save");
  const fix = await fixAt(tests, line);
  assert.deepEqual(
    fix.entries().map(([uri, edits]) => [uri.toString(), edits.length]),
    [[code.uri.toString(), 1]],
  );
  assert.ok(await vscode.workspace.applyEdit(fix));
  assert.match(code.lineAt(1).text, /^ {4}return age >= 18$/);
  await replace(code, before);
  assert.ok(await code.save());
  await fixAt(tests, line);
}

/** The fix hits its place behind what counts differently in each encoding. */
async function wideCharacters(
  code: vscode.TextDocument,
  tests: vscode.TextDocument,
): Promise<void> {
  assert.equal(code.eol, vscode.EndOfLine.CRLF);
  await vscode.window.showTextDocument(tests, { preview: false });
  const editor = await vscode.window.showTextDocument(code, { preview: false });
  await fixAt(tests, await red(tests));
  const at = code.lineAt(0).text.indexOf("𝕏");
  assert.ok(await editor.edit((edit) => edit.insert(new vscode.Position(0, at), "👩‍👩‍👧 é ")));
  assert.ok(await code.save());
  assert.ok(await vscode.workspace.applyEdit(await fixAt(tests, await red(tests))));
  assert.equal(code.lineAt(2).text, "    return ('🎂', age >= 18)[1]");
  assert.ok(await code.save());
  await until("it to be green", () => (own(tests.uri).length === 0 ? true : undefined));
}

/** Documents of a file system that is not this machine's are left alone. */
async function elsewhere(): Promise<void> {
  const text = Buffer.from("def test_red():\n    assert 1 == 2\n");
  const none = () => {
    throw vscode.FileSystemError.NoPermissions();
  };
  const provider: vscode.FileSystemProvider = {
    onDidChangeFile: new vscode.EventEmitter<vscode.FileChangeEvent[]>().event,
    watch: () => new vscode.Disposable(() => undefined),
    stat: () => ({ type: vscode.FileType.File, ctime: 0, mtime: 0, size: text.length }),
    readFile: () => text,
    readDirectory: () => [],
    createDirectory: none,
    writeFile: none,
    delete: none,
    rename: none,
  };
  const registered = vscode.workspace.registerFileSystemProvider("vscode-vfs", provider);
  const uri = vscode.Uri.parse("vscode-vfs://github/o/r/test_far.py");
  const document = await vscode.workspace.openTextDocument(uri);
  await vscode.window.showTextDocument(document);
  assert.deepEqual(await menu(document, 1), []);
  assert.deepEqual(own(uri), []);
  registered.dispose();
}

/** A file is renamed while its fixes are shown. */
async function renamed(folder: vscode.WorkspaceFolder, tests: vscode.TextDocument): Promise<void> {
  const uri = vscode.Uri.joinPath(folder.uri, "test_folk.py");
  const old = tests.uri;
  const edit = new vscode.WorkspaceEdit();
  edit.renameFile(old, uri);
  assert.ok(await vscode.workspace.applyEdit(edit));
  const document = await vscode.workspace.openTextDocument(uri);
  const line = await red(document);
  await until("the old name to be forgotten", () => (own(old).length === 0 ? true : undefined));
  const [diagnostic] = own(uri);
  assert.equal(diagnostic?.code, PEOPLE.replace("people", "folk"));
  assert.ok(await vscode.workspace.applyEdit(await fixAt(document, line)));
  assert.ok(await vscode.workspace.saveAll(false));
  await until("it to be green", () => (own(uri).length === 0 ? true : undefined));
}

export function run(): Promise<void> {
  return verdict(awkward);
}
