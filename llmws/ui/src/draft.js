/** What was begun on a page and not sent yet: it waits in this tab for the view that comes in the place of this one. */
import { recall, remember } from "./page.js";

// Views of another kind, or that offer something else, may stand in the same notebook.
const keyOf = (name) => `llmws.draft:${location.pathname} ${name}`;

/** Take over what a view of that `name` left; null where none did. It is there once. */
export function takeDraft(name) {
  const left = recall(sessionStorage, keyOf(name));
  if (left !== null) remember(sessionStorage, keyOf(name), null);
  return left;
}

/**
 * Leave the text that `written` gives when the page goes; the function that is returned does it when the view does, with
 * a cell that is run again. Nothing is left where nothing is written: another view may have left something, too.
 */
export function keepDraft(name, written) {
  const leave = () => {
    const text = written();
    if (text) remember(sessionStorage, keyOf(name), text);
  };
  addEventListener("pagehide", leave);
  return () => {
    removeEventListener("pagehide", leave);
    leave();
  };
}
