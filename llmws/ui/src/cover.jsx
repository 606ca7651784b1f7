/** What lies over a page: meanwhile nothing beneath it can be reached, by the Tab key or by a screen reader. */
import { useLayoutEffect, useRef } from "preact/hooks";

/** Shut off what lies beneath `over`, but for the notices, which lie over all. Returns what opens it again. */
export function cover(over) {
  const opener = document.activeElement;
  const parts = over.closest(".lw-page").querySelectorAll(":scope > .lw-side, :scope > .lw-main > :not(.lw-toasts)");
  const beneath = [...parts].filter((part) => part !== over);
  for (const part of beneath) part.inert = true;
  over.querySelector("button").focus({ preventScroll: true });
  return () => {
    for (const part of beneath) part.inert = false;
    // Who was in what goes would be nowhere.
    if (over.contains(document.activeElement) || document.activeElement === document.body)
      opener?.focus({ preventScroll: true });
  };
}

/** Between the list at the side, before it, and the page: it lies there where the list is an open drawer. */
export function Scrim({ open, onClose }) {
  const box = useRef();
  useLayoutEffect(() => {
    if (!open) return;
    let uncover = null;
    // Whether there is a drawer at all the style sheet knows, by the width.
    const look = () => {
      if (box.current.offsetParent) uncover ??= cover(box.current.previousElementSibling);
      else uncover = uncover?.();
      // A page that got wide has none, and is not to have one again by getting narrow; one that is hidden keeps its own.
      if (!uncover && box.current.parentElement.offsetWidth) onClose();
    };
    const observer = new ResizeObserver(look);
    observer.observe(box.current);
    look();
    return () => {
      observer.disconnect();
      uncover?.();
    };
  }, [open]);
  return <div class="lw-scrim" ref={box} aria-hidden="true" onPointerDown={onClose} />;
}
