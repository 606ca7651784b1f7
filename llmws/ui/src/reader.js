/**
 * How the messages are scrolled: the end is followed while it is in view, a person's place is held while what stands
 * above it changes, and a message is brought into view. It knows nothing of what a message says.
 */
import { End } from "./end.js";

/** A message whose beginning is no further away than this is the one that is read. */
const NEAR = 48;
/** Rows within this of what is in view are there before they are scrolled to. */
const MARGIN = "150% 0px";
/** How deep a place is looked for below a row: its article, its parts, their blocks. */
const DEPTH = 4;

/** The first of `elements`, each below the one before, that ends below `edge`. */
function firstBelow(elements, edge) {
  let [low, high] = [0, elements.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (elements[middle].getBoundingClientRect().bottom > edge) high = middle;
    else low = middle + 1;
  }
  return elements[low];
}

export class Reader {
  end = new End();
  #box;
  #rows;
  #held = [];
  /** Where the place was restored to, until the browser tells of that movement. */
  #restored = null;
  #near = null;
  /** The row that is brought into view, until a person moves: what is drawn on the way would push it out again. */
  #wanted = null;
  #told = new WeakMap();
  /** Browsers that keep a place by themselves do it better, in the middle of a movement too. */
  #native = CSS.supports("overflow-anchor: auto");

  /** Begin with `box`, which scrolls, and `rows` in it, whose children are the rows; gives what ends it. */
  attach(box, rows) {
    this.#box = box;
    this.#rows = rows;
    this.end.attach(box);
    const resized = new ResizeObserver(() => this.#settle());
    resized.observe(rows);
    resized.observe(box);
    const onScroll = () => {
      this.end.look();
      // What moved by itself stays held where it was before; a person may have scrolled on in the same frame.
      const moved = this.#restored === null || Math.abs(box.scrollTop - this.#restored) > 1;
      this.#restored = null;
      if (moved && !this.end.followed) this.hold();
      // At their very top browsers keep no place.
      if (this.#native && box.scrollTop < 1) this.end.move(1);
    };
    const onMove = () => {
      this.#wanted = null;
    };
    const moves = ["wheel", "pointerdown", "keydown"];
    for (const move of moves) box.addEventListener(move, onMove, { passive: true });
    box.addEventListener("scroll", onScroll, { passive: true });
    return () => {
      resized.disconnect();
      box.removeEventListener("scroll", onScroll);
      for (const move of moves) box.removeEventListener(move, onMove);
    };
  }

  /** Tell `told` whether `row` is near what is in view, now and whenever that changes; gives what ends it. */
  watch(row, told) {
    const root = row.closest(".lw-log");
    if (this.#near?.root !== root)
      this.#near = new IntersectionObserver(
        (entries) => {
          for (const entry of entries) this.#told.get(entry.target)?.(entry.isIntersecting);
        },
        { root, rootMargin: MARGIN },
      );
    const near = this.#near;
    this.#told.set(row, told);
    near.observe(row);
    return () => near.unobserve(row);
  }

  toEnd() {
    this.#wanted = null;
    this.end.follow();
  }

  #settle() {
    if (this.end.followed) return this.toEnd();
    if (this.#wanted?.isConnected) this.#wanted.scrollIntoView({ block: "start" });
    else this.restore();
    this.end.look();
  }

  // The place, where the browser does not keep it

  /** Remember what stands at the upper edge: a row and, inside it, the block. */
  hold() {
    if (this.#native) return;
    const edge = this.#box.getBoundingClientRect().top;
    this.#held = [];
    let found = firstBelow(this.#messages(), edge);
    for (let depth = 0; found && depth <= DEPTH; depth++) {
      const { top } = found.getBoundingClientRect();
      this.#held.unshift({ element: found, offset: top - edge });
      found = top < edge ? [...found.children].find((one) => one.getBoundingClientRect().bottom > edge) : null;
    }
  }

  /** Let it stand there again. */
  restore() {
    const held = this.#held.find(({ element }) => element.isConnected);
    if (!held || this.end.followed) return;
    const edge = this.#box.getBoundingClientRect().top;
    const moved = held.element.getBoundingClientRect().top - edge - held.offset;
    if (Math.abs(moved) < 1) return;
    this.end.move(moved);
    this.#restored = this.#box.scrollTop;
  }

  /** Let `element`, in a row that was just drawn, stand at `top` of the window. */
  keep(element, top) {
    this.end.followed = false;
    this.end.move(element.getBoundingClientRect().top - top);
  }

  // Messages

  #messages() {
    return this.#rows.querySelectorAll(":scope > .lw-slot");
  }

  /** Bring the message of this id into view. */
  reveal(id) {
    const row = [...this.#messages()].find((one) => one.dataset.message === id);
    if (row) this.#goTo(row);
  }

  /** The row gets the focus, so that it is read out, too. */
  #goTo(row) {
    this.end.followed = false;
    this.#wanted = row;
    row.scrollIntoView({ block: "start" });
    row.focus({ preventScroll: true });
    row.animate({ backgroundColor: ["var(--accent-soft)", "transparent"] }, { duration: 1500, easing: "ease-in" });
  }

  /** Go to the message after (1) or before (-1) the one that is read: has the focus, else stands at the edge. */
  step(direction) {
    if (!this.#rows?.isConnected) return;
    const rows = [...this.#messages()];
    const wanted = rows[this.#place(rows, direction) + direction];
    if (wanted) this.#goTo(wanted);
    else if (direction > 0) this.toEnd();
  }

  #place(rows, direction) {
    const focused = rows.findIndex((row) => row.contains(document.activeElement));
    if (focused >= 0) return focused;
    if (this.end.followed) return rows.length;
    const edge = this.#box.getBoundingClientRect().top + 1;
    const place = rows.indexOf(firstBelow(rows, edge));
    // Back is to its own beginning first.
    return direction < 0 && rows[place]?.getBoundingClientRect().top < edge - NEAR ? place + 1 : place;
  }
}
