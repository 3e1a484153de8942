// What the status bar says, from what is known.

import type { Status, StatusReport } from "./protocol";

/** Why no server runs. */
export interface Reason {
  message: string;
  /** Nothing is wrong: there is nothing to do. */
  idle: boolean;
}

export interface Known {
  /** `undefined` while a server runs. */
  problem?: Reason | undefined;
  /** The daemon's own status. */
  daemon?: Status;
  /** The last status of each root, by URI. */
  roots: ReadonlyMap<string, Status>;
}

export interface Shown {
  text: string;
  severity: "plain" | "warning" | "error";
}

type Report = StatusReport["report"];

/** The layer that tests run in where nothing is missing. */
const WHOLE_SANDBOX = "namespaces";
/** What an engine says that somebody wants and does not have. */
const BROKEN = new Set(["crashed", "given-up", "out-of-memory"]);

/** What works less well than it could, with what can be done. */
export function degraded(report: Report): string[] {
  const found = (report?.roots ?? [])
    .filter(({ layer }) => layer !== null && layer !== WHOLE_SANDBOX)
    .map(({ layer }) => `tests run in a weaker sandbox (${layer}); \`greenlit doctor\` says why`);
  const { engine } = report ?? {};
  if (engine && BROKEN.has(engine.state)) {
    found.push(engine.remedy ? `${engine.detail}; ${engine.remedy}` : engine.detail);
  }
  return [...new Set(found)];
}

/** One line for the bar: the busiest root counts, then the one with the most to do. */
export function shown(known: Known, report?: Report): Shown {
  const said = ofAll(known);
  const calm = known.daemon?.daemon === "up" && !said.text.startsWith("$(loading");
  const less = calm && known.problem === undefined && degraded(report).length > 0;
  return less ? { ...said, text: `${said.text} (degraded)` } : said;
}

function ofAll(known: Known): Shown {
  if (known.problem !== undefined) {
    return known.problem.idle
      ? { text: "$(circle-slash) Greenlit", severity: "plain" }
      : { text: "$(error) Greenlit", severity: "error" };
  }
  switch (known.daemon?.daemon) {
    case undefined:
    case "connecting":
      return { text: "$(loading~spin) Greenlit", severity: "plain" };
    case "down":
      return { text: "$(debug-disconnect) Greenlit: reconnecting", severity: "plain" };
    case "gave-up":
      return { text: "$(error) Greenlit: stopped", severity: "error" };
    case "up":
      return ofRoots([...known.roots.values()]);
  }
}

function ofRoots(roots: Status[]): Shown {
  const sum = (of: (root: Status) => number | null) =>
    roots.reduce((total, root) => total + (of(root) ?? 0), 0);
  const phase = (name: Status["phase"]) => roots.some((root) => root.phase === name);
  const failing = sum((root) => root.failing);
  const fixes = sum((root) => root.fixes);
  if (phase("fixing")) {
    return { text: `$(loading~spin) Greenlit: ${failing} failing`, severity: "plain" };
  }
  if (phase("testing")) {
    return { text: "$(loading~spin) Greenlit: testing", severity: "plain" };
  }
  if (phase("problem")) {
    return { text: "$(warning) Greenlit", severity: "warning" };
  }
  if (failing > 0) {
    const offered = fixes > 0 ? `, ${plural(fixes, "fix", "fixes")}` : "";
    return { text: `$(lightbulb) Greenlit: ${failing} failing${offered}`, severity: "plain" };
  }
  if (phase("settled")) {
    return { text: `$(pass) Greenlit: ${sum((root) => root.passed)} passed`, severity: "plain" };
  }
  return { text: "$(beaker) Greenlit", severity: "plain" };
}

function plural(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** The lines of the tooltip, as Markdown. */
export function lines(known: Known, report?: Report): string[] {
  const text: string[] = [];
  if (known.problem !== undefined) {
    text.push(escape(known.problem.message));
  } else if (known.daemon?.message) {
    text.push(`Daemon ${known.daemon.daemon}: ${escape(known.daemon.message)}`);
  }
  for (const why of degraded(report)) {
    text.push(`Degraded: ${escape(why)}`);
  }
  for (const root of report?.roots ?? []) {
    const name = root.root.split(/[\\/]/).pop() ?? root.root;
    const branch = root.branch ? ` (${escape(root.branch)})` : "";
    text.push(`**${escape(name)}**${branch}: ${escape(root.phase)}`);
    text.push(`Sandbox: ${escape(root.layer ?? "nothing ran yet")}`);
    text.push(`Index: ${escape(root.index ?? "not asked for yet")}`);
    if (root.adapter) {
      text.push(`Adapter: ${escape(root.adapter)}`);
    }
  }
  for (const status of known.roots.values()) {
    if (status.phase === "problem" && status.message) {
      text.push(escape(status.message));
    }
  }
  for (const { tier, model } of report?.models ?? []) {
    text.push(`Model (${tier}): ${escape(model)}`);
  }
  if (report) {
    text.push(`greenlitd ${escape(report.build)}, process ${report.pid}`);
  }
  return text;
}

function escape(text: string): string {
  return text.replace(/[\\`*_{}[\]()#+!|<>~$]/g, "\\$&").replace(/\s*\n\s*/g, " ");
}
