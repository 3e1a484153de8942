// Unpacks the Chromium of the package @sparticuz/chromium, with the libraries and fonts that it
// needs where the system has none. `node unpack.mjs PACKAGE INTO`
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { brotliDecompressSync } from "node:zlib";

const [from, into] = process.argv.slice(2);
const unpacked = (name) => brotliDecompressSync(readFileSync(path.join(from, "bin", name)));

mkdirSync(into, { recursive: true });
for (const name of ["al2023.tar.br", "fonts.tar.br"]) {
  execFileSync("tar", ["--extract", "--directory", into], { input: unpacked(name) });
}
writeFileSync(path.join(into, "chromium.bin"), unpacked("chromium.br"));
chmodSync(path.join(into, "chromium.bin"), 0o755);
writeFileSync(
  path.join(into, "fonts.conf"),
  `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir>${into}/fonts</dir>
  <cachedir>${into}/cache</cachedir>
</fontconfig>
`,
);
writeFileSync(
  path.join(into, "chromium"),
  `#!/bin/sh
here='${into}'
export LD_LIBRARY_PATH="$here/lib" FONTCONFIG_FILE="$here/fonts.conf"
exec "$here/chromium.bin" "$@"
`,
);
chmodSync(path.join(into, "chromium"), 0o755);
