// What a person does: sees the squiggle, opens the menu, chooses the fix, saves, and all is green.

import { existsSync, readFileSync, readdirSync } from "node:fs";
import path from "node:path";

const PATIENCE = { timeout: 90_000 };

export async function menu(page, shots) {
  const shot = async (name) => {
    if (shots) await page.screenshot({ path: path.join(shots, `${name}.png`) });
  };
  await page.waitForSelector(".monaco-workbench .part.statusbar", PATIENCE);
  await openFile(page, "test_people.py");
  await page.waitForSelector(".squiggly-error", PATIENCE);
  await page.waitForSelector(".codelens-decoration >> text=/verified fix/", PATIENCE);

  await page.click(".view-line >> text=/assert/");
  await page.keyboard.press("Control+Home");
  await goToLine(page, 5);
  const row = ".action-widget .monaco-list-row >> text=/verified: 1 red/";
  await retried(async () => {
    await page.keyboard.press("Escape");
    await page.keyboard.press("Control+.");
    await page.waitForSelector(row, { timeout: 3000 });
  });
  await shot("quick-fix");
  await page.keyboard.press("Escape");

  // From the problem's hover the same menu opens.
  await retried(async () => {
    await page.keyboard.press("Escape");
    await page.hover(".squiggly-error", { force: true });
    await page.click(".monaco-hover:visible .action >> text=/Quick Fix/", { timeout: 3000 });
    await page.waitForSelector(row, { timeout: 3000 });
  });
  await shot("hover");
  await page.keyboard.press("Escape");

  await fixFromTestExplorer(page, shot);

  // The evidence, from the lens above the test.
  await page.click(".codelens-decoration a >> text=Evidence");
  await choose(page);
  const frames = () => page.frames().map((frame) => frame.locator("h1").filter({ hasText: "verified" }));
  await retried(async () => {
    const counts = await Promise.all(frames().map((heading) => heading.count().catch(() => 0)));
    if (!counts.some((count) => count > 0)) throw new Error("no evidence yet");
  });
  await shot("evidence");
  if (shots) {
    const size = page.viewportSize();
    await page.setViewportSize({ ...size, height: 1600 });
    await shot("evidence-whole");
    await page.setViewportSize(size);
  }

  // The diff, and from there the change itself.
  await page.click(".codelens-decoration a >> text=/verified fix/");
  await choose(page);
  await page.waitForSelector(".monaco-diff-editor .line-insert", PATIENCE);
  await shot("preview");
  await page.click('.editor-actions a[aria-label="Apply This Fix"]');
  await page.waitForSelector(".monaco-diff-editor", { state: "hidden", ...PATIENCE });
  await page.dblclick('.explorer-folders-view .monaco-list-row >> text="people.py"');
  await page.waitForSelector('.tab.active.dirty[data-resource-name="people.py"]', PATIENCE);
  await page.waitForSelector(".view-line >> text=/>=/", PATIENCE);
  await page.keyboard.press("Control+s");
  await page.waitForSelector('.tab.active:not(.dirty)[data-resource-name="people.py"]', PATIENCE);
  await page.waitForSelector('#greenlit\\.greenlit\\.greenlit\\.status >> text=/4 passed/', PATIENCE);
  await shot("green");
  await search(page, shot);
  await killTheDaemon(page);
}

/** Words that are in a text lead to it, although they are not in what the list shows of it. */
async function search(page, shot) {
  await page.keyboard.press("Control+Shift+p");
  await page.waitForSelector(".quick-input-widget input", PATIENCE);
  await page.keyboard.type("Greenlit: Search");
  const entry = '.quick-input-list .monaco-list-row:has-text("Greenlit: Search…")';
  await page.waitForSelector(entry, PATIENCE);
  await page.keyboard.press("Enter");
  await page.waitForSelector('.quick-input-title >> text="Greenlit: Search"', PATIENCE);
  await page.keyboard.type("birthday of an adult");
  const row = '.quick-input-list .monaco-list-row:has-text("test_people.py:1")';
  await page.waitForSelector(row, PATIENCE);
  await page.waitForSelector('.quick-input-list:has-text("no embedding model")', PATIENCE);
  await shot("search");
  await page.click(row);
  // It asks once whether it may get a model.
  await page.click('.notification-toast .monaco-button >> text="Not now"');
  await page.waitForSelector(".notification-toast", { state: "detached", ...PATIENCE });
  await page.waitForSelector('.tab.active[data-resource-name="test_people.py"]', PATIENCE);
  await page.dblclick('.explorer-folders-view .monaco-list-row >> text="people.py"');
  await page.waitForSelector('.tab.active[data-resource-name="people.py"]', PATIENCE);
}

/** The button beside a failed test in the Test Explorer leads to the preview of a fix. */
async function fixFromTestExplorer(page, shot) {
  await page.click('.activitybar a[aria-label="Testing"]');
  const row = '.test-explorer .monaco-list-row >> text="test_adult_on_the_birthday"';
  await retried(async () => {
    const collapsed = page.locator(".test-explorer .monaco-tl-twistie.collapsed");
    if ((await collapsed.count()) > 0) await collapsed.first().click({ timeout: 3000 });
    await page.hover(row, { timeout: 3000 });
  });
  await shot("test-explorer");
  await page.click('.test-explorer .monaco-list-row .action-label[aria-label*="Fix"]');
  await choose(page);
  await page.waitForSelector(".monaco-diff-editor .line-insert", PATIENCE);
  await page.click(`.tab.active .action-label[aria-label^="Close"]`);
  await page.waitForSelector(".monaco-diff-editor", { state: "hidden", ...PATIENCE });
  await page.click('.activitybar a[aria-label^="Explorer"]');
  await openFile(page, "test_people.py");
}

/** Its end is not the person's affair: another takes over, and nothing pops up. */
async function killTheDaemon(page) {
  const before = daemons();
  if (before.length !== 1) throw new Error(`${before.length} daemons`);
  process.kill(before[0], "SIGKILL");
  await retried(async () => {
    if (!daemons().some((pid) => pid !== before[0])) throw new Error("no other daemon");
  });
  // It goes on with the work: what was applied is taken back.
  await page.click(".view-line >> text=/>=/");
  await page.keyboard.press("Control+z");
  await page.waitForSelector(".view-line >> text=/age\\s>\\s18/", PATIENCE);
  await page.keyboard.press("Control+s");
  await page.waitForSelector('#greenlit\\.greenlit\\.greenlit\\.status >> text=/1 failing/', PATIENCE);
  const told = await page.locator(".notification-toast").allInnerTexts();
  if (told.length > 0) throw new Error(`it popped up: ${told.join("; ")}`);
}

/** The processes of this test's daemon: its files are where the driver's own environment says. */
function daemons() {
  const own = `GREENLIT_RUNTIME_DIR=${process.env.GREENLIT_RUNTIME_DIR}`;
  const isOurs = (pid) => {
    try {
      const name = readFileSync(`/proc/${pid}/comm`, "utf8").trim();
      return name === "greenlitd" && readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(own);
    } catch {
      return false; // It ended meanwhile.
    }
  };
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter(isOurs);
}

/** Without trust the extension is not there, and says why; with it, it works at once. */
export async function untrusted(page, shots) {
  await page.waitForSelector(".part.statusbar >> text=/Restricted Mode/", PATIENCE);
  await openFile(page, "test_people.py");
  await page.click(".part.banner >> text=Manage");
  await page.waitForSelector(".workspace-trust-editor >> text=/1 extension/", PATIENCE);
  if (shots) await page.screenshot({ path: path.join(shots, "untrusted.png") });
  const entries = await page.locator(".part.statusbar >> text=/Greenlit/").count();
  if (entries > 0) throw new Error("the extension runs in a workspace that is not trusted");
  const log = path.join(process.env.GREENLIT_STATE_DIR, "daemon.log");
  if (existsSync(log)) throw new Error("a daemon was started in a workspace that is not trusted");

  await page.click('.workspace-trust-editor .monaco-button >> text="Trust"');
  await page.waitForSelector(".part.statusbar >> text=/1 failing|fix/", PATIENCE);
}

/** The first of a list, where there is a list. */
async function choose(page) {
  const first = ".quick-input-widget:visible .monaco-list-row";
  const asked = await page.waitForSelector(first, { timeout: 4000 }).catch(() => undefined);
  if (asked) await page.keyboard.press("Enter");
}

async function openFile(page, name) {
  await retried(async () => {
    await page.keyboard.press("Escape");
    await page.keyboard.press("Control+p");
    await page.waitForSelector(".quick-input-widget input", { timeout: 3000 });
    await page.keyboard.type(name);
    await page.waitForSelector(`.quick-input-list .monaco-list-row >> text=${name}`, { timeout: 5000 });
    await page.keyboard.press("Enter");
    await page.waitForSelector(`.tab.active[data-resource-name="${name}"]`, { timeout: 5000 });
  });
}

async function goToLine(page, line) {
  await page.keyboard.press("Control+g");
  await page.waitForSelector(".quick-input-widget input", PATIENCE);
  await page.keyboard.type(String(line));
  await page.keyboard.press("Enter");
}

async function retried(step, times = 20) {
  for (let left = times; ; left -= 1) {
    try {
      return await step();
    } catch (error) {
      if (left === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}
