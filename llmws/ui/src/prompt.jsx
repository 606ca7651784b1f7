/** Where what is asked is written. */
import { useEffect, useLayoutEffect } from "preact/hooks";
import { recall, remember } from "./page.js";
import { t } from "./strings.js";

/** Take `text`, a signal, over from the page that stood here in this tab before, and hand it on when this one goes. */
function keepDraft(text) {
  const draft = `llmws.draft:${location.pathname}`;
  const before = recall(sessionStorage, draft);
  if (before !== null) {
    text.value = before;
    remember(sessionStorage, draft, null);
  }
  // Another page of the notebook may have left something, too.
  const keep = () => text.value && remember(sessionStorage, draft, text.value);
  addEventListener("pagehide", keep);
  return () => removeEventListener("pagehide", keep);
}

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
