/**
 * The comm layer of every page: intents go to the kernel, replies and broadcasts come back. It knows nothing of chats.
 *
 * Messages reach every tab of a kernel, so a reply carries the view and request it answers. Deltas are numbered;
 * where one is missing the page is told to ask for a snapshot, and hears no deltas until it has one.
 */
import { signal } from "@preact/signals";

const SLOW_MS = 2_000;
const SILENCE_MS = 10_000;

/** 32 hex digits; `crypto.randomUUID` exists on secure origins only, a hub on plain http is none. */
export function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Talk to the Python half of `model`.
 *
 * `call(intent, values, apply)` resolves with the reply, or rejects with `{code, message, remedy}`. `apply` runs while
 * the reply is being received, before any later message: a snapshot must stand before the next delta arrives.
 */
export function connect(model, handlers) {
  const view = randomId();
  const pending = new Map();
  const silent = signal(false);
  let requests = 0;
  let sequence = null;

  function receive(message) {
    silent.value = false;
    if (message.type === "reply") {
      if (message.view !== view) return;
      const waiting = pending.get(message.request);
      if (!waiting) return;
      pending.delete(message.request);
      waiting.timers.forEach(clearTimeout);
      if (message.error) waiting.reject(message.error);
      else waiting.resolve(waiting.apply ? (waiting.apply(message.value) ?? message.value) : message.value);
    } else if (message.type === "deltas") {
      if (sequence === null || message.sequence <= sequence) return;
      if (message.sequence === sequence + 1) {
        sequence = message.sequence;
        handlers.deltas?.(message);
      } else {
        sequence = null;
        handlers.gap?.();
      }
    } else if (message.view !== view) {
      handlers[message.type]?.(message);
    }
  }

  function call(intent, values = {}, apply = undefined) {
    return new Promise((resolve, reject) => {
      const request = ++requests;
      const silence = setTimeout(() => {
        silent.value = true;
      }, SILENCE_MS);
      const timers = [silence, setTimeout(() => handlers.slow?.(intent), SLOW_MS)];
      pending.set(request, { resolve, reject, apply, timers });
      model.send({ intent, view, request, values });
    });
  }

  model.on("msg:custom", receive);
  return {
    call,
    silent,
    /** Whether deltas are missing and no snapshot has come yet. */
    get lost() {
      return sequence === null;
    },
    /** From here on deltas count: a snapshot taken at `number` has been shown. */
    resume(number) {
      sequence = number;
    },
    close() {
      model.off("msg:custom", receive);
      for (const { timers } of pending.values()) timers.forEach(clearTimeout);
    },
  };
}

/** "light" or "dark": what the host shows (JupyterLab and Voilà say it on the body), else what the system prefers. */
export function followTheme(model) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const theme = signal("light");
  const update = () => {
    const wanted = model.get("theme");
    const light = document.body.dataset.jpThemeLight;
    const dark = light ? light === "false" : system.matches;
    theme.value = wanted === "light" || wanted === "dark" ? wanted : dark ? "dark" : "light";
  };
  const observer = new MutationObserver(update);
  observer.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  system.addEventListener("change", update);
  model.on("change:theme", update);
  update();
  const close = () => {
    observer.disconnect();
    system.removeEventListener("change", update);
    model.off("change:theme", update);
  };
  return { theme, close };
}

/** Where the host serves from, with a slash at its end; the door for bytes is `llmws/` below it. */
export function baseUrl() {
  const config = document.getElementById("jupyter-config-data");
  const url = config ? JSON.parse(config.textContent).baseUrl : "/";
  return url.endsWith("/") ? url : `${url}/`;
}

/** Let the browser save what `path` serves, below the door or, with a slash, on a hub's; the page stays where it is. */
export function saveFile(path) {
  const link = document.createElement("a");
  link.href = path.startsWith("/") ? path : `${baseUrl()}llmws/${path}`;
  link.download = "";
  document.body.append(link);
  link.click();
  link.remove();
}

/** Copy text, also where there is no clipboard interface (plain http). */
export async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.style.position = "fixed";
  area.style.opacity = "0";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** A key of this browser's or tab's storage, which private windows may refuse. */
export function recall(storage, key) {
  try {
    return storage.getItem(key);
  } catch {
    return null;
  }
}

export function remember(storage, key, value) {
  try {
    if (value === null) storage.removeItem(key);
    else storage.setItem(key, value);
  } catch {
    // A page that cannot remember works all the same.
  }
}
