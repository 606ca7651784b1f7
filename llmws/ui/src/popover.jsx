/** What opens over the page, and the keys in it. */
import { useLayoutEffect, useRef } from "preact/hooks";

/** The up and down keys move the focus among what `selector` matches inside the listening element. */
export const walk = (selector) => (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  const all = [...event.currentTarget.querySelectorAll(selector)];
  if (!all.length) return;
  const at = all.indexOf(event.target);
  // From elsewhere to the first, or to the last.
  all.at(at < 0 ? Math.min(step, 0) : (at + step) % all.length).focus();
  event.preventDefault();
};

/** A panel that has the focus while it is open. Escape and a press elsewhere close it and give the focus back. */
export function Popover({ role = "dialog", label, onClose, children }) {
  const box = useRef();
  useLayoutEffect(() => {
    const panel = box.current;
    const opener = document.activeElement;
    const first = ["input", "[data-first]", "button:enabled"].map((selector) => panel.querySelector(selector));
    first.find(Boolean)?.focus();
    const onPress = ({ target }) => {
      // Its own button closes it by itself.
      if (!panel.contains(target) && !target.closest("[aria-haspopup][aria-expanded=true]")) onClose();
    };
    document.addEventListener("pointerdown", onPress, true);
    return () => {
      document.removeEventListener("pointerdown", onPress, true);
      if (panel.contains(document.activeElement)) opener.focus();
    };
  }, []);
  const move = walk("[role=option]:enabled, [role=menuitem]");
  const onKeyDown = (event) => {
    if (event.key !== "Escape") return move(event);
    event.stopPropagation();
    onClose();
  };
  return (
    // biome-ignore lint/a11y/useAriaPropsSupportedByRole: a dialog and a menu have a name
    <div class="lw-popover" role={role} aria-label={label} ref={box} onKeyDown={onKeyDown}>
      {children}
    </div>
  );
}
