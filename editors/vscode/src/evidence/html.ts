// The evidence panel as HTML. Everything that comes from outside is escaped; no script or style
// stands in the page, and the policy lets nothing but the extension's own files in.

import type { Evidence, EvidenceReport, FixEvidence, Outcome, TriedCandidate } from "../protocol";

export interface Page {
  /** `webview.cspSource` */
  source: string;
  style: string;
  script: string;
}

const MOST = 200;

export function page(evidence: Evidence, { source, style, script }: Page): string {
  const { report } = evidence;
  const policy = `default-src 'none'; style-src ${source}; script-src ${source}`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${text(policy)}">
<link rel="stylesheet" href="${text(style)}">
<title>${text(report.title)}</title>
</head>
<body>
<h1>${text(report.title)}</h1>
${actions(evidence)}
<h2>Change</h2>
${diff(report.entry.diff)}
<h2>Verification</h2>
${verification(report.entry.evidence)}
<h2>Tests</h2>
${tests(report)}
<h2>Search</h2>
${search(report)}
<h2>Time line</h2>
${timeLine(report)}
${retrieved(report.entry.evidence)}
<h2>Contents it holds for</h2>
${table(Object.entries(report.entry.evidence.content_hashes).map(([path, hash]) => [open(path), code(hash.slice(0, 16))]))}
<script src="${text(script)}"></script>
</body>
</html>`;
}

function actions({ holds }: Evidence): string {
  return holds
    ? `<p class="actions"><button data-command="preview">Preview</button> <button data-command="apply">Apply</button> <button data-command="dismiss">Dismiss</button></p>`
    : `<p class="gone">The code changed since this fix was verified, or it was applied or dismissed: it is not on offer any more.</p>`;
}

function diff(patch: string): string {
  const lines = patch.trimEnd().split("\n");
  const kind = (line: string) => {
    if (line.startsWith("+++") || line.startsWith("---")) return "file";
    if (line.startsWith("@@")) return "hunk";
    if (line.startsWith("+")) return "added";
    return line.startsWith("-") ? "removed" : "same";
  };
  const marked = lines.map((line) => `<span class="${kind(line)}">${text(line)}\n</span>`);
  return `<pre class="diff">${marked.join("")}</pre>`;
}

function verification(evidence: FixEvidence): string {
  const rows: [string, string][] = [
    ["Red to green", evidence.red_to_green.map(code).join(", ")],
    ["Unchanged", `${evidence.unchanged} tests`],
    ["Newly failing", String(evidence.newly_failing)],
    ["Runs of the failing tests", String(evidence.runs)],
    ["Tests run", text(evidence.scope)],
    ["Sandbox layer", text(evidence.layer)],
    ["Time", seconds(evidence.duration_ms)],
  ];
  if (evidence.diagnostic) {
    const { seen } = evidence.diagnostic;
    rows.unshift(["Diagnostic gone", text(`${seen.code ?? ""} ${seen.message}`)]);
  }
  if (evidence.agreement) {
    const { alike, behaviours, inputs } = evidence.agreement;
    const open = behaviours > 1 ? "; compare the other fixes" : "";
    rows.push([
      "Behaviour",
      `${behaviours} among the candidates on ${inputs} more inputs, ${alike} behave like this one${open}`,
    ]);
  }
  if (evidence.test_strength) {
    const { mutants, survived } = evidence.test_strength;
    rows.push(["Tests around it", `miss ${survived} of ${mutants} small changes of the function`]);
  }
  if (evidence.merit?.shortcut) {
    rows.push(["Mind", "it makes the code do less: see whether what is skipped is needed"]);
  }
  return table(rows.map(([name, value]) => [text(name), value]));
}

function tests({ tests }: EvidenceReport): string {
  if (tests.length === 0) {
    return "<p>No test was run.</p>";
  }
  const changed = tests.filter((test) => test.before !== test.after);
  const same = tests.filter((test) => test.before === test.after);
  const row = (test: EvidenceReport["tests"][number]) => [
    code(test.id),
    `${outcome(test.before)} → ${outcome(test.after)}`,
  ];
  const rest = same.length > MOST ? `<p>${same.length - MOST} more ended as before.</p>` : "";
  return `${table(changed.map(row))}
<details><summary>${same.length} ended as before</summary>${table(same.slice(0, MOST).map(row))}${rest}</details>`;
}

function search(report: EvidenceReport): string {
  const { candidates } = report.stats;
  const { source } = report.entry;
  const by = [source.tier, source.rule, source.model, source.adapter].filter(Boolean).join(" ");
  const facts = table(
    [
      ["Written by", by],
      ["Localized by", report.localization],
      [
        "Candidates",
        `${candidates.generated} written, ${candidates.rejected_static} refused unrun, ${candidates.known} known to fall, ${candidates.built} built, ${candidates.run} run, ${candidates.verified} verified`,
      ],
      ...asked(report.entry.evidence),
    ].map(([name = "", value = ""]) => [text(name), text(value)]),
  );
  const suspicious = report.suspicious.slice(0, 20).map(([place, score]) => {
    const width = Math.round(Math.min(1, Math.max(0, score)) * 20);
    return [open(place), `${score.toFixed(2)} <span class="bar">${"█".repeat(width)}</span>`];
  });
  const counted = (rows: [string, number][]) =>
    table(rows.slice(0, MOST).map(([why, count]) => [String(count), text(why)]));
  return `${facts}
<details open><summary>Suspicious lines</summary>${table(suspicious)}</details>
<details><summary>Why candidates fell</summary>${counted(report.fallen)}</details>
${fell(report)}
<details><summary>Failures that killed most of them</summary>${counted(report.killed_by)}</details>`;
}

function fell(report: EvidenceReport): string {
  const rows = table(report.tried.map(tried));
  return report.tried.length > 0 ? `<details><summary>The first that fell</summary>${rows}</details>` : "";
}

function tried({ place, summary, reason, failure }: TriedCandidate): string[] {
  return [open(place), text(summary), text(reason), failure ? code(failure) : ""];
}

function asked({ generation }: FixEvidence): [string, string][] {
  if (!generation) {
    return [];
  }
  const { calls, prompt_tokens, completion_tokens, estimated, model_ms, unusable } = generation;
  const about = estimated ? "about " : "";
  const tokens = `${about}${prompt_tokens} tokens read, ${about}${completion_tokens} written`;
  const useless = unusable.map(([why, count]): [string, string] => ["Not usable", `${count} × ${why}`]);
  return [["Asked", `${calls} times: ${tokens}, ${seconds(model_ms)}`], ...useless];
}

function timeLine({ stats, entry }: EvidenceReport): string {
  const { localized_ms, elapsed_ms, cpu_ms } = stats;
  const steps = [
    ["0.0 s", "the search began, with the tests that had failed"],
    [seconds(localized_ms), "the suspicious lines were known"],
    ["then", `this fix was verified from scratch, in ${seconds(entry.evidence.duration_ms)}`],
    [seconds(elapsed_ms), `the search ended, after ${seconds(cpu_ms)} of CPU`],
  ];
  return table(steps.map((step) => step.map(text)));
}

function retrieved({ retrieved }: FixEvidence): string {
  if (!retrieved) {
    return "";
  }
  const rows = retrieved.passages.map((passage) => [
    open(`${passage.path}:${passage.start_line}`),
    text(passage.symbol ?? ""),
  ]);
  const why = retrieved.degraded ? `<p>${text(retrieved.degraded)}</p>` : "";
  return `<h2>Code that was lent</h2>${rows.length > 0 ? table(rows) : "<p>None.</p>"}${why}`;
}

function table(rows: (string | undefined)[][]): string {
  const cells = (row: (string | undefined)[]) => row.map((cell) => `<td>${cell ?? ""}</td>`);
  return `<table>${rows.map((row) => `<tr>${cells(row).join("")}</tr>`).join("")}</table>`;
}

function open(place: string): string {
  return `<a href="#" data-place="${text(place)}">${text(place)}</a>`;
}

function outcome(name: Outcome): string {
  return `<span class="outcome ${text(name)}">${text(name)}</span>`;
}

function code(value: string): string {
  return `<code>${text(value)}</code>`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

const ENTITIES: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

export function text(value: string): string {
  return value.replace(/[&<>"']/g, (sign) => ENTITIES[sign] ?? sign);
}
