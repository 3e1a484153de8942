// The fixes on offer: listed, chosen, previewed, applied.

import * as vscode from "vscode";
import type * as lsp from "vscode-languageclient/node";

import type { ActionData, ListedFix } from "../protocol";
import type { Server } from "../server/server";
import type { Previews } from "./preview";

const PREVIEW: vscode.QuickInputButton = {
  iconPath: new vscode.ThemeIcon("diff"),
  tooltip: "Preview in the diff editor",
};
const DISMISS: vscode.QuickInputButton = {
  iconPath: new vscode.ThemeIcon("close"),
  tooltip: "Do not offer it any more",
};
const EVIDENCE: vscode.QuickInputButton = {
  iconPath: new vscode.ThemeIcon("beaker"),
  tooltip: "Show the evidence",
};

interface Item extends vscode.QuickPickItem {
  fix: ListedFix;
}

export class Fixes {
  constructor(
    private readonly server: Server,
    private readonly previews: Previews,
    private readonly evidence: (data: ActionData) => Promise<void>,
  ) {}

  /** Fixes that hold now, of these tests of a root, or all. */
  async list(root?: string, tests: string[] = []): Promise<ListedFix[]> {
    const params = root === undefined ? { tests } : { root, tests };
    return (await this.server.request<ListedFix[]>("greenlit/fixes", params)) ?? [];
  }

  /** Lets the person look and choose: enter previews, so that nothing changes unseen. */
  async choose(root?: string, tests: string[] = []): Promise<void> {
    const fixes = await this.list(root, tests);
    if (fixes.length === 0) {
      await this.offerSearch(root, tests);
      return;
    }
    const fix = await pick(fixes, "Preview which fix?", (button, chosen) => {
      if (button === DISMISS) {
        return this.dismiss(chosen.data);
      }
      return button === EVIDENCE
        ? this.evidence(chosen.data)
        : this.preview(chosen.data, chosen.title);
    });
    if (fix) {
      await this.preview(fix.data, fix.title);
    }
  }

  /** One of several fixes; the only one without asking. */
  async one(among?: ActionData[]): Promise<ListedFix | undefined> {
    const wanted = among && new Set(among.map((data) => data.fix));
    const fixes = (await this.list()).filter((fix) => !wanted || wanted.has(fix.id));
    if (fixes.length === 0) {
      void vscode.window.showInformationMessage("Greenlit: no fix is on offer now.");
    }
    return fixes.length < 2 ? fixes[0] : pick(fixes, "Which fix?");
  }

  async preview(data: ActionData, title: string): Promise<void> {
    const edit = await this.resolve(data);
    if (edit) {
      await this.previews.open(edit, data, title);
    }
  }

  /** Applies a fix, if the texts are still those that it was verified on. */
  async apply(data: ActionData): Promise<boolean> {
    const edit = await this.resolve(data);
    return edit !== undefined && vscode.workspace.applyEdit(edit);
  }

  /** Takes a fix from the menu; that is recorded, and it is not offered again while the daemon runs. */
  async dismiss(data: ActionData): Promise<void> {
    await this.server.execute("greenlit.dismissFix", [data.fix]);
  }

  private async resolve(data: ActionData): Promise<vscode.WorkspaceEdit | undefined> {
    const action = { title: "", data };
    const resolved = await this.server.request<lsp.CodeAction>("codeAction/resolve", action);
    return resolved?.edit && this.server.toWorkspaceEdit(resolved.edit);
  }

  private async offerSearch(root: string | undefined, tests: string[]): Promise<void> {
    const search = "Look for Fixes";
    const message = "Greenlit: no verified fix is on offer here.";
    if ((await vscode.window.showInformationMessage(message, search)) === search) {
      await this.server.execute("greenlit.fix", root === undefined ? [] : [{ root, tests }]);
    }
  }
}

/** A list with buttons on each line; `pressed` is one that does not choose. */
function pick(
  fixes: ListedFix[],
  placeholder: string,
  pressed?: (button: vscode.QuickInputButton, fix: ListedFix) => Promise<void>,
): Promise<ListedFix | undefined> {
  const list = vscode.window.createQuickPick<Item>();
  list.placeholder = placeholder;
  list.matchOnDetail = true;
  list.items = fixes.map((fix) => ({
    label: fix.title,
    detail: fix.summary,
    buttons: pressed ? [PREVIEW, EVIDENCE, DISMISS] : [],
    fix,
  }));
  return new Promise((resolve) => {
    list.onDidTriggerItemButton(({ button, item }) => {
      list.hide();
      void pressed?.(button, item.fix);
    });
    list.onDidAccept(() => {
      resolve(list.selectedItems[0]?.fix);
      list.hide();
    });
    list.onDidHide(() => {
      resolve(undefined);
      list.dispose();
    });
    list.show();
  });
}
