/** Code in Markdown: its colours, and the bar above it with what can be done with it. */
import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import cpp from "highlight.js/lib/languages/cpp";
import diff from "highlight.js/lib/languages/diff";
import go from "highlight.js/lib/languages/go";
import ini from "highlight.js/lib/languages/ini";
import java from "highlight.js/lib/languages/java";
import json from "highlight.js/lib/languages/json";
import markdown from "highlight.js/lib/languages/markdown";
import python from "highlight.js/lib/languages/python";
import r from "highlight.js/lib/languages/r";
import rust from "highlight.js/lib/languages/rust";
import sql from "highlight.js/lib/languages/sql";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";
import { cellOf, insertCell } from "./insert-cell.js";
import { copyText } from "./page.js";
import { t } from "./strings.js";

const languages = { bash, cpp, diff, go, ini, java, json, markdown, python, r, rust, sql, typescript, xml, yaml };

/** Their grammars are made when the first code is there: a page is not to wait for them. */
function learn() {
  for (const [name, language] of Object.entries(languages)) hljs.registerLanguage(name, language);
  hljs.registerAliases(["c", "h"], { languageName: "cpp" });
  // The one holds the other whole.
  hljs.registerAliases(["javascript", "js", "jsx", "mjs", "cjs"], { languageName: "typescript" });
}

/** Code longer than this is coloured once it is complete, not while it grows, */
export const LIVE_COLOUR = 3_000;
/** and longer than this never. */
export const MOST_COLOURED = 30_000;
/** Long code stands in blocks of about this many characters, of which those out of sight are not laid out. */
const BLOCK = 4_000;

const languageOf = (code) => /language-([\w+#.-]+)/.exec(code.className)?.[1] ?? "";

/** The HTML of coloured code; null where its language is unknown. */
export function coloured(code) {
  const language = languageOf(code);
  if (language && !hljs.listLanguages().length) learn();
  return hljs.getLanguage(language) ? hljs.highlight(code.textContent, { language, ignoreIllegals: true }).value : null;
}

/** Add to long code, whose text so far stays untouched. */
export function extend(code, text) {
  let rest = text;
  while (rest) {
    let last = code.lastElementChild;
    const full = !last || (last.firstChild.length >= BLOCK && last.firstChild.data.endsWith("\n"));
    if (full) {
      last = document.createElement("span");
      last.className = "lw-code-block";
      last.append("");
      code.append(last);
    }
    const room = Math.max(0, BLOCK - last.firstChild.length);
    const end = rest.indexOf("\n", room) + 1 || rest.length;
    last.firstChild.appendData(rest.slice(0, end));
    rest = rest.slice(end);
  }
}

/** Let long code stand in blocks. */
export function divide(code) {
  const text = code.textContent;
  code.replaceChildren();
  extend(code, text);
}

function button(label, name, act) {
  const element = document.createElement("button");
  element.type = "button";
  element.textContent = t(label);
  element.setAttribute("aria-label", t(name));
  element.addEventListener("click", async () => {
    const done = await act();
    if (!done) return;
    element.textContent = t(done);
    setTimeout(() => {
      element.textContent = t(label);
    }, 1500);
  });
  return element;
}

/** What stands above code: its language, and buttons. */
export function addBar(code) {
  const bar = document.createElement("div");
  bar.className = "lw-code-bar";
  const name = document.createElement("span");
  name.textContent = languageOf(code);
  bar.append(name);
  const asCell = cellOf(name.textContent);
  if (asCell) bar.append(button("insert", "insert_cell", () => insertCell(bar, asCell(code.textContent))));
  bar.append(
    button("copy", "copy_code", async () => {
      await copyText(code.textContent);
      return "copied";
    }),
  );
  const box = document.createElement("div");
  box.className = "lw-code";
  code.parentElement.replaceWith(box);
  code.parentElement.tabIndex = 0; // for the keys that scroll it
  box.append(bar, code.parentElement);
}
