/** Where what is asked is written. */
import { useLayoutEffect } from "preact/hooks";
import { keepDraft, takeDraft } from "./draft.js";
import { t } from "./strings.js";

/** Keep `text`, a signal, from one view of that `name` to the next. For who stands as long as the view does. */
export function useDraft(name, text) {
  // At once: what is typed next must not meet it.
  useLayoutEffect(() => {
    text.value ||= takeDraft(name) ?? "";
    return keepDraft(name, () => text.value);
  }, []);
}

/** The text itself grows with what is written; Enter sends it, Shift and Enter make a line. */
export function PromptText({ text, input, hint, onSend, onPaste }) {
  useLayoutEffect(() => {
    input.current.style.height = "auto";
    input.current.style.height = `${Math.min(input.current.scrollHeight, 240)}px`;
  }, [text.value]);
  const onKeyDown = (event) => {
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    onSend();
  };
  return (
    <textarea
      ref={input}
      rows={1}
      value={text.value}
      placeholder={hint}
      aria-label={t("compose")}
      onInput={(event) => {
        text.value = event.currentTarget.value;
      }}
      onKeyDown={onKeyDown}
      onPaste={onPaste}
    />
  );
}
