// Search by words, names and meaning: a list that follows what is typed.

import * as vscode from "vscode";
import type * as lsp from "vscode-languageclient/node";

import type { RootHits } from "./protocol";
import { type Server, words } from "./server/server";

/** So long after the last key it is searched. */
const PAUSE_MS = 150;
const HITS = 30;

interface Item extends vscode.QuickPickItem {
  /** Nowhere for what is only said. */
  location?: lsp.Location;
}

/** Shows the list; what is chosen is opened. Starts with what is selected. */
export function search(server: Server): void {
  const editor = vscode.window.activeTextEditor;
  const pick = vscode.window.createQuickPick<Item>();
  pick.title = "Greenlit: Search";
  // Not in the API yet: without it what has the letters that were typed comes before what is better.
  (pick as { sortByLabel?: boolean }).sortByLabel = false;
  pick.placeholder = "What it does, or what it is called";
  pick.value = editor && editor.selection.isSingleLine ? editor.document.getText(editor.selection) : "";
  const near = editor?.document.uri.scheme === "file" ? [editor.document.uri.toString()] : [];
  let pause: NodeJS.Timeout | undefined;
  let asked: vscode.CancellationTokenSource | undefined;

  const forget = () => {
    asked?.cancel();
    asked?.dispose();
    asked = undefined;
  };
  const ask = async () => {
    forget();
    const query = pick.value.trim();
    if (query === "") {
      pick.items = [];
      pick.busy = false;
      return;
    }
    const source = new vscode.CancellationTokenSource();
    asked = source;
    pick.busy = true;
    let items: Item[];
    try {
      const params = { query, k: HITS, near };
      items = found(await server.ask<RootHits[]>("greenlit/search", params, source.token));
    } catch (error) {
      items = [said(words(error))];
    }
    if (asked === source) {
      pick.items = items;
      pick.busy = false;
    }
  };

  pick.onDidChangeValue(() => {
    clearTimeout(pause);
    pause = setTimeout(() => void ask(), PAUSE_MS);
  });
  pick.onDidAccept(() => {
    const [item] = pick.selectedItems;
    if (item?.location) {
      pick.hide();
      void open(item.location);
    }
  });
  pick.onDidHide(() => {
    clearTimeout(pause);
    forget();
    pick.dispose();
  });
  pick.show();
  void ask();
}

/** The best of all roots first (scores are made of ranks), then why there may be more. */
function found(answers: RootHits[]): Item[] {
  const hits = answers.flatMap(({ hits }) => hits).sort((a, b) => b.score - a.score);
  const items: Item[] = hits.map(({ location, symbol, kind, text }) => {
    const line = `:${location.range.start.line + 1}`;
    const [first = ""] = text.trimStart().split("\n");
    return {
      label: plain(symbol ?? first.trim()),
      description: plain(vscode.workspace.asRelativePath(vscode.Uri.parse(location.uri)) + line),
      detail: plain(symbol === null ? kind : first.trim()),
      // What was found by meaning has none of the letters that were typed.
      alwaysShow: true,
      location,
    };
  });
  const why = new Set(answers.flatMap(({ degraded }) => degraded ?? []));
  return [...(items.length > 0 ? items : [said("Nothing found")]), ...[...why].map(said)];
}

function said(text: string): Item {
  return { label: `$(info) ${plain(text)}`, alwaysShow: true };
}

/** Code may look like an icon. */
function plain(text: string): string {
  return text.replace(/\$\(/g, "\\$(");
}

async function open({ uri, range }: lsp.Location): Promise<void> {
  const { line, character } = range.start;
  const start = new vscode.Position(line, character);
  const selection = new vscode.Range(start, start);
  try {
    await vscode.window.showTextDocument(vscode.Uri.parse(uri), { selection });
  } catch (error) {
    void vscode.window.showWarningMessage(words(error));
  }
}
