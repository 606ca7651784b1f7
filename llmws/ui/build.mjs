// Bundles every page: src/<noun>.jsx → static/<noun>.js and .css, and the licences of what went in.
// `--check` writes nothing and fails where the committed bundle is not what the sources give.

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const pages = ["chats", "compare", "finetune", "providers"];
// What pages ask for when they need it.
const parts = ["chinese", "typeset"];
const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..");
const target = join(here, "static");

/** The licence texts of the packages that esbuild put in; their terms ask us to pass them on. */
function licences(paths) {
  const packages = new Set();
  for (const path of paths) {
    const found = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path);
    if (found) packages.add(found[1]);
  }
  const texts = [...packages].sort().map((name) => {
    const folder = join(root, "node_modules", name);
    const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const files = readdirSync(folder).filter((file) => /^licen[cs]e/i.test(file));
    const text = files.map((file) => readFileSync(join(folder, file), "utf8").trim()).join("\n\n");
    return `${name} ${version}, ${license}\n\n${text}\n`;
  });
  return `The bundles in this folder hold these packages.\n\n${texts.join(`\n${"-".repeat(80)}\n\n`)}`;
}

/** Fonts travel in the style, in the one format that every browser reads, so that nothing has to be loaded. */
const fonts = {
  name: "fonts",
  setup({ onLoad }) {
    onLoad({ filter: /katex\.css$/ }, ({ path }) => {
      const style = readFileSync(path, "utf8").replace(/,\s*url\([^)]*\) format\("(?:woff|truetype)"\)/g, "");
      return { contents: style, loader: "css" };
    });
  },
};

const options = {
  absWorkingDir: root,
  outdir: target,
  bundle: true,
  write: false,
  minify: true,
  metafile: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  loader: { ".woff2": "dataurl" },
  plugins: [fonts],
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
};

const source = (name) => join(here, "src", name);
const results = await Promise.all([
  build({ ...options, entryPoints: pages.map((page) => source(`${page}.jsx`)), inject: [source("look.js")] }),
  build({ ...options, entryPoints: parts.map((part) => source(`${part}.js`)) }),
]);

const files = new Map(results.flatMap((result) => result.outputFiles.map((file) => [file.path, file.text])));
files.set(join(target, "licenses.txt"), licences(results.flatMap((result) => Object.keys(result.metafile.inputs))));

const stale = [...files].filter(([path, text]) => !existsSync(path) || readFileSync(path, "utf8") !== text);
const names = (list) => list.map(([path]) => relative(root, path)).join(", ");
if (process.argv.includes("--check")) {
  if (stale.length) {
    console.error(`not current: ${names(stale)}. Run \`npm run build\` and commit the result.`);
    process.exitCode = 1;
  }
} else {
  for (const [path, text] of stale) writeFileSync(path, text);
  for (const [path, text] of files) console.log(`${relative(root, path)}  ${(text.length / 1024).toFixed(1)} KiB`);
}
