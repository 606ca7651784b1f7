/** What the keys do on the chat page, and the sheet that tells it. */

import { t } from "./chat-strings.js";
import { Dialog } from "./dialog.jsx";
import "./shortcuts.css";

const MAC = /Mac|iPhone|iPad/.test(navigator.platform);
/** How keys are written on a Mac; elsewhere their names are. */
const SIGNS = { Mod: "⌘", Alt: "⌥", Shift: "⇧" };
const NAMES = { Mod: "Ctrl", ArrowUp: "↑", ArrowDown: "↓", PageUp: "Page ↑", PageDown: "Page ↓", Escape: "Esc" };

/**
 * [keys, sentence, what is done]. Those without a deed are heard where they are typed. None is a key of JupyterLab's
 * that would be heard here, or one that browsers keep for themselves: a test compares.
 */
const shortcuts = [
  ["Enter", "shortcut_send"],
  ["Shift+Enter", "shortcut_line"],
  ["Escape", "shortcut_stop"],
  ["Mod+Shift+O", "new_chat", ({ page }) => page.startNew()],
  ["Mod+K", "search", ({ find }) => find()],
  ["Alt+ArrowUp", "shortcut_previous", ({ page }) => page.reader.step(-1)],
  ["Alt+ArrowDown", "shortcut_next", ({ page }) => page.reader.step(1)],
  ["Alt+PageUp", "shortcut_previous_chat", ({ walk }) => walk(-1)],
  ["Alt+PageDown", "shortcut_next_chat", ({ walk }) => walk(1)],
  ["Mod+Shift+Y", "shortcut_copy", ({ page }) => page.copyLast()],
  ["Mod+/", "shortcuts", ({ help }) => help()],
];
const deeds = new Map(shortcuts.map(([keys, , act]) => [keys, act]));

/** The keys that were pressed, as they stand above. */
function pressed(event) {
  // A letter by its place where the layout has none there.
  const latin = /^[a-z]$/i.test(event.key) ? event.key : /^Key([A-Z])$/.exec(event.code)?.[1];
  const key = event.key === "/" || event.code === "Slash" ? "/" : (latin?.toUpperCase() ?? event.key);
  const shift = event.shiftKey && key !== "/";
  // On a Mac Ctrl is for the cursor: Ctrl+K takes away the rest of the line.
  const [mod, other] = MAC ? [event.metaKey, event.ctrlKey] : [event.ctrlKey, event.metaKey];
  const held = [other && "Other", mod && "Mod", event.altKey && "Alt", shift && "Shift"];
  return [...held.filter(Boolean), key].join("+");
}

const isWritten = (element) => element.matches("input, textarea, select, [contenteditable]");

/** Do what the keys say; `able` is what it takes: the page and the deeds that are not the page's. */
export function onShortcut(event, able) {
  if (event.defaultPrevented) return;
  // In a text of several lines the arrows go from paragraph to paragraph on a Mac.
  if (event.altKey && event.target.value?.includes("\n")) return;
  const asksForHelp = event.key === "?" && !isWritten(event.target);
  const act = asksForHelp ? able.help : deeds.get(pressed(event));
  if (!act) return;
  event.preventDefault();
  act(able);
}

const nameOf = (key) => (MAC && SIGNS[key]) || NAMES[key] || key;

/** Keys in a hint. */
export const written = (keys) =>
  keys
    .split("+")
    .map(nameOf)
    .join(MAC ? "" : "+");

function Keys({ keys }) {
  return keys.split("+").map((key) => <kbd key={key}>{nameOf(key)}</kbd>);
}

export function Shortcuts({ onClose }) {
  return (
    <Dialog title={t("shortcuts")} onClose={onClose}>
      <dl class="lw-shortcuts">
        {shortcuts.map(([keys, sentence]) => (
          <div key={keys}>
            <dt>{t(sentence)}</dt>
            <dd>
              <Keys keys={keys} />
            </dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
