// Runs in the real extension host, on the project of tests/src/projects.rs: `is_adult` is wrong.

import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import path from "node:path";
import * as vscode from "vscode";

import type { Api } from "../../src/extension";
import type { ActionData } from "../../src/protocol";
import { activate, execute, fixAt, menu, own, red, replace, scratch, until, verdict } from "./support";

const RED = "test_people.py::test_adult_on_the_birthday";

const isPreview = () => vscode.window.activeTextEditor?.document.uri.scheme === "greenlit-fix";

async function journey(): Promise<void> {
  const [folder] = vscode.workspace.workspaceFolders ?? [];
  assert.ok(folder);
  const file = (name: string) => vscode.Uri.joinPath(folder.uri, name);
  const document = await vscode.workspace.openTextDocument(file("test_people.py"));
  await vscode.window.showTextDocument(document);
  const api = await activate();

  const diagnostic = await until("the diagnostic", () => own(document.uri)[0]);
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
    const found = await execute<vscode.CodeLens[]>(
      "vscode.executeCodeLensProvider",
      document.uri,
    );
    return found.some((lens) => /verified fix/.test(lens.command?.title ?? "")) ? found : undefined;
  });
  assert.equal(lenses[0]?.range.start.line, 3);
  await withoutLenses(document);

  // The evidence panel.
  const fix = fixes.find(({ title }) => title.startsWith("Fix "));
  const data = (fix as unknown as { data?: unknown } | undefined)?.data;
  const evidenceEntry = fixes.find(({ title }) => title.startsWith("Show the evidence"));
  const [all] = (evidenceEntry?.command?.arguments ?? []) as [unknown[]];
  await execute("greenlit.openEvidence", [data ?? all[0]]);
  const html = await until("the evidence", () => api.evidenceHtml());
  for (const part of ["Content-Security-Policy", RED, "Red to green", "people.py"]) {
    assert.ok(html.includes(part), part);
  }

  // It says what else was tried. The first fix may be the first candidate.
  await until("a candidate that fell", async () => {
    await execute("greenlit.openEvidence", [data ?? all[0]]);
    return /The first that fell<\/summary><table><tr><td><a /.test(api.evidenceHtml() ?? "") || undefined;
  });

  // The preview, in the diff editor.
  await execute("greenlit.previewFix", [data ?? all[0]]);
  const preview = await until("the preview", () =>
    vscode.workspace.textDocuments.find(({ uri }) => uri.scheme === "greenlit-fix"),
  );
  // Both are right, and either may be the first one that is verified.
  assert.match(preview.getText(), />= 18|> 17/);

  // From the preview the palette's command shows the evidence of what is previewed.
  assert.ok(isPreview());
  await execute("greenlit.openEvidence");
  assert.ok(api.evidenceHtml()?.includes(RED));

  // The Test Explorer's own "Fix": a list to choose from, then the preview.
  await execute("workbench.action.closeActiveEditor");
  await until("the preview to be closed", () => !isPreview() || undefined);
  const fixing = execute("greenlit.fixTest", item);
  await until("the preview of what was chosen", async () => {
    await vscode.commands.executeCommand("workbench.action.acceptSelectedQuickOpenItem");
    return isPreview() || undefined;
  });
  await fixing;

  // A text that is no file is left alone.
  const untitled = await vscode.workspace.openTextDocument({ language: "python", content: "x = 1" });
  assert.deepEqual(await menu(untitled, 0), []);

  // The Test Explorer runs what stands in the editor, saved or not.
  const unsaved = await vscode.workspace.openTextDocument(file("people.py"));
  await replace(unsaved, unsaved.getText().replace("> 18", ">= 18"));
  await execute("testing.runAll");
  await until("the unsaved edit to count", () => (api.outcome(RED) === "passed" ? true : undefined));
  assert.ok(unsaved.isDirty, "VS Code saved it before the run");
  await replace(unsaved, unsaved.getText().replace(">= 18", "> 18"));
  // Not "save all": VS Code would ask for the untitled document's name, and nobody is there to answer.
  assert.ok(await unsaved.save());
  await until("the test to fail again", () => (api.outcome(RED) === "failed" ? true : undefined));

  // Nothing has changed so far. An edit that misses the point withdraws the fix.
  const code = await vscode.workspace.openTextDocument(file("people.py"));
  assert.ok(!code.isDirty);
  const before = code.getText();
  await replace(code, `# changed\n${before}`);
  await until("the fix to be withdrawn", async () => (await menu(document, line)).length === 0 || undefined);
  await replace(code, before);
  await code.save();

  assert.ok(await vscode.workspace.applyEdit(await fixAt(document, line)));
  assert.match(code.getText(), />= 18/);
  await code.save();
  await until("the diagnostics to clear", () => (own(document.uri).length === 0 ? true : undefined));
  await until("the test to be green", () => (api.outcome(RED) === "passed" ? true : undefined));
  assert.match(await until("the status", () => (/passed/.test(api.status()) ? api.status() : undefined)), /4 passed/);

  await until("the evidence to say so", () => (/not on offer any more/.test(api.evidenceHtml() ?? "") ? true : undefined));

  const issue = await api.issueBody();
  assert.match(issue, /\| ok \| greenlit \|/);
  assert.ok(!issue.includes(folder.uri.fsPath) && !issue.includes("is_adult"), issue);

  await daemonGone(api, code);
  await dismissal(document);
  await badPrograms(api);
}

/** Who does not want code lenses has none. */
async function withoutLenses(document: vscode.TextDocument): Promise<void> {
  const settings = vscode.workspace.getConfiguration("greenlit.editor");
  const count = async () =>
    (await execute<vscode.CodeLens[]>("vscode.executeCodeLensProvider", document.uri)).length;
  await settings.update("codeLens", false, vscode.ConfigurationTarget.Global);
  await until("the code lenses to go", async () => (await count()) === 0 || undefined);
  await settings.update("codeLens", undefined, vscode.ConfigurationTarget.Global);
  await until("the code lenses to come back", async () => (await count()) > 0 || undefined);
}

/** The daemon is killed: the status says so at most, work resumes, nobody is bothered. */
async function daemonGone(api: Api, code: vscode.TextDocument): Promise<void> {
  const status = await execute<{ report?: { pid: number } }>("greenlit.status");
  const pid = status.report?.pid;
  assert.ok(pid);
  const told = api.problems().length;
  await replace(code, code.getText().replace(">= 18", "> 18"));
  await code.save();
  await until("the tests to run", () => (/testing|failing/.test(api.status()) ? true : undefined));
  process.kill(pid, "SIGKILL");
  await until("work to resume", async () => {
    // While there is no daemon it may fail.
    const now = await execute<typeof status>("greenlit.status").catch(() => undefined);
    const another = now?.report && now.report.pid !== pid;
    return another && /1 failing/.test(api.status()) ? true : undefined;
  });
  assert.equal(api.problems().length, told);
}

/** A fix that somebody dismissed from its preview is offered no more. */
async function dismissal(document: vscode.TextDocument): Promise<void> {
  const offered = async () => {
    const entries = await menu(document, await red(document));
    const preview = entries.find(({ title }) => title.startsWith("Preview"));
    const [among] = (preview?.command?.arguments ?? [[]]) as [ActionData[]];
    return among;
  };
  const unwanted = await until("a fix in the menu again", async () => (await offered())[0]);
  await execute("greenlit.previewFix", [unwanted]);
  await until("its preview to be in front", () => {
    const uri = vscode.window.activeTextEditor?.document.uri;
    return uri?.scheme === "greenlit-fix" && uri.query.startsWith(unwanted.fix) ? true : undefined;
  });
  await execute("greenlit.dismissShownFix");
  const gone = async () => (await offered()).every(({ fix }) => fix !== unwanted.fix);
  await until("the fix to be gone", async () => (await gone()) || undefined);
  assert.ok(!isPreview(), "its preview is still open");
}

/** What is wrong with the program is said once, stays in the bar, and is mended by setting it right. */
async function badPrograms(api: Api): Promise<void> {
  const program = (name: string, text: string, mode: number) => {
    const file = path.join(scratch, name);
    writeFileSync(file, text);
    chmodSync(file, mode);
    return file;
  };
  const cases: [string, RegExp][] = [
    ["/nowhere/greenlit", /there is no file/],
    [program("plain", "#!/bin/sh\n", 0o644), /is not executable/],
    [program("later", "#!/bin/sh\necho greenlit 99.0.0\n", 0o755), /is version 99\.0\.0/],
    [program("strange", "#!/bin/sh\necho something else\n", 0o755), /is not Greenlit's server/],
  ];
  const settings = vscode.workspace.getConfiguration("greenlit");
  for (const [file, message] of cases) {
    await settings.update("path", file, vscode.ConfigurationTarget.Global);
    await until(`the problem with ${file}`, () =>
      api.status().startsWith("$(error)") && api.problems().some((told) => message.test(told))
        ? true
        : undefined,
    );
    assert.equal(api.problems().length, 1);
    assert.match(api.tooltip(), message);
  }
  await settings.update("path", undefined, vscode.ConfigurationTarget.Global);
  await until("the server", () => (/failing|passed/.test(api.status()) ? true : undefined));
  assert.deepEqual(api.problems(), []);
}

export function run(): Promise<void> {
  return verdict(journey);
}
