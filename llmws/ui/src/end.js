/**
 * The end of what grows in a box that scrolls: it is followed until a person moves away from it, and again once they
 * come back. The direction tells, not the distance: keys, wheels and fingers move by little at first.
 */
import { signal } from "@preact/signals";
import { useLayoutEffect, useMemo, useRef } from "preact/hooks";

export class End {
  /** Whether it is out of view. */
  behind = signal(false);
  #box = null;
  #near;
  #top = 0;

  /** Who comes within `near` of the end has come back to it. */
  constructor(near = 48, followed = true) {
    this.#near = near;
    this.followed = followed;
  }

  attach(box) {
    this.#box = box;
    this.#top = box.scrollTop;
  }

  /** Go there, and stay there. */
  follow() {
    this.followed = true;
    this.behind.value = false;
    this.move(this.#box.scrollHeight);
  }

  /** Move by so much, which no person did. */
  move(by) {
    this.#box.scrollTop += by;
    this.#top = this.#box.scrollTop;
  }

  /** See how it stands after a movement, or after what is in the box has changed. */
  look() {
    const { scrollTop, scrollHeight, clientHeight } = this.#box;
    const left = scrollHeight - clientHeight - scrollTop;
    if (scrollTop < this.#top) this.followed = left < 1;
    else if (scrollTop > this.#top) this.followed ||= left < this.#near;
    this.#top = scrollTop;
    this.behind.value = !this.followed && left >= this.#near;
  }
}

/** Keep the end of what grows in `inner` in view while it is followed. */
export function useEnd(near, followed) {
  const box = useRef();
  const inner = useRef();
  const end = useMemo(() => new End(near, followed), []);
  useLayoutEffect(() => {
    end.attach(box.current);
    const observer = new ResizeObserver(() => (end.followed ? end.follow() : end.look()));
    observer.observe(inner.current);
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  return { box, inner, behind: end.behind, toEnd: () => end.follow(), on: { onScroll: () => end.look() } };
}
