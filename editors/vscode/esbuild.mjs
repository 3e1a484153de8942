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
  // They run in the extension host of the end-to-end tests; not part of the package.
  await build({
    ...common,
    entryPoints: ["api", "awkward", "beside", "nofolder", "refused"].map((name) => `test/e2e/${name}.ts`),
    outdir: "dist/e2e",
    external: ["vscode"],
  });
}
