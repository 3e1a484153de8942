import assert from "node:assert/strict";
import { test } from "node:test";

import { type Machine, find } from "../../src/server/binary";

type Answer = string | { code: string };

/** A machine with these files, each with what `--version` gives. */
function machine(files: Record<string, Answer>, path = ["/usr/bin", "", "/home/me/bin"]): Machine {
  return {
    exists: (file) => file in files,
    version: async (file) => {
      const answer = files[file];
      if (typeof answer === "string") return answer;
      throw Object.assign(new Error("spawn failed"), answer);
    },
    path,
    windows: false,
  };
}

test("the setting decides alone, then comes the bundled program, then PATH", async () => {
  const files = {
    "/ext/bin/greenlit": "greenlit 0.1.3\n",
    "/home/me/bin/greenlit": "greenlit 0.1.0\n",
    "/own/greenlit": "greenlit 0.1.9\n",
  };
  const found = async (setting?: string, ext = "/ext") => {
    const result = await find(machine(files), setting, ext, "0.1.0");
    return result.ok ? result.program : result.problem.message;
  };
  assert.equal(await found("/own/greenlit"), "/own/greenlit");
  assert.equal(await found(), "/ext/bin/greenlit");
  assert.equal(await found(undefined, "/other"), "/home/me/bin/greenlit");
  assert.match(await found("/gone"), /no file `\/gone`.*greenlit\.path/);
});

test("what is wrong with a program is named, with a way out", async () => {
  const cases: [Answer | undefined, RegExp, string[]][] = [
    [undefined, /not in PATH/, ["install", "settings"]],
    [{ code: "EACCES" }, /`\/usr\/bin\/greenlit` is not executable/, ["settings"]],
    [{ code: "ENOEXEC" }, /does not start: spawn failed/, ["settings", "install"]],
    ["ls (GNU coreutils) 9.1", /is not Greenlit's server/, ["settings"]],
    ["greenlit 0.2.0", /is version 0\.2\.0, this extension is 0\.1\.4/, ["install", "settings"]],
  ];
  for (const [answer, message, ways] of cases) {
    const files = answer === undefined ? {} : { "/usr/bin/greenlit": answer };
    const found = await find(machine(files as Record<string, Answer>), undefined, "/ext", "0.1.4");
    assert.ok(!found.ok);
    assert.match(found.problem.message, message);
    assert.deepEqual(found.problem.ways, ways);
  }
});

test("from 1.0 on the first number tells whether versions fit", async () => {
  const found = await find(
    machine({ "/usr/bin/greenlit": "greenlit 1.7.0" }),
    "",
    "/ext",
    "1.2.0",
  );
  assert.ok(found.ok);
  assert.equal(found.version, "1.7.0");
});
