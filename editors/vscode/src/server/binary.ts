// Finds the server's program and looks whether it is one that this extension can talk to. No VS Code
// here: what the machine is like comes in as functions.

import * as path from "node:path";

export interface Machine {
  /** Whether there is a file. */
  exists(file: string): boolean;
  /** What `file --version` prints; rejects with the system's error code. */
  version(file: string): Promise<string>;
  /** The directories of PATH. */
  path: string[];
  windows: boolean;
}

export type Found = { ok: true; program: string; version: string } | { ok: false; problem: Problem };

/** Why there is no server, and what to do. */
export interface Problem {
  message: string;
  /** What the message offers. */
  ways: ("settings" | "install")[];
}

const NAME = "greenlit";

/** The setting decides alone; else the bundled program, else the first one in PATH. */
export async function find(
  machine: Machine,
  setting: string | undefined,
  extensionDir: string,
  ours: string,
): Promise<Found> {
  const name = machine.windows ? `${NAME}.exe` : NAME;
  let program: string | undefined;
  if (setting) {
    if (!machine.exists(setting)) {
      return failed(`there is no file \`${setting}\`, which the setting greenlit.path names`, [
        "settings",
      ]);
    }
    program = setting;
  } else {
    const places = [path.join(extensionDir, "bin"), ...machine.path.filter((dir) => dir !== "")];
    program = places.map((dir) => path.join(dir, name)).find((file) => machine.exists(file));
  }
  if (!program) {
    return failed(`\`${name}\` is not in PATH`, ["install", "settings"]);
  }
  return check(machine, program, ours);
}

async function check(machine: Machine, program: string, ours: string): Promise<Found> {
  let text: string;
  try {
    text = await machine.version(program);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "EACCES" || code === "EPERM") {
      return failed(`\`${program}\` is not executable`, ["settings"]);
    }
    const why = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
    return failed(`\`${program}\` does not start: ${why}`, ["settings", "install"]);
  }
  const version = /^greenlit (\d+\.\d+\.\d+\S*)/.exec(text.trim())?.[1];
  if (!version) {
    return failed(`\`${program}\` is not Greenlit's server`, ["settings"]);
  }
  if (series(version) !== series(ours)) {
    const message = `\`${program}\` is version ${version}, this extension is ${ours}: install both from the same release`;
    return failed(message, ["install", "settings"]);
  }
  return { ok: true, program, version };
}

/** Versions of one series understand each other: 0.3.x, 1.x. */
function series(version: string): string {
  const [major = "", minor = ""] = version.split(".");
  return major === "0" ? `0.${minor}` : major;
}

function failed(message: string, ways: Problem["ways"]): Found {
  return { ok: false, problem: { message, ways } };
}
