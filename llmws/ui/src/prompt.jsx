/** Where what is asked is written. */
import { useEffect, useLayoutEffect } from "preact/hooks";
import { keepDraft } from "./dashboard.js";
import { t } from "./strings.js";

/** The text itself grows with what is written; Enter sends it, Shift and Enter make a line. */
export function PromptText({ text, input, hint, onSend, onPaste }) {
  useEffect(() => keepDraft(text), []);
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
