// What the server is told of the settings: only what a person set. A default that VS Code fills in
// would win over the workspace's greenlit.toml.

/** What `WorkspaceConfiguration.inspect` gives, as far as it matters. */
export interface Inspected {
  globalValue?: unknown;
  workspaceValue?: unknown;
  workspaceFolderValue?: unknown;
}

/**
 * The settings in the shape of greenlit.toml.
 *
 * `keys` are those that the extension contributes for the server, `run.on_save`. Of `personal` ones
 * only the person's own value counts: a repository must not bring it along in `.vscode`. Lists are
 * added up: it must not take back what a person wants to be left alone, either.
 */
export function explicit(
  keys: readonly string[],
  personal: ReadonlySet<string>,
  inspect: (key: string) => Inspected | undefined,
): Record<string, Record<string, unknown>> {
  const sections: Record<string, Record<string, unknown>> = {};
  for (const key of keys) {
    const [section, name] = key.split(".");
    const found = inspect(key);
    const all = [found?.globalValue, found?.workspaceValue, found?.workspaceFolderValue];
    const set = all.filter((value) => value !== undefined && value !== null);
    const lists = set.filter((value): value is unknown[] => Array.isArray(value));
    const nearest = set.length > 0 && lists.length === set.length ? lists.flat() : set.at(-1);
    const value = personal.has(key) ? found?.globalValue : nearest;
    if (section && name && value !== undefined && value !== null) {
      (sections[section] ??= {})[name] = value;
    }
  }
  return sections;
}

interface Property {
  scope?: string;
}

/** The server's keys among the contributed settings, and which of them are the person's own. */
export function serverKeys(properties: Record<string, Property>): {
  keys: string[];
  personal: Set<string>;
} {
  const entries = Object.entries(properties)
    .map(([name, property]) => ({ key: name.replace(/^greenlit\./, ""), property }))
    .filter(({ key }) => /^(run|fix|paths|sandbox)\./.test(key));
  const own = entries.filter(({ property }) => property.scope === "machine");
  return {
    keys: entries.map(({ key }) => key),
    personal: new Set(own.map(({ key }) => key)),
  };
}
