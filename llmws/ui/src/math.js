/**
 * Formulas in Markdown: which text is one, and the typesetter that is fetched when the first is met.
 *
 * KaTeX with its fonts weighs more than a page, so it is a bundle of its own (typeset.js) that Python sends when it is
 * asked. It gives HTML, which passes the sanitiser as any other does. Until it has come a formula is its source.
 */
import { bundle, importText } from "./bundle.js";

/** Longer than any formula that a person reads. */
const LONGEST = 5_000;
const KEPT = 500;

const katex = bundle(async ({ module, style }) => {
  const sheet = document.createElement("style");
  sheet.textContent = style;
  document.head.append(sheet);
  return (await importText(module)).typeset;
});

/** Set once the typesetter is there: a formula's source becomes HTML. */
export const typesetter = katex.opened;

/** What is called for the typesetter's `{ module, style }` when there is something to typeset. */
export const typesetWith = katex.from;

const known = new Map();

/** The HTML of a formula; null while the typesetter is on its way, or where this is none. */
export function typeset(source) {
  if (source.length > LONGEST) return null;
  const render = katex.need();
  if (!render) return null;
  const found = known.get(source);
  if (found !== undefined) return found;
  const [, tex] = /^(?:\$\$?|\\[([])([\s\S]*?)(?:\$\$?|\\[)\]])\s*$/.exec(source) ?? [];
  const html = tex ? render(tex, isDisplayed(source)) : null;
  if (known.size >= KEPT) known.clear();
  known.set(source, html);
  return html;
}

const isDisplayed = (source) => source.startsWith("$$") || source.startsWith("\\[");

/** "$5 and 10$" is money, "$5 + 10$" is none. */
const isFormula = (tex) => !/\s/.test(tex) || /[\\^_={}<>+*/|-]/.test(tex);

const INLINE = [/^\$\$(?!\$)((?:\\[\s\S]|[^\\$])+?)\$\$/, /^\\\((.+?)\\\)/s, /^\\\[(.+?)\\\]/s];
const DOLLARS = /^\$(?![\s$])((?:\\.|[^\\$\n])*?)(?<!\s)\$(?![\d$])/;

function inline(source) {
  for (const pattern of INLINE) {
    const found = pattern.exec(source);
    if (found && !/\n\s*\n/.test(found[0])) return found[0];
  }
  const found = DOLLARS.exec(source);
  return found?.[1] && isFormula(found[1]) ? found[0] : undefined;
}

/** A formula with lines of its own. Where its end has not been said yet all that follows belongs to it. */
const BLOCKS = [
  /^ {0,3}(\$\$)[ \t]*\n[\s\S]*?(?:\n {0,3}\$\$[ \t]*(?:\n|$)|$)/,
  /^ {0,3}(\\\[)[ \t]*\n[\s\S]*?(?:\n {0,3}\\\][ \t]*(?:\n|$)|$)/,
  /^ {0,3}(\$\$)(?!\$)(?:(?!\n[ \t]*\n)[^$])+(?:\$\$[ \t]*(?:\n|$)|$(?!\n))/,
  /^ {0,3}(\\\[)(?:(?!\n[ \t]*\n|\\\])[\s\S])+(?:\\\][ \t]*(?:\n|$)|$)/,
];

function block(source) {
  for (const pattern of BLOCKS) {
    const found = pattern.exec(source);
    if (found) return found[0];
  }
}

/** What marked needs to know; `escaped` makes text HTML. */
export const mathExtensions = (escaped) => [
  {
    name: "formula_block",
    level: "block",
    start: (source) => source.match(/\n {0,3}(?:\$\$|\\\[)/)?.index,
    tokenizer(source) {
      const raw = block(source);
      return raw && { type: "formula_block", raw };
    },
    renderer: ({ raw }) => `<p><span class="lw-formula lw-formula-block">${escaped(raw.trim())}</span></p>`,
  },
  {
    name: "formula",
    level: "inline",
    start: (source) => source.match(/\$|\\[([]/)?.index,
    tokenizer(source) {
      const raw = inline(source);
      return raw && { type: "formula", raw };
    },
    renderer: ({ raw }) =>
      `<span class="lw-formula${isDisplayed(raw) ? " lw-formula-block" : ""}">${escaped(raw)}</span>`,
  },
];
