// Above each failing test: its fixes, or a way to look for some.

import * as vscode from "vscode";

import type { Fixes } from "./fixes/fixes";
import type { ListedFix } from "./protocol";
import type { Server } from "./server/server";
import type { TestExplorer } from "./tests/explorer";

export class FailingTests implements vscode.CodeLensProvider {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChangeCodeLenses = this.changed.event;

  constructor(
    private readonly server: Server,
    private readonly explorer: TestExplorer,
    private readonly fixes: Fixes,
  ) {
    server.onStatus(() => this.changed.fire());
    explorer.onChange(() => this.changed.fire());
    // Fixes come with diagnostics, and go when the text changes.
    vscode.languages.onDidChangeDiagnostics(() => this.changed.fire());
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration("greenlit.editor")) {
        this.changed.fire();
      }
    });
  }

  async provideCodeLenses(document: vscode.TextDocument): Promise<vscode.CodeLens[]> {
    const wanted = vscode.workspace.getConfiguration("greenlit.editor", document);
    const failing = wanted.get("codeLens", true) ? this.explorer.failingIn(document.uri) : [];
    if (failing.length === 0 || !this.server.runs) {
      return [];
    }
    const fixes = await this.fixes.list();
    return failing.flatMap(({ root, test, line }) => {
      const range = new vscode.Range(line, 0, line, 0);
      const own = fixes.filter((fix) => fix.tests.includes(test.id));
      return commands(root, test.id, own).map((command) => new vscode.CodeLens(range, command));
    });
  }
}

function commands(root: string, test: string, fixes: ListedFix[]): vscode.Command[] {
  const [best] = fixes;
  if (!best) {
    return [
      { title: "$(search) Look for a fix", command: "greenlit.lookForFixes", arguments: [root, test] },
    ];
  }
  const count = fixes.length === 1 ? "1 verified fix" : `${fixes.length} verified fixes`;
  return [
    { title: `$(lightbulb) ${count}`, command: "greenlit.chooseFix", arguments: [root, test] },
    { title: "Evidence", command: "greenlit.openEvidence", arguments: [fixes.map((f) => f.data)] },
  ];
}
