/**
 * The comm layer of every page: intents go to the kernel, replies and broadcasts come back. It knows nothing of chats.
 *
 * Messages reach every tab of a kernel, so a reply carries the view and request it answers. All are numbered, because
 * Jupyter drops some, either way, while a websocket comes back. Where one is missing the page is told to ask for a
 * snapshot, and hears no deltas until it has one; what was not answered is asked again, which Python does only once. It
 * then repeats what it said at first, which more may have followed on: the page is told to ask for a snapshot then, too.
 */
import { signal } from "@preact/signals";
import { reach } from "./kernel.js";

const SLOW_MS = 2_000;
const SILENCE_MS = 10_000;
/** As page.py says it. */
const AGAIN = "Try again. If it happens again, report it with the output of `llmws doctor`.";

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
  let number = null;
  let following = false;

  function receive(message) {
    silent.value = false;
    const missing = number !== null && message.number !== number + 1;
    number = message.number;
    if (missing) following = false;
    handlers.heard?.();
    const isNews = handOver(message);
    // Perhaps it was an answer. Asked again before the snapshot is, it comes before that, which may be newer.
    if (missing) repeat(Number.POSITIVE_INFINITY, 0);
    if ((missing || !isNews) && !following) handlers.gap?.();
  }

  /** Give a message to whom it concerns; false where it tells what was so a while ago. */
  function handOver(message) {
    if (message.type === "reply") return message.view !== view || answered(message);
    if (message.type === "deltas") {
      if (following) handlers.deltas?.(message);
    } else if (message.view !== view) {
      handlers[message.type]?.(message);
    }
    return true;
  }

  function answered({ request, value, error, repeated = false }) {
    const waiting = pending.get(request);
    if (!waiting) return true;
    pending.delete(request);
    waiting.timers.forEach(clearTimeout);
    if (error) waiting.reject(error);
    else take(waiting, value);
    // What was asked long before this is slow, or was lost on its way there or back.
    repeat(request, SLOW_MS);
    if (repeated) following = false;
    return !repeated;
  }

  /** Hand a value to who asked for it; a mistake of this page is told like one of the other, and leaves nobody waiting. */
  function take({ apply, resolve, reject }, value) {
    try {
      resolve(apply ? (apply(value) ?? value) : value);
    } catch (problem) {
      console.error(problem);
      reject({ code: "internal", message: `The page made a mistake (${problem.name}).`, remedy: AGAIN });
    }
  }

  /** Ask again what was asked before the request `limit`, and has waited for `least` since it was last asked. */
  function repeat(limit, least) {
    const now = performance.now();
    for (const [request, waiting] of pending) {
      if (request >= limit || now - waiting.sent < least) continue;
      waiting.sent = now;
      model.send(waiting.content);
    }
  }

  function call(intent, values = {}, apply = undefined) {
    return new Promise((resolve, reject) => {
      const request = ++requests;
      const silence = setTimeout(() => {
        silent.value = true;
      }, SILENCE_MS);
      const slow = setTimeout(() => {
        reach(model.widget_manager?.kernel);
        handlers.slow?.(intent);
      }, SLOW_MS);
      const timers = [silence, slow];
      const content = { intent, view, request, values };
      pending.set(request, { resolve, reject, apply, timers, content, sent: performance.now() });
      model.send(content);
    });
  }

  model.on("msg:custom", receive);
  return {
    call,
    silent,
    /** Whether deltas are missing and no snapshot has come yet. */
    get lost() {
      return !following;
    },
    /** Whether something was asked and not answered yet. */
    get waiting() {
      return pending.size > 0;
    },
    /** From here on deltas count: a snapshot has just been shown, while its reply was received. */
    follow() {
      following = true;
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

/** The address of what stands below the door or, with a slash, below a hub's. */
export function doorUrl(path) {
  return path.startsWith("/") ? path : `${baseUrl()}llmws/${path}`;
}

/** Let the browser save what `path` serves below the door; the page stays where it is. */
export function saveFile(path) {
  const link = document.createElement("a");
  link.href = doorUrl(path);
  link.download = "";
  document.body.append(link);
  link.click();
  link.remove();
}

/** Copy text, also where there is no clipboard interface (plain http), or none for this frame. */
export async function copyText(text) {
  try {
    return await navigator.clipboard.writeText(text);
  } catch {
    copySelected(text);
  }
}

function copySelected(text) {
  const focused = document.activeElement;
  const area = document.createElement("textarea");
  area.value = text;
  area.style.position = "fixed";
  area.style.opacity = "0";
  // While a dialog is open nothing outside of it can be selected.
  (focused.closest("dialog") ?? document.body).append(area);
  area.focus({ preventScroll: true });
  area.select();
  document.execCommand("copy");
  area.remove();
  focused.focus({ preventScroll: true });
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

// Read and written by the hub's pages as well (hub/speaking.py), and by the dashboards' template.
const LANGUAGE = "llmws-language";
const YEAR_S = 31_536_000;

/** "en" or "zh" where somebody chose it in this browser, on whatever page; else null. */
export function chosenLanguage() {
  return new RegExp(`(?:^|;\\s*)${LANGUAGE}=(en|zh)\\b`).exec(document.cookie)?.[1] ?? null;
}

export function chooseLanguage(chosen) {
  // biome-ignore lint/suspicious/noDocumentCookie: the cookie store exists on secure origins only, a hub on plain http is none
  document.cookie = `${LANGUAGE}=${chosen}; path=/; max-age=${YEAR_S}; samesite=lax`;
}
