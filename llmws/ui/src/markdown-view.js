/**
 * Markdown that grows: finished top-level blocks are frozen, and only the open tail is lexed and drawn again, at most
 * once a frame and less often where that takes long.
 *
 * What is long is frozen in parts, and what comes at once is taken in by steps, a frame each: no draw takes long,
 * however long the text, the table or the list becomes.
 */
import { extend, LIVE_COLOUR } from "./code.js";
import { colour, lex, render } from "./markdown.js";

/** How many characters a draw takes in, */
const STEP = 6_000;
/** from how many on a list or table is frozen in parts, and text that has no end. */
const LONG = { list: 4_000, table: 4_000, paragraph: 20_000 };

const lengthOf = (tokens) => tokens.reduce((length, token) => length + token.raw.length, 0);

/** A list but its last item. More items are a list by themselves. */
function headOfList(token) {
  const items = token.items.slice(0, -1);
  return items.length ? { done: { ...token, items }, length: lengthOf(items), prefix: "" } : null;
}

/** Let a list stand as loose or tight as what it continues. */
function space(list, loose) {
  for (const token of list.items.flatMap((item) => item.tokens))
    if (["text", "paragraph"].includes(token.type)) token.type = loose ? "paragraph" : "text";
}

/** A table but its last row. More rows are a table only below the lines that began it. */
function headOfTable(token) {
  const rows = token.rows.slice(0, -1);
  const lines = token.raw.split("\n");
  const prefix = `${lines[0]}\n${lines[1]}\n`;
  const length = lines.slice(0, 2 + rows.length).reduce((sum, line) => sum + line.length + 1, 0);
  return rows.length ? { done: { ...token, rows }, length, prefix } : null;
}

/** Text without an end, up to a space or a stop. */
function headOfText({ raw }) {
  const most = raw.length / 2;
  const end = Math.max(...[" ", "\n", "。", "，"].map((sign) => raw.lastIndexOf(sign, most)));
  const length = end > 0 ? end + 1 : Math.ceil(most);
  return { done: lex(raw.slice(0, length))[0], length };
}

const heads = { list: headOfList, table: headOfTable, paragraph: headOfText };

/** Where more of a list or table goes, and what is more of it. */
const growing = (element) => (element.matches(".lw-table") ? element.querySelector("tbody") : element);
const more = (box) => [...growing(box.firstElementChild).children];

/** Keeps `element` showing a text that mostly grows at its end. */
export class MarkdownView {
  #element;
  #tail = document.createElement("div");
  /** What there is to show, whether it is all there will be, and how much of it was taken in. */
  #text = "";
  #finished = false;
  #taken = 0;
  /** What was taken in and is not frozen. */
  #open = "";
  /** The list or table that goes on in `open`: its element, and what goes before `open` so that it reads as one. */
  #part = null;
  /** What of it stands there until it is drawn again. */
  #loose = [];
  /** Code that grows, and how much of it stands there. */
  #code = null;
  #coded = 0;
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
    if (!text.startsWith(this.#text)) this.#reset();
    this.#text = text;
    this.#finished = finished;
    if (finished) this.#draw();
    else if (!this.#frame) this.#schedule();
  }

  stop() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  #reset() {
    this.#element.replaceChildren(this.#tail);
    this.#taken = 0;
    this.#open = "";
    this.#part = this.#code = null;
    this.#loose = [];
  }

  #schedule() {
    this.#frame = requestAnimationFrame((now) => {
      this.#frame = 0;
      // Never spend more than a quarter of the time on drawing what grows.
      if (!this.#finished && now - this.#drawn < 4 * this.#cost) this.#schedule();
      else this.#draw();
    });
  }

  #draw() {
    this.stop();
    const began = performance.now();
    const taken = Math.min(this.#text.length, this.#taken + STEP);
    this.#open += this.#text.slice(this.#taken, taken);
    this.#taken = taken;
    const all = taken === this.#text.length;
    const finished = this.#finished && all;
    this.#update(finished);
    if (!all) this.#schedule();
    // What follows the end asks for the height in the same frame anyway: laying out is a part of the cost.
    this.#element.getBoundingClientRect();
    this.#drawn = performance.now();
    this.#cost = this.#drawn - began;
  }

  #update(finished) {
    let tokens = this.#lex();
    let closed = finished ? tokens.length : tokens.length - 1;
    while (!finished && closed > 0 && tokens[closed].type === "space") closed--;
    for (const loose of this.#loose.splice(0)) loose.remove();
    if (closed > 0) {
      this.#freeze(tokens.slice(0, closed), tokens.links);
      tokens = Object.assign(tokens.slice(closed), { links: tokens.links });
    }
    const [first] = tokens;
    const head = first?.raw.length > LONG[first?.type] ? heads[first.type](first) : null;
    if (head) {
      this.#freezeHead(head, tokens.links);
      tokens = this.#lex();
    }
    this.#show(tokens);
  }

  #lex() {
    return lex((this.#part?.prefix ?? "") + this.#open);
  }

  #forget(length) {
    this.#open = this.#open.slice(length - (this.#part?.prefix.length ?? 0));
  }

  #freeze(tokens, links) {
    const length = lengthOf(tokens);
    this.#place(tokens, links, true);
    this.#forget(length);
    this.#part = this.#code = null;
  }

  #freezeHead({ done, length, prefix }, links) {
    const [element] = this.#place([done], links, true);
    this.#forget(length);
    this.#code = null;
    if (prefix === undefined) this.#part = null;
    else this.#part ??= { element, prefix, loose: done.loose };
  }

  /** Let tokens stand before the tail, what continues a part in it; gives what was added. */
  #place(tokens, links, finished) {
    if (this.#part && tokens[0].type === "list") space(tokens[0], this.#part.loose);
    const box = render(Object.assign(tokens, { links }), finished);
    if (!this.#part) {
      const added = [...box.children];
      this.#tail.before(box);
      return added;
    }
    const added = more(box);
    growing(this.#part.element).append(...added);
    box.firstElementChild.remove();
    added.push(...box.children);
    this.#tail.before(...box.children);
    return added;
  }

  #show(rest) {
    const code = rest.length === 1 && rest[0].type === "code" ? rest[0] : null;
    if (this.#part) {
      this.#loose = this.#place(rest, rest.links, false);
      this.#tail.replaceChildren();
    } else if (code && this.#code) {
      this.#grow(code.text);
    } else {
      this.#tail.replaceChildren(rest.length ? render(rest, false) : "");
      this.#code = code ? this.#tail.querySelector("pre > code") : null;
      this.#coded = code ? code.text.length : 0;
    }
  }

  /** Only its text changes: the copy button stays the one that is being clicked. */
  #grow(text) {
    if (text.length < LIVE_COLOUR) {
      this.#code.textContent = text;
      colour(this.#code);
    } else {
      // A fence that closes is read as code until it is complete.
      if (this.#coded < LIVE_COLOUR || text.length < this.#coded) {
        this.#code.replaceChildren();
        this.#coded = 0;
      }
      extend(this.#code, text.slice(this.#coded));
    }
    this.#coded = text.length;
  }
}
