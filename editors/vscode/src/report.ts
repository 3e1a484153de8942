// What "Report Issue" sends: how Greenlit and the machine are, and no code.

/** An entry of `greenlit doctor --json`. */
export interface Check {
  name: string;
  state: "ok" | "warning" | "failed";
  detail: string;
  remedy: string | null;
}

export interface Facts {
  extension: string;
  editor: string;
  platform: string;
  /** The program in use; `undefined` when none was found. */
  program: string | undefined;
  checks: Check[];
  /** What went wrong while asking. */
  problem?: string;
}

/** Names of directories that say who somebody is or what they work on, longest first. */
export function body(facts: Facts, hidden: readonly [string, string][]): string {
  const rows = facts.checks.map(({ name, state, detail }) => {
    const line = detail.split("\n")[0] ?? "";
    return `| ${state} | ${cell(name)} | ${cell(line)} |`;
  });
  const text = `### What happened


### What should have happened


### Environment

- extension ${facts.extension}, ${facts.editor}, ${facts.platform}
- server: ${facts.program ?? "not found"}
${facts.problem ? `- ${facts.problem.split("\n")[0]}\n` : ""}
| State | Check | Detail |
|---|---|---|
${rows.join("\n")}
`;
  const ordered = [...hidden].filter(([from]) => from.length > 1);
  ordered.sort(([a], [b]) => b.length - a.length);
  return ordered.reduce((clean, [from, to]) => clean.replaceAll(from, to), text);
}

function cell(text: string): string {
  return text.replace(/\|/g, "\\|").replace(/\s+/g, " ");
}
