/** A sheet over the page: it has the focus while it is open, keeps it inside, and gives it back. */
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { IconButton } from "./icons.jsx";
import { t } from "./strings.js";

/**
 * Escape and its cross close it, and a press beside it where it holds no form: what was typed would be lost. `bar` are
 * the buttons at its end.
 */
export function Dialog({ title, onClose, bar, children }) {
  const box = useRef();
  const name = useId();
  useLayoutEffect(() => {
    const opener = document.activeElement;
    const dialog = box.current;
    dialog.showModal();
    return () => {
      // While it is open nothing else can have the focus.
      dialog.close();
      opener?.focus?.();
    };
  }, []);
  const onKeyDown = (event) => {
    // Neither the page nor the notebook hears what is typed here.
    event.stopPropagation();
    if (event.key !== "Escape") return;
    event.preventDefault();
    onClose();
  };
  // The browser's own way, where nothing inside has the focus to hear the key.
  const onCancel = (event) => {
    event.preventDefault();
    onClose();
  };
  const onPress = ({ target }) => target === box.current && !target.querySelector("form") && onClose();
  return (
    <dialog
      class="lw-dialog"
      ref={box}
      aria-labelledby={name}
      onKeyDown={onKeyDown}
      onCancel={onCancel}
      onPointerDown={onPress}
    >
      <header>
        <h2 id={name}>{title}</h2>
        <IconButton name="close" label={t("close")} onClick={onClose} />
      </header>
      <div class="lw-dialog-body">
        {children}
        {bar && <div class="lw-dialog-bar">{bar}</div>}
      </div>
    </dialog>
  );
}
