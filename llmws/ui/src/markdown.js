/**
 * Markdown of a model as elements: the one way by which model text becomes any.
 *
 * A model's text is hostile. Raw HTML in it is shown as text, what marked, highlight.js and KaTeX make of the rest
 * passes DOMPurify with a list of what is allowed, and nothing is loaded from elsewhere: a remote image would tell its
 * host who reads.
 */
import DOMPurify from "dompurify";
import { Marked } from "marked";
import { addBar, coloured, divide, LIVE_COLOUR, MOST_COLOURED } from "./code.js";
import { mathExtensions, typeset, typesetter } from "./math.js";

const escaped = (text) => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
/** The same for text in which `&lt;` stands for a sign already. */
const escapedOnce = (text) => text.replace(/[<>"']|&(?!#?\w+;)/g, (sign) => `&#${sign.charCodeAt(0)};`);

const marked = new Marked({
  gfm: true,
  extensions: mathExtensions(escaped),
  renderer: {
    // After `<kbd>`, `<code>`, `<pre>` or `<script>` marked takes text for HTML: what is no whole tag would become one.
    text: (token) => (token.escaped && !token.tokens ? escapedOnce(token.text) : false),
    html: ({ text, block }) => {
      if (/^<\/?(br|sub|sup|kbd|b|i|u|s|mark)\s*\/?>$/i.test(text.trim())) return text;
      return block ? `<p>${escaped(text)}</p>` : escaped(text);
    },
    image: ({ href, text }) =>
      PICTURE.test(href)
        ? `<img src="${escaped(href)}" alt="${escaped(text)}">`
        : `<span class="lw-image" title="${escaped(href)}">${escaped(text || href)}</span>`,
    checkbox: ({ checked }) => `<span class="${checked ? "lw-checked" : "lw-check"}"></span>`,
  },
});

// An instance of our own: the host may have hooks on the one that the page shares.
const purify = DOMPurify(window);
purify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A") {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer nofollow");
  }
});

/** Pictures that no browser takes for anything else; SVG is a document. */
const PICTURE = /^data:image\/(?:png|jpeg|gif|webp);base64,/i;
const BLOCKS = "p br hr h1 h2 h3 h4 h5 h6 blockquote pre ul ol li table thead tbody tr th td img";
const INLINE = "a code span strong em del b i u s mark sub sup kbd";
const MARKDOWN = {
  ALLOWED_TAGS: [...BLOCKS.split(" "), ...INLINE.split(" ")],
  ALLOWED_ATTR: ["href", "title", "alt", "src", "align", "start", "class"],
  // What is no address is not held against the pattern of addresses.
  ADD_URI_SAFE_ATTR: ["align", "start"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ALLOWED_URI_REGEXP: /^(?:https?:\/\/|mailto:|data:image\/(?:png|jpeg|gif|webp);base64,)/i,
  RETURN_DOM_FRAGMENT: true,
};

const GLYPHS = "math mrow mi mo mn mtext ms mspace msup msub msubsup mfrac msqrt mroot mtable mtr mtd mstyle mover";
const DRAWN = "munder munderover mpadded mphantom menclose svg path line span";
const METRICS = "mathvariant stretchy fence separator lspace rspace width height depth voffset minsize maxsize";
const LAYOUT =
  "display displaystyle scriptlevel linethickness accent accentunder movablelimits symmetric notation form";
const TABLES = "columnalign columnspacing columnlines rowspacing rowlines rowalign mathcolor mathbackground encoding";
const VECTORS = "class style viewBox preserveAspectRatio d x1 x2 y1 y2 stroke-width xmlns aria-hidden";
const FORMULA = {
  ALLOWED_TAGS: [...GLYPHS.split(" "), ...DRAWN.split(" ")],
  ALLOWED_ATTR: [METRICS, LAYOUT, TABLES, VECTORS].flatMap((names) => names.split(" ")),
  FORBID_CONTENTS: ["annotation"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: true,
  RETURN_DOM_FRAGMENT: true,
};
const SIZED =
  "height|width|min-width|top|left|vertical-align|(?:margin|padding)(?:-\\w+)?|border-[\\w-]+|(?:background-)?color";
const SAFE_STYLE = new RegExp(`^(?:(?:(?:${SIZED}):[-\\w.#% ]+|position:relative);?)*$`);
const OWN_CLASS = /^(lw-(image|check|checked|formula|formula-block)|language-[\w+#.-]+|hljs[\w-]*)$/;

let allowed = MARKDOWN;
purify.addHook("uponSanitizeAttribute", (node, data) => {
  const { attrName, attrValue } = data;
  if (attrName === "href" && !(node.tagName === "A" && /^(https?:\/\/|mailto:)/i.test(attrValue)))
    data.keepAttr = false;
  if (attrName === "src" && !(node.tagName === "IMG" && PICTURE.test(attrValue))) data.keepAttr = false;
  if (attrName === "style" && !SAFE_STYLE.test(attrValue.replace(/\s*([:;])\s*/g, "$1"))) data.keepAttr = false;
  if (attrName === "class" && allowed === MARKDOWN)
    data.attrValue = attrValue
      .split(/\s+/)
      .filter((name) => OWN_CLASS.test(name))
      .join(" ");
});

/** The only function that turns a string of HTML into elements; for `render`, and for who attacks it alone. */
export function fragment(html, list = MARKDOWN) {
  allowed = list;
  // A frameset in the place of the body is nothing at all.
  return purify.sanitize(html, list) ?? document.createDocumentFragment();
}

/** Show `source`, a formula that stands there as text, as what it means, if it can be. */
function setFormula(element) {
  const html = typeset(element.textContent);
  if (!html) return;
  element.dataset.typeset = "true";
  element.replaceChildren(fragment(html, FORMULA));
}

// Those that were met before the typesetter was there.
typesetter.subscribe((ready) => {
  if (ready) document.querySelectorAll(".lw .lw-formula:not([data-typeset])").forEach(setFormula);
});

export const lex = (text) => marked.lexer(text);

/** Colour code by its language. */
export function colour(code) {
  const html = coloured(code);
  if (html) code.replaceChildren(fragment(html));
}

/** The elements of `tokens`; while they are not `finished`, what would take long is left for later. */
export function render(tokens, finished) {
  const box = fragment(marked.parser(tokens));
  for (const code of box.querySelectorAll("pre > code")) {
    if (code.textContent.length < (finished ? MOST_COLOURED : LIVE_COLOUR)) colour(code);
    else divide(code);
    addBar(code);
  }
  for (const table of box.querySelectorAll("table")) {
    const scroller = document.createElement("div");
    scroller.className = "lw-table";
    scroller.tabIndex = 0;
    table.replaceWith(scroller);
    scroller.append(table);
  }
  box.querySelectorAll(".lw-formula").forEach(setFormula);
  return box;
}
