// The panel that shows the evidence for one fix, and does what its buttons say.

import * as vscode from "vscode";

import type { Fixes } from "../fixes/fixes";
import type { ActionData, Evidence } from "../protocol";
import { type Server, words } from "../server/server";
import { page } from "./html";

interface Said {
  command?: string;
  place?: string;
}

export class EvidencePanel implements vscode.Disposable {
  private panel: vscode.WebviewPanel | undefined;
  private shown: { evidence: Evidence; data: ActionData } | undefined;

  constructor(
    private readonly media: vscode.Uri,
    private readonly server: Server,
    private readonly fixes: Fixes,
  ) {
    // Each run of the tests may take the fix from the offer, or bring it back.
    server.onStatus(() => void this.check());
  }

  async show(data: ActionData): Promise<void> {
    const evidence = await this.server.request<Evidence>("greenlit/evidence", { fix: data.fix });
    if (evidence) {
      this.render(evidence, data);
      this.panel?.reveal(undefined, true);
    }
  }

  private render(evidence: Evidence, data: ActionData): void {
    this.shown = { evidence, data };
    const panel = (this.panel ??= this.create());
    const uri = (name: string) => panel.webview.asWebviewUri(vscode.Uri.joinPath(this.media, name));
    panel.webview.html = page(evidence, {
      source: panel.webview.cspSource,
      style: uri("evidence.css").toString(),
      script: uri("evidence.js").toString(),
    });
  }

  /** Shows whether the fix still holds; a daemon that forgot it leaves the page as it is. */
  private async check(): Promise<void> {
    const { shown } = this;
    if (!shown) {
      return;
    }
    try {
      const params = { fix: shown.data.fix };
      const evidence = await this.server.ask<Evidence>("greenlit/evidence", params);
      if (shown === this.shown && evidence.holds !== shown.evidence.holds) {
        // Without a root the paths are those of before.
        this.render({ ...evidence, root: evidence.root ?? shown.evidence.root }, shown.data);
      }
    } catch (error) {
      this.server.output.debug(`the evidence is not known any more: ${words(error)}`);
    }
  }

  /** The page as it is now, for tests. */
  html(): string | undefined {
    return this.panel?.webview.html;
  }

  private create(): vscode.WebviewPanel {
    const panel = vscode.window.createWebviewPanel(
      "greenlit.evidence",
      "Evidence",
      { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true },
      { enableScripts: true, localResourceRoots: [this.media], enableFindWidget: true },
    );
    panel.webview.onDidReceiveMessage((said: Said) => this.said(said));
    panel.onDidDispose(() => {
      this.panel = undefined;
      this.shown = undefined;
    });
    return panel;
  }

  private async said({ command, place }: Said): Promise<void> {
    const shown = this.shown;
    if (!shown) {
      return;
    }
    if (command === "preview") {
      await this.fixes.preview(shown.data, shown.evidence.report.title);
    } else if (command === "apply") {
      await this.fixes.apply(shown.data);
      await this.show(shown.data);
    } else if (command === "dismiss") {
      await this.fixes.dismiss(shown.data);
      await this.show(shown.data);
    } else if (command === "open" && place && shown.evidence.root) {
      await openPlace(vscode.Uri.parse(shown.evidence.root), place);
    }
  }

  dispose(): void {
    this.panel?.dispose();
  }
}

/** `path` or `path:line`, relative to a root. */
async function openPlace(root: vscode.Uri, place: string): Promise<void> {
  const [, path = place, line] = /^(.*?)(?::(\d+))?$/.exec(place) ?? [];
  const at = new vscode.Position(Math.max(0, Number(line ?? 1) - 1), 0);
  const document = await vscode.workspace.openTextDocument(vscode.Uri.joinPath(root, path));
  await vscode.window.showTextDocument(document, {
    selection: new vscode.Range(at, at),
    viewColumn: vscode.ViewColumn.One,
  });
}
