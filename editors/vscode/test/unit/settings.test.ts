import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { explicit, serverKeys } from "../../src/server/settings";

interface Property {
  scope?: string;
  type?: unknown;
  markdownDescription?: string;
  default?: unknown;
}

const manifest = JSON.parse(readFileSync("package.json", "utf8")) as {
  version: string;
  contributes: {
    configuration: { properties: Record<string, Property> };
    commands: { command: string }[];
  };
};
const { properties } = manifest.contributes.configuration;

interface Schema {
  properties: Record<string, { $ref: string }>;
  $defs: Record<string, { properties: Record<string, { description?: string; default?: unknown }> }>;
}
const schema = JSON.parse(readFileSync("schemas/greenlit.schema.json", "utf8")) as Schema;

test("only what was set is sent, and personal settings only from the person", () => {
  const set: Record<string, object> = {
    "run.on_save": { globalValue: false, workspaceValue: true },
    "fix.max_fixes": { defaultValue: 5 },
    "sandbox.layer": { workspaceValue: "none" },
    "run.env": { globalValue: null },
    "paths.never": { globalValue: ["mine/"], workspaceValue: [], workspaceFolderValue: ["theirs/"] },
  };
  const sent = explicit(Object.keys(set), new Set(["sandbox.layer"]), (key) => set[key]);
  assert.deepEqual(sent, { run: { on_save: true }, paths: { never: ["mine/", "theirs/"] } });
});

test("the sandbox is the person's own", () => {
  const { keys, personal } = serverKeys(properties);
  const sandbox = keys.filter((key) => key.startsWith("sandbox."));
  assert.ok(sandbox.length > 3);
  assert.deepEqual(sandbox.filter((key) => !personal.has(key)), []);
  assert.ok(personal.has("run.env"));
  assert.ok(!keys.some((key) => key.startsWith("editor") || key === "path"));
});

test("the settings are those of greenlit.toml, in its words", () => {
  const { keys } = serverKeys(properties);
  const expected = ["run", "fix", "paths", "sandbox"].flatMap((section) => {
    const name = schema.properties[section]?.$ref.split("/").pop() ?? "";
    return Object.entries(schema.$defs[name]?.properties ?? {}).map(
      ([key, of]) => [`${section}.${key}`, of] as const,
    );
  });
  assert.deepEqual(keys, expected.map(([key]) => key));
  for (const [key, of] of expected) {
    const own = properties[`greenlit.${key}`];
    assert.equal(own?.markdownDescription, of.description?.replace(/\n/g, " "), key);
    assert.deepEqual(own?.default ?? null, of.default ?? null, key);
  }
});

test("every setting has a scope and a description", () => {
  for (const [name, property] of Object.entries(properties)) {
    assert.ok(property.scope && property.markdownDescription, name);
  }
});

test("every contributed command exists and every command is contributed", () => {
  const source = readFileSync("src/extension.ts", "utf8");
  const table = source.slice(source.indexOf("const all:"), source.indexOf("Object.entries(all)"));
  const registered = [...table.matchAll(/^ {4}(\w+)(?=[:,])/gm)].map((found) => found[1]);
  const contributed = manifest.contributes.commands.map(({ command }) => command.split(".")[1]);
  assert.deepEqual([...registered].sort(), [...contributed].sort());
});
