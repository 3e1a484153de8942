// The entry in the status bar.

import * as vscode from "vscode";

import type { StatusReport } from "./protocol";
import type { Server } from "./server/server";
import { type Known, lines, shown } from "./statusText";

const BUTTONS: [string, string][] = [
  ["Run Tests", "greenlit.testAll"],
  ["Fixes", "greenlit.chooseFix"],
  ["Evidence", "greenlit.openEvidence"],
  ["Stop", "greenlit.stopWork"],
  ["Restart", "greenlit.restartServer"],
  ["Output", "greenlit.showOutput"],
  ["Daemon Log", "greenlit.openLog"],
];

export class StatusBar implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem(
    "greenlit.status",
    vscode.StatusBarAlignment.Left,
    10,
  );
  private readonly known: Known & { roots: Map<string, StatusReport> } = { roots: new Map() };
  private readonly language: vscode.LanguageStatusItem;
  private report: StatusReport["report"];

  constructor(
    private readonly server: Server,
    selector: vscode.DocumentSelector,
  ) {
    this.language = vscode.languages.createLanguageStatusItem("greenlit.status", selector);
    this.item.name = "Greenlit";
    this.language.name = "Greenlit";
    this.language.command = { title: "Run Tests", command: "greenlit.testAll" };
    this.item.command = "greenlit.menu";
    server.onProblem((problem) => {
      this.known.problem = problem;
      delete this.known.daemon;
      this.known.roots.clear();
      this.render();
    });
    server.onStatus((status) => {
      if (status.root === null) {
        this.known.daemon = status;
      } else {
        this.known.roots.set(status.root, status);
      }
      this.render();
      if (status.daemon === "up" && (status.root === null || status.phase === "settled")) {
        void this.ask();
      }
    });
    vscode.workspace.onDidChangeWorkspaceFolders(({ removed }) => {
      removed.forEach((folder) => this.known.roots.delete(folder.uri.toString()));
      this.render();
    });
    this.render();
    this.item.show();
  }

  /** What the bar says now. */
  get text(): string {
    return this.item.text;
  }

  /** What it says when one points at it. */
  get tooltip(): string {
    return (this.item.tooltip as vscode.MarkdownString).value;
  }

  private async ask(): Promise<void> {
    try {
      const params = { command: "greenlit.status", arguments: [] };
      const status = await this.server.ask<StatusReport>("workspace/executeCommand", params);
      this.report = status.report;
    } catch {
      // The daemon went away meanwhile: its next status says so.
      this.report = undefined;
    }
    this.render();
  }

  private render(): void {
    const { text, severity } = shown(this.known, this.report);
    this.item.text = text;
    const background = {
      plain: undefined,
      warning: new vscode.ThemeColor("statusBarItem.warningBackground"),
      error: new vscode.ThemeColor("statusBarItem.errorBackground"),
    };
    this.item.backgroundColor = background[severity];
    const levels = { plain: "Information", warning: "Warning", error: "Error" } as const;
    this.language.severity = vscode.LanguageStatusSeverity[levels[severity]];
    this.language.busy = text.startsWith("$(loading");
    this.language.text = text.replace(/^\$\([^)]*\)\s*/, "");
    const tooltip = new vscode.MarkdownString(lines(this.known, this.report).join("\n\n"));
    const links = BUTTONS.map(([name, command]) => `[${name}](command:${command})`);
    tooltip.appendMarkdown(`\n\n${links.join(" · ")}`);
    tooltip.isTrusted = { enabledCommands: BUTTONS.map(([, command]) => command) };
    this.item.tooltip = tooltip;
  }

  dispose(): void {
    this.item.dispose();
    this.language.dispose();
  }
}

/** The status bar's menu. */
export async function menu(): Promise<void> {
  const items = BUTTONS.map(([label, command]) => ({ label, command }));
  const chosen = await vscode.window.showQuickPick(items, { placeHolder: "Greenlit" });
  if (chosen) {
    await vscode.commands.executeCommand(chosen.command);
  }
}
