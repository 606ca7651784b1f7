/**
 * Markdown of a model, rendered as it streams: the one way by which model text becomes elements.
 *
 * A model's text is hostile. Raw HTML in it is shown as text, what marked makes of the rest passes DOMPurify with a
 * list of what is allowed, and nothing is loaded from elsewhere: a remote image would tell its host who reads.
 *
 * Finished top-level blocks are frozen; only the open tail is lexed again, at most once a frame and less often
 * where that takes long.
 */
import DOMPurify from "dompurify";
import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import cpp from "highlight.js/lib/languages/cpp";
import diff from "highlight.js/lib/languages/diff";
import go from "highlight.js/lib/languages/go";
import ini from "highlight.js/lib/languages/ini";
import java from "highlight.js/lib/languages/java";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import markdown from "highlight.js/lib/languages/markdown";
import python from "highlight.js/lib/languages/python";
import r from "highlight.js/lib/languages/r";
import rust from "highlight.js/lib/languages/rust";
import sql from "highlight.js/lib/languages/sql";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";
import { Marked } from "marked";
import { copyText } from "./page.js";
import { t } from "./strings.js";

const languages = { bash, cpp, diff, go, ini, java, javascript, json, markdown, python, r, rust, sql };
for (const [name, language] of Object.entries({ ...languages, typescript, xml, yaml }))
  hljs.registerLanguage(name, language);
hljs.registerAliases(["c", "h"], { languageName: "cpp" });

/** Code longer than this is coloured once it is complete, not while it grows. */
const LIVE_COLOUR_CHARACTERS = 3000;

const escaped = (text) => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

const marked = new Marked({
  gfm: true,
  renderer: {
    html: ({ text, block }) => {
      if (/^<\/?(br|sub|sup|kbd|b|i|u|s|mark)\s*\/?>$/i.test(text.trim())) return text;
      return block ? `<p>${escaped(text)}</p>` : escaped(text);
    },
    image: ({ href, text }) =>
      /^data:image\/(png|jpeg|gif|webp);base64,/i.test(href)
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
  const kept = [...node.classList].filter((name) =>
    /^(lw-(image|check|checked)|language-[\w+#.-]+|hljs[\w-]*)$/.test(name),
  );
  if (node.hasAttribute("class")) node.setAttribute("class", kept.join(" "));
});
purify.addHook("uponSanitizeAttribute", (_node, data) => {
  if (data.attrName === "href" && !/^(https?:\/\/|mailto:)/i.test(data.attrValue)) data.keepAttr = false;
  if (data.attrName === "src" && !data.attrValue.startsWith("data:image/")) data.keepAttr = false;
});

const BLOCKS = "p br hr h1 h2 h3 h4 h5 h6 blockquote pre ul ol li table thead tbody tr th td img";
const INLINE = "a code span strong em del b i u s mark sub sup kbd";
const ALLOWED = {
  ALLOWED_TAGS: [...BLOCKS.split(" "), ...INLINE.split(" ")],
  ALLOWED_ATTR: ["href", "title", "alt", "src", "align", "start", "class"],
  // What is no address is not held against the pattern of addresses.
  ADD_URI_SAFE_ATTR: ["align", "start"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ALLOWED_URI_REGEXP: /^(?:https?:\/\/|mailto:|data:image\/(?:png|jpeg|gif|webp);base64,)/i,
  RETURN_DOM_FRAGMENT: true,
};

/** The only function that turns a string of HTML into elements. */
function fragment(html) {
  return purify.sanitize(html, ALLOWED);
}

function colour(code) {
  const name = /language-([\w+#.-]+)/.exec(code.className)?.[1];
  if (!name || !hljs.getLanguage(name)) return;
  code.replaceChildren(fragment(hljs.highlight(code.textContent, { language: name, ignoreIllegals: true }).value));
}

function addBar(code) {
  const bar = document.createElement("div");
  bar.className = "lw-code-bar";
  const name = document.createElement("span");
  name.textContent = /language-([\w+#.-]+)/.exec(code.className)?.[1] ?? "";
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = t("copy");
  button.setAttribute("aria-label", t("copy_code"));
  button.addEventListener("click", async () => {
    await copyText(code.textContent);
    button.textContent = t("copied");
    setTimeout(() => {
      button.textContent = t("copy");
    }, 1500);
  });
  bar.append(name, button);
  const box = document.createElement("div");
  box.className = "lw-code";
  code.parentElement.replaceWith(box);
  box.append(bar, code.parentElement);
}

function render(tokens, finished) {
  const box = fragment(marked.parser(tokens));
  for (const code of box.querySelectorAll("pre > code")) {
    if (finished || code.textContent.length < LIVE_COLOUR_CHARACTERS) colour(code);
    addBar(code);
  }
  for (const table of box.querySelectorAll("table")) {
    const scroller = document.createElement("div");
    scroller.className = "lw-table";
    table.replaceWith(scroller);
    scroller.append(table);
  }
  return box;
}

/** Keeps `element` showing a text that mostly grows at its end. */
export class MarkdownView {
  #element;
  #tail = document.createElement("div");
  #text = "";
  #open = "";
  #code = null;
  #frame = 0;
  #cost = 0;
  #drawn = 0;

  constructor(element) {
    this.#element = element;
    this.#tail.className = "lw-tail";
    element.replaceChildren(this.#tail);
  }

  /** Show `text`; `finished` says that no more will come. */
  show(text, finished) {
    if (!text.startsWith(this.#text)) {
      this.#element.replaceChildren(this.#tail);
      this.#open = "";
      this.#text = "";
      this.#code = null;
    }
    this.#open += text.slice(this.#text.length);
    this.#text = text;
    if (finished) this.#draw(true);
    else if (!this.#frame) this.#schedule();
  }

  stop() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  #schedule() {
    this.#frame = requestAnimationFrame((now) => {
      this.#frame = 0;
      // Never spend more than a quarter of the time on drawing.
      if (now - this.#drawn < 4 * this.#cost) this.#schedule();
      else this.#draw(false);
    });
  }

  #draw(finished) {
    this.stop();
    const began = performance.now();
    const tokens = marked.lexer(this.#open);
    let closed = finished ? tokens.length : tokens.length - 1;
    while (!finished && closed > 0 && tokens[closed].type === "space") closed--;
    if (closed > 0) {
      const done = Object.assign(tokens.slice(0, closed), { links: tokens.links });
      this.#tail.before(render(done, true));
      this.#open = this.#open.slice(done.reduce((length, token) => length + token.raw.length, 0));
      this.#code = null;
    }
    const rest = Object.assign(tokens.slice(closed), { links: tokens.links });
    const growing = rest.length === 1 && rest[0].type === "code" ? rest[0] : null;
    if (growing && this.#code) {
      // Only its text changes: the copy button stays the one that is being clicked.
      this.#code.textContent = growing.text;
      if (growing.text.length < LIVE_COLOUR_CHARACTERS) colour(this.#code);
    } else {
      this.#tail.replaceChildren(rest.length ? render(rest, false) : "");
      this.#code = growing ? this.#tail.querySelector("pre > code") : null;
    }
    this.#drawn = performance.now();
    this.#cost = this.#drawn - began;
  }
}
