import assert from "node:assert/strict";
import { test } from "node:test";

import { page } from "../../src/evidence/html";
import { patched } from "../../src/fixes/patch";
import type { Evidence, Status } from "../../src/protocol";
import { body } from "../../src/report";
import { lines, shown } from "../../src/statusText";
import { segments, testsBelow, tree } from "../../src/tests/ids";

function status(of: Partial<Status>): Status {
  const none = { root: null, phase: null, passed: null, failing: null, fixes: null, message: null };
  return { daemon: "up", ...none, ...of };
}

test("ids become the names on the way to a test", () => {
  assert.deepEqual(segments("t/test_a.py::TestA::test_b[x::y]"), [
    "t/test_a.py",
    "TestA",
    "test_b[x::y]",
  ]);
  assert.deepEqual(segments("a.test.mjs::suite > adds one"), ["a.test.mjs", "suite", "adds one"]);
  assert.deepEqual(segments("./price::TestTotal/empty"), ["./price", "TestTotal", "empty"]);
  assert.deepEqual(segments("my-crate::m::tests::works"), ["my-crate", "m", "tests", "works"]);
  assert.deepEqual(segments("odd"), ["odd"]);
});

test("a test may have tests below it", () => {
  const top = tree(["./p::TestA", "./p::TestA/one", "./p::TestB"]);
  assert.deepEqual(testsBelow(top), ["./p::TestA", "./p::TestA/one", "./p::TestB"]);
  const a = top.children.get("./p")?.children.get("TestA");
  assert.equal(a?.test, "./p::TestA");
  assert.equal(a?.children.size, 1);
});

test("edits apply to the text as it was", () => {
  const edits = [
    { start: 0, end: 1, text: "(" },
    { start: 4, end: 4, text: ")" },
    { start: 2, end: 3, text: "" },
  ];
  assert.equal(patched("abcd", edits), "(bd)");
  assert.throws(() => patched("abcd", [{ start: 0, end: 3, text: "" }, { start: 2, end: 4, text: "" }]));
});

test("the status bar says one thing at a time", () => {
  const of = (roots: Status[], daemon = status({})) =>
    shown({ daemon, roots: new Map(roots.map((root, at) => [String(at), root])) });
  assert.match(shown({ roots: new Map() }).text, /loading/);
  assert.equal(shown({ problem: { message: "gone", idle: false }, roots: new Map() }).severity, "error");
  assert.equal(shown({ problem: { message: "no folder", idle: true }, roots: new Map() }).severity, "plain");
  const down = of([], status({ daemon: "down", message: "it ended" }));
  assert.deepEqual(down, { text: "$(debug-disconnect) Greenlit: reconnecting", severity: "plain" });
  assert.equal(of([], status({ daemon: "gave-up" })).severity, "error");
  const settled = status({ phase: "settled", passed: 3, failing: 2, fixes: 1 });
  assert.equal(of([settled]).text, "$(lightbulb) Greenlit: 2 failing, 1 fix");
  const green = status({ phase: "settled", passed: 3, failing: 0, fixes: 0 });
  assert.equal(of([green, green]).text, "$(pass) Greenlit: 6 passed");
  assert.match(of([green, status({ phase: "testing" })]).text, /testing/);
  assert.equal(of([status({ phase: "problem", message: "no runner" })]).severity, "warning");
});

test("the tooltip's text cannot become a link", () => {
  const message = "see [this](command:evil) `x`\nnow";
  const [line] = lines({ daemon: status({ daemon: "down", message }), roots: new Map() }, undefined);
  assert.equal(line, "Daemon down: see \\[this\\]\\(command:evil\\) \\`x\\` now");
});

test("the tooltip tells the layer, the index and the models of each root", () => {
  const root = { branch: null, phase: "idle", index: null, adapter: null };
  const report = {
    build: "0.1.0",
    pid: 7,
    log: "/l",
    roots: [
      { ...root, root: "/w/a", layer: "namespaces", index: "12 files" },
      { ...root, root: "/w/b", layer: null, adapter: "mine_2@1" },
    ],
    models: [
      { tier: "small", model: "tiny_1" },
      { tier: "large", model: "big" },
    ],
  };
  assert.deepEqual(lines({ daemon: status({}), roots: new Map() }, report), [
    "**a**: idle",
    "Sandbox: namespaces",
    "Index: 12 files",
    "**b**: idle",
    "Sandbox: nothing ran yet",
    "Index: not asked for yet",
    "Adapter: mine\\_2@1",
    "Model (small): tiny\\_1",
    "Model (large): big",
    "greenlitd 0.1.0, process 7",
  ]);
});

test("what is degraded is in the bar when nothing goes on, and in the tooltip with the remedy", () => {
  const settled = status({ phase: "settled", passed: 4, failing: 0 });
  const known = { daemon: status({}), roots: new Map([["/w/a", settled]]) };
  const root = { root: "/w/a", branch: null, phase: "settled", index: null, adapter: null };
  const report = { build: "0.1.0", pid: 7, log: "/l", models: [] };
  const fine = { ...report, roots: [{ ...root, layer: "namespaces" }], engine: null };
  assert.equal(shown(known, fine).text, "$(pass) Greenlit: 4 passed");
  const engine = { state: "out-of-memory", detail: "no memory for big", remedy: "close something" };
  const less = { ...report, roots: [{ ...root, layer: "landlock" }], engine };
  assert.equal(shown(known, less).text, "$(pass) Greenlit: 4 passed (degraded)");
  const told = lines(known, less).filter((line) => line.startsWith("Degraded"));
  assert.match(told[0] ?? "", /weaker sandbox.*landlock.*doctor/);
  assert.match(told[1] ?? "", /no memory for big; close something/);
  const busy = { ...known, roots: new Map([["/w/a", status({ phase: "testing" })]]) };
  assert.doesNotMatch(shown(busy, less).text, /degraded/);
});

function evidence(): Evidence {
  return {
    root: "file:///w",
    holds: true,
    report: {
      id: "1",
      title: "Fix <b>test</b>",
      entry: {
        tests: ["a"],
        rank: 1,
        diff: "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-<script>alert(1)</script>\n+y\n",
        source: { tier: "template", rule: "comparison" },
        evidence: {
          red_to_green: ["a"],
          unchanged: 3,
          newly_failing: 0,
          runs: 2,
          scope: "all",
          layer: "namespaces",
          duration_ms: 900,
          content_hashes: { "x.py": "0123456789abcdef0123" },
          retrieved: {
            passages: [{ path: "y.py", start_line: 3, end_line: 9, symbol: "near" }],
            degraded: null,
          },
        },
      },
      localization: "spectrum (sys.monitoring)",
      suspicious: [['x.py:1"onclick="evil', 0.9]],
      tests: [
        { id: "a", before: "failed", after: "passed" },
        { id: "b", before: "passed", after: "passed" },
      ],
      fallen: [["still fails", 12]],
      killed_by: [["assert 1 == 2", 11]],
      tried: [
        { place: "a.py:2", summary: "replace `+` by `<b>`", reason: "still fails", failure: "assert 1 == 2" },
      ],
      stats: {
        localized_ms: 100,
        elapsed_ms: 2000,
        cpu_ms: 1500,
        candidates: { generated: 20, rejected_static: 3, known: 0, built: 17, run: 13, verified: 1 },
      },
    },
  };
}

test("the evidence page escapes what it shows and loads nothing", () => {
  const own = { source: "vscode-webview:", style: "vscode-webview:/s.css", script: "vscode-webview:/s.js" };
  const html = page(evidence(), own);
  assert.ok(html.includes("default-src &#39;none&#39;; style-src vscode-webview:; script-src vscode-webview:"));
  assert.ok(html.includes("&lt;script&gt;alert(1)"));
  assert.ok(!html.includes("<script>"));
  assert.ok(!/ (style|on\w+)=/.test(html.replace(/&quot;onclick=/g, "")));
  assert.ok(!/https?:/.test(html));
  for (const part of ["namespaces", "spectrum (sys.monitoring)", "still fails", "assert 1 == 2", "near", "by `&lt;b&gt;`"]) {
    assert.ok(html.includes(part), part);
  }
  assert.ok(html.includes('<button data-command="apply">'));
  assert.ok(html.includes('<button data-command="dismiss">'));
  assert.ok(!page({ ...evidence(), holds: false }, own).includes("<button"));
});

test("an issue names no home, workspace or user", () => {
  const text = body(
    {
      extension: "0.1.0",
      editor: "VS Code 1.91",
      platform: "linux",
      program: "/home/ada/bin/greenlit",
      checks: [{ name: "runner", state: "ok", detail: "pytest in /home/ada/secret|x\nmore", remedy: null }],
    },
    [
      ["/home/ada", "~"],
      ["/home/ada/secret", "<workspace>"],
      ["ada", "<user>"],
    ],
  );
  assert.ok(text.includes("- server: ~/bin/greenlit"));
  assert.ok(text.includes("| ok | runner | pytest in <workspace>\\|x |"));
  assert.ok(!text.includes("ada") && !text.includes("more"));
});
