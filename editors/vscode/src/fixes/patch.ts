// A text with edits applied.

export interface Edit {
  /** In UTF-16 units, like VS Code's own offsets. */
  start: number;
  end: number;
  text: string;
}

/** Edits are for the text as it is, and do not overlap. */
export function patched(text: string, edits: readonly Edit[]): string {
  const ordered = [...edits].sort((a, b) => b.start - a.start || b.end - a.end);
  let result = text;
  let before = Number.POSITIVE_INFINITY;
  for (const { start, end, text: replacement } of ordered) {
    if (start > end || end > before) {
      throw new Error("edits overlap");
    }
    result = result.slice(0, start) + replacement + result.slice(end);
    before = start;
  }
  return result;
}
