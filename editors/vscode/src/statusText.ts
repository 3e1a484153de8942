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

/** One line for the bar: the busiest root counts, then the one with the most to do. */
export function shown(known: Known): Shown {
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
export function lines(known: Known, report: StatusReport["report"] | undefined): string[] {
  const text: string[] = [];
  if (known.problem !== undefined) {
    text.push(escape(known.problem.message));
  } else if (known.daemon?.message) {
    text.push(`Daemon ${known.daemon.daemon}: ${escape(known.daemon.message)}`);
  }
  for (const root of report?.roots ?? []) {
    const name = root.root.split(/[\\/]/).pop() ?? root.root;
    const branch = root.branch ? ` (${escape(root.branch)})` : "";
    text.push(`**${escape(name)}**${branch}: ${escape(root.phase)}`);
    text.push(`Sandbox: ${escape(root.layer ?? "nothing ran yet")}`);
    text.push(`Index: ${escape(root.index ?? "not asked for yet")}`);
  }
  for (const status of known.roots.values()) {
    if (status.phase === "problem" && status.message) {
      text.push(escape(status.message));
    }
  }
  for (const { tier, model, adapter } of report?.models ?? []) {
    text.push(`Model (${tier}): ${escape(model)}${adapter ? ` with ${escape(adapter)}` : ""}`);
  }
  if (report) {
    text.push(`greenlitd ${escape(report.build)}, process ${report.pid}`);
  }
  return text;
}

function escape(text: string): string {
  return text.replace(/[\\`*_{}[\]()#+!|<>~$]/g, "\\$&").replace(/\s*\n\s*/g, " ");
}
