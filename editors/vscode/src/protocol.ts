// What the server adds to LSP. Its own types are in lsp/src/server and daemon/protocol.

import type * as lsp from "vscode-languageclient/node";

/** `greenlit/status`, told by the server. */
export interface Status {
  daemon: "connecting" | "up" | "down" | "gave-up";
  root: string | null;
  phase: "idle" | "testing" | "fixing" | "settled" | "problem" | null;
  passed: number | null;
  failing: number | null;
  fixes: number | null;
  message: string | null;
}

export type Outcome = "passed" | "failed" | "hung" | "flaky" | "skipped";

/** A 0-based line of a file. */
export interface Place {
  uri: string;
  line?: number;
}

export interface Test {
  id: string;
  outcome: Outcome;
  durationMs: number;
  message?: string;
  failure?: Place;
  place?: Place;
}

/** `greenlit/testResults`, and the answers to `greenlit/runTests` and `greenlit/tests`. */
export interface TestResults {
  root: string;
  revision: number;
  complete: boolean;
  tests: Test[];
}

/** An entry of `greenlit/fixes`. */
export interface ListedFix {
  id: string;
  root: string | null;
  title: string;
  summary: string;
  tests: string[];
  rank: number;
  data: ActionData;
}

/** What a code action carries to its resolution. */
export interface ActionData {
  fix: string;
  root: string;
  revision: number;
}

/** The answer to `greenlit/evidence`; `report` is the object behind `--json`. */
export interface Evidence {
  root: string | null;
  holds: boolean;
  report: EvidenceReport;
}

/** A candidate that is no fix. */
export interface TriedCandidate {
  place: string;
  summary: string;
  reason: string;
  failure: string | null;
}

export interface EvidenceReport {
  id: string;
  title: string;
  entry: {
    tests: string[];
    rank: number;
    diff: string;
    source: { tier: string; rule?: string; model?: string; adapter?: string | null };
    evidence: FixEvidence;
  };
  localization: string;
  suspicious: [string, number][];
  tests: { id: string; before: Outcome; after: Outcome }[];
  fallen: [string, number][];
  killed_by: [string, number][];
  tried: TriedCandidate[];
  stats: {
    localized_ms: number;
    elapsed_ms: number;
    cpu_ms: number;
    candidates: {
      generated: number;
      rejected_static: number;
      known: number;
      built: number;
      run: number;
      verified: number;
    };
  };
}

export interface FixEvidence {
  red_to_green: string[];
  unchanged: number;
  newly_failing: number;
  runs: number;
  scope: string;
  layer: string;
  duration_ms: number;
  content_hashes: Record<string, string>;
  diagnostic?: { seen: { code: string | null; message: string }; revealed: number };
  agreement?: { alike: number; behaviours: number; inputs: number };
  test_strength?: { mutants: number; survived: number };
  retrieved?: {
    passages: { path: string; start_line: number; end_line: number; symbol: string | null }[];
    degraded: string | null;
  };
  /** What the model that wrote it was asked; absent for templates. */
  generation?: {
    calls: number;
    prompt_tokens: number;
    completion_tokens: number;
    /** Whether the tokens are estimates. */
    estimated: boolean;
    model_ms: number;
    unusable: [string, number][];
  };
  merit?: { shortcut: boolean };
}

/** A root as `greenlit.status` has it. */
export interface RootReport {
  root: string;
  branch: string | null;
  phase: string;
  /** The sandbox layer that tests ran in last. */
  layer: string | null;
  index: string | null;
  /** What a local model writes with there. */
  adapter: string | null;
}

/** The part of `greenlit.status` that the tooltip shows. */
export interface StatusReport extends Status {
  report?: {
    build: string;
    pid: number;
    log: string;
    roots: RootReport[];
    models: { tier: string; model: string }[];
    /** What runs language models. */
    engine?: { state: string; detail: string; remedy: string | null } | null;
  };
}

/** What `greenlit/search` gives for a root. */
export interface RootHits {
  /** Why there may be more. */
  degraded: string | null;
  hits: {
    location: lsp.Location;
    symbol: string | null;
    kind: string;
    score: number;
    text: string;
  }[];
}

export function isActionData(value: unknown): value is ActionData {
  const data = value as ActionData | null | undefined;
  return typeof data?.fix === "string" && typeof data.root === "string";
}
