// The Test Explorer: the tests that Greenlit knows, run in its sandbox.

import * as vscode from "vscode";

import type { Test, TestResults } from "../protocol";
import { type Server, words } from "../server/server";
import { type Node, testsBelow, tree } from "./ids";

/** What an item of the explorer stands for. */
interface Meaning {
  root: string;
  node: Node;
}

/** One root as it is shown. */
interface Shown {
  tests: Map<string, Test>;
  items: Map<string, vscode.TestItem>;
}

export class TestExplorer implements vscode.Disposable {
  private readonly controller = vscode.tests.createTestController("greenlit", "Greenlit");
  private readonly meanings = new WeakMap<vscode.TestItem, Meaning>();
  private readonly roots = new Map<string, Shown>();
  private readonly changed = new vscode.EventEmitter<void>();

  /** Outcomes or places are others now. */
  readonly onChange = this.changed.event;

  constructor(private readonly server: Server) {
    this.controller.createRunProfile(
      "Run in Greenlit's Sandbox",
      vscode.TestRunProfileKind.Run,
      (request, token) => this.run(request, token),
      true,
    );
    this.controller.refreshHandler = (token) =>
      this.run(new vscode.TestRunRequest(), token, "discover");
    server.onTests((results) => {
      void this.refresh(results).then(() => this.record(results));
    });
  }

  /** Failing tests of a file, with the line each is written at. */
  failingIn(uri: vscode.Uri): { root: string; test: Test; line: number }[] {
    const here = uri.toString();
    return [...this.roots].flatMap(([root, { tests }]) =>
      [...tests.values()].flatMap((test) => {
        const failing = test.outcome === "failed" || test.outcome === "hung";
        const at = test.place?.line === undefined ? test.failure : test.place;
        const there = failing && at && vscode.Uri.parse(at.uri).toString() === here;
        return there ? [{ root, test, line: at.line ?? 0 }] : [];
      }),
    );
  }

  /** The test that an item is. */
  testOf(item: vscode.TestItem): { root: string; tests: string[] } | undefined {
    const meaning = this.meanings.get(item);
    return meaning && { root: meaning.root, tests: testsBelow(meaning.node) };
  }

  /** Every item by test, for tests. */
  items(): Map<string, vscode.TestItem> {
    return new Map([...this.roots.values()].flatMap(({ items }) => [...items]));
  }

  outcome(id: string): string | undefined {
    return [...this.roots.values()].map(({ tests }) => tests.get(id)?.outcome).find(Boolean);
  }

  /** Forgets roots that are not open any more. */
  keep(roots: readonly string[]): void {
    for (const root of this.roots.keys()) {
      if (!roots.includes(root)) {
        this.roots.delete(root);
        this.controller.items.delete(root);
      }
    }
    this.changed.fire();
  }

  /** Runs what a person asked for; `discover` runs everything, to see what there is. */
  private async run(
    request: vscode.TestRunRequest,
    token: vscode.CancellationToken,
    why?: "discover",
  ): Promise<void> {
    const run = this.controller.createTestRun(request);
    const wanted = why
      ? new Map((vscode.workspace.workspaceFolders ?? []).map((f) => [f.uri.toString(), []]))
      : this.wanted(request);
    const one = async ([root, ids]: [string, string[]]) => {
      const shown = this.roots.get(root);
      const items = (ids.length > 0 ? ids : [...(shown?.items.keys() ?? [])]).flatMap(
        (id) => shown?.items.get(id) ?? [],
      );
      items.forEach((item) => run.started(item));
      try {
        const results = await this.server.ask<TestResults>(
          "greenlit/runTests",
          { root, tests: ids },
          token,
        );
        await this.refresh(results);
        this.apply(run, results);
      } catch (error) {
        if (!token.isCancellationRequested) {
          run.appendOutput(`${words(error)}\r\n`);
          items.forEach((item) => run.errored(item, new vscode.TestMessage(words(error))));
        }
      }
    };
    await Promise.all([...wanted].map(one));
    run.end();
  }

  /** Test ids by root; none means all of the root. */
  private wanted(request: vscode.TestRunRequest): Map<string, string[]> {
    const wanted = new Map<string, string[]>();
    const excluded = new Set((request.exclude ?? []).flatMap((i) => this.testOf(i)?.tests ?? []));
    const tops = [...this.controller.items].map(([, item]) => item);
    for (const item of request.include ?? tops) {
      const of = this.testOf(item);
      if (of) {
        const ids = of.tests.filter((id) => !excluded.has(id));
        wanted.set(of.root, [...new Set([...(wanted.get(of.root) ?? []), ...ids])]);
      }
    }
    for (const [root, ids] of wanted) {
      if (ids.length === this.roots.get(root)?.tests.size) {
        wanted.set(root, []);
      }
    }
    return wanted;
  }

  /** Takes outcomes over, then asks where the tests are written. */
  private async refresh(results: TestResults): Promise<void> {
    const { root } = results;
    const shown = this.roots.get(root) ?? { tests: new Map(), items: new Map() };
    if (results.complete) {
      shown.tests = new Map();
    }
    results.tests.forEach((test) => shown.tests.set(test.id, test));
    this.roots.set(root, shown);
    try {
      const known = await this.server.ask<TestResults[]>("greenlit/tests", { root });
      for (const { id, place } of known.flatMap((known) => known.tests)) {
        const test = shown.tests.get(id);
        if (test && place) {
          test.place = place;
        }
      }
    } catch (error) {
      this.server.output.warn(`where tests are written is not known: ${words(error)}`);
    }
    this.show(root, shown);
    this.changed.fire();
  }

  private show(root: string, shown: Shown): void {
    const top = tree(shown.tests.keys());
    const name = vscode.workspace.getWorkspaceFolder(vscode.Uri.parse(root))?.name ?? root;
    let folder = this.controller.items.get(root);
    if (!folder) {
      folder = this.controller.createTestItem(root, name, vscode.Uri.parse(root));
      this.controller.items.add(folder);
    }
    this.meanings.set(folder, { root, node: top });
    shown.items.clear();
    this.fill(folder.children, top, root, shown);
  }

  private fill(into: vscode.TestItemCollection, node: Node, root: string, shown: Shown): void {
    const items = [...node.children.values()].map((child) => {
      const [first = ""] = testsBelow(child);
      const test = shown.tests.get(child.test ?? first);
      const uri = test?.place && vscode.Uri.parse(test.place.uri);
      const key = `${root}${child.key}`;
      const old = into.get(key);
      const same = old && old.uri?.toString() === uri?.toString();
      const item = same ? old : this.controller.createTestItem(key, child.name, uri);
      const line = child.test === undefined ? undefined : test?.place?.line;
      item.range = line === undefined ? undefined : new vscode.Range(line, 0, line, 0);
      this.meanings.set(item, { root, node: child });
      if (child.test !== undefined) {
        shown.items.set(child.test, item);
      }
      this.fill(item.children, child, root, shown);
      return item;
    });
    into.replace(items);
  }

  /** Shows the outcomes of a run that nobody here asked for. */
  private record(results: TestResults): void {
    const run = this.controller.createTestRun(new vscode.TestRunRequest(), "saved", false);
    this.apply(run, results);
    run.end();
  }

  private apply(run: vscode.TestRun, { root, tests }: TestResults): void {
    const items = this.roots.get(root)?.items;
    for (const test of tests) {
      const item = items?.get(test.id);
      if (!item) {
        continue;
      }
      if (test.outcome === "passed") {
        run.passed(item, test.durationMs);
      } else if (test.outcome === "skipped") {
        run.skipped(item);
      } else {
        run.failed(item, message(test), test.durationMs);
      }
    }
    const failing = [...this.roots.values()].flatMap(({ tests, items }) =>
      [...tests.values()].flatMap((t) =>
        t.outcome === "failed" || t.outcome === "hung" ? (items.get(t.id)?.id ?? []) : [],
      ),
    );
    void vscode.commands.executeCommand("setContext", "greenlit.failingTests", failing);
  }

  dispose(): void {
    this.controller.dispose();
  }
}

function message(test: Test): vscode.TestMessage {
  const flaky = "flaky: it failed, and passed when run again";
  const text = test.message ?? (test.outcome === "flaky" ? flaky : test.outcome);
  const message = new vscode.TestMessage(text);
  message.contextValue = `greenlit.${test.outcome}`;
  const { uri, line } = test.failure ?? {};
  if (uri !== undefined && line !== undefined) {
    message.location = new vscode.Location(vscode.Uri.parse(uri), new vscode.Position(line, 0));
  }
  return message;
}
