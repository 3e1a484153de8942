// `node esbuild.mjs` bundles the extension, with `--tests` the unit tests.
import { readdirSync } from "node:fs";
import { build } from "esbuild";

const common = {
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node20",
  logLevel: "warning",
};

if (process.argv.includes("--tests")) {
  const entryPoints = readdirSync("test/unit").map((name) => `test/unit/${name}`);
  await build({ ...common, entryPoints, outdir: "dist/test", sourcemap: "inline" });
} else {
  await build({
    ...common,
    entryPoints: ["src/extension.ts"],
    outfile: "dist/extension.js",
    external: ["vscode"],
    minify: true,
    sourcemap: true,
  });
  // Runs in the extension host of the end-to-end test; not part of the package.
  await build({
    ...common,
    entryPoints: ["test/e2e/api.ts"],
    outfile: "dist/e2e/api.js",
    external: ["vscode"],
  });
}
