// What a person does: sees the squiggle, opens the menu, chooses the fix, saves, and all is green.

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
}

/** Without trust the extension is not there, and says why. */
export async function untrusted(page, shots) {
  await page.waitForSelector(".part.statusbar >> text=/Restricted Mode/", PATIENCE);
  await openFile(page, "test_people.py");
  await page.click(".part.banner >> text=Manage");
  await page.waitForSelector(".workspace-trust-editor >> text=/1 extension/", PATIENCE);
  if (shots) await page.screenshot({ path: path.join(shots, "untrusted.png") });
  const entries = await page.locator(".part.statusbar >> text=/Greenlit/").count();
  if (entries > 0) throw new Error("the extension runs in a workspace that is not trusted");
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
