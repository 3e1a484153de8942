// Greenlit in VS Code. The server does the work; here is what LSP has no place for.
//
// VS Code does not activate this in a workspace that is not trusted: nothing is started there.

import * as vscode from "vscode";

import { FailingTests } from "./codeLens";
import { EvidencePanel } from "./evidence/panel";
import { Fixes } from "./fixes/fixes";
import { Previews, SCHEME } from "./fixes/preview";
import type { ActionData, StatusReport } from "./protocol";
import { issueBody, reportIssue } from "./reportIssue";
import { search } from "./search";
import { LANGUAGES } from "./server/options";
import { Server } from "./server/server";
import { StatusBar, menu } from "./status";
import { TestExplorer } from "./tests/explorer";

/** What other extensions, and our own tests, can see. */
export interface Api {
  status(): string;
  tooltip(): string;
  problems(): string[];
  evidenceHtml(): string | undefined;
  issueBody(): Promise<string>;
  outcome(test: string): string | undefined;
  testItems(): Map<string, vscode.TestItem>;
}

let server: Server | undefined;

export function activate(context: vscode.ExtensionContext): Api {
  const output = vscode.window.createOutputChannel("Greenlit", { log: true });
  const trace = vscode.window.createOutputChannel("Greenlit Trace", { log: true });
  const own = new Server(context, output, trace, menuEntries);
  server = own;
  const selector = LANGUAGES.map((language) => ({ scheme: "file", language }));
  const status = new StatusBar(own, selector);
  const explorer = new TestExplorer(own);
  const previews = new Previews();
  const fixes: Fixes = new Fixes(own, previews, (data) => evidence.show(data));
  const media = vscode.Uri.joinPath(context.extensionUri, "media");
  const evidence = new EvidencePanel(media, own, fixes);
  const lenses = new FailingTests(own, explorer, fixes);
  context.subscriptions.push(
    output,
    trace,
    own,
    status,
    explorer,
    evidence,
    vscode.workspace.registerTextDocumentContentProvider(SCHEME, previews),
    vscode.languages.registerCodeLensProvider(selector, lenses),
    ...commands(own, explorer, fixes, previews, evidence),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration("greenlit.path")) {
        void own.restart();
      }
    }),
    vscode.workspace.onDidChangeWorkspaceFolders(() => {
      const folders = vscode.workspace.workspaceFolders ?? [];
      explorer.keep(folders.map((folder) => folder.uri.toString()));
      // Otherwise the client tells the server of the change.
      if (!own.runs || folders.length === 0) {
        void own.start();
      }
    }),
  );
  void own.start();
  return {
    status: () => status.text,
    tooltip: () => status.tooltip,
    problems: () => own.problems,
    evidenceHtml: () => evidence.html(),
    issueBody: () => issueBody(own),
    outcome: (test) => explorer.outcome(test),
    testItems: () => explorer.items(),
  };
}

export async function deactivate(): Promise<void> {
  await server?.dispose();
}

/** Two entries below the fixes of a quick-fix menu. */
function menuEntries(data: ActionData[]): vscode.CodeAction[] {
  const entry = (title: string, command: string) => {
    const action = new vscode.CodeAction(title, vscode.CodeActionKind.QuickFix);
    action.command = { title, command, arguments: [data] };
    return action;
  };
  return [
    entry("Preview a verified fix…", "greenlit.previewFix"),
    entry("Show the evidence for a verified fix…", "greenlit.openEvidence"),
  ];
}

function commands(
  server: Server,
  explorer: TestExplorer,
  fixes: Fixes,
  previews: Previews,
  evidence: EvidencePanel,
): vscode.Disposable[] {
  const previewed = (uri?: vscode.Uri) =>
    previews.fixOf(uri) ?? previews.fixOf(vscode.window.activeTextEditor?.document.uri);
  const all: Record<string, (...args: never[]) => unknown> = {
    testAll: () => server.execute("greenlit.runTests"),
    lookForFixes: (root?: string, test?: string) =>
      server.execute("greenlit.fix", root && test ? [{ root, tests: [test] }] : []),
    chooseFix: (root?: string, test?: string) => fixes.choose(root, test ? [test] : []),
    fixTest: (item?: vscode.TestItem | { test?: vscode.TestItem }) => {
      const of = item && ("test" in item ? item.test : (item as vscode.TestItem));
      const target = of && explorer.testOf(of);
      return fixes.choose(target?.root, target?.tests);
    },
    previewFix: async (among?: ActionData[]) => {
      const fix = await fixes.one(among);
      return fix && fixes.preview(fix.data, fix.title);
    },
    openEvidence: async (among?: ActionData[] | vscode.Uri) => {
      const shown = previewed(among instanceof vscode.Uri ? among : undefined);
      const data = shown?.data ?? (await fixes.one(Array.isArray(among) ? among : undefined))?.data;
      return data && evidence.show(data);
    },
    applyFix: async (uri?: vscode.Uri) => {
      const shown = previewed(uri);
      const data = shown?.data ?? (await fixes.one())?.data;
      if (data && (await fixes.apply(data)) && shown) {
        await vscode.commands.executeCommand("workbench.action.closeActiveEditor");
      }
    },
    dismissShownFix: async (uri?: vscode.Uri) => {
      const shown = previewed(uri);
      const data = shown?.data ?? (await fixes.one())?.data;
      if (data) {
        await fixes.dismiss(data);
        if (shown) {
          await vscode.commands.executeCommand("workbench.action.closeActiveEditor");
        }
      }
    },
    search: () => search(server),
    stopWork: () => server.execute("greenlit.cancel"),
    restartServer: async () => {
      if (server.runs) {
        await server.execute("greenlit.restart");
      }
      await server.restart();
    },
    showOutput: () => server.output.show(),
    openLog: async () => {
      const status = await server.execute<StatusReport>("greenlit.status");
      if (status?.report) {
        await vscode.window.showTextDocument(vscode.Uri.file(status.report.log));
      } else {
        server.output.show();
      }
    },
    reportIssue: () => reportIssue(server),
    menu,
  };
  return Object.entries(all).map(([name, run]) =>
    vscode.commands.registerCommand(`greenlit.${name}`, run),
  );
}
