/**
 * A page that is a dashboard, and not a cell among others: the way back to the other dashboards, and what becomes of it
 * where its kernel ended meanwhile, with its server or with the sign-in.
 */
import { askFor } from "./kernel.js";

const EVERY_MS = 15_000;
const RETURNS = ["focus", "online", "pointerdown", "keydown"];

/** Where the dashboards are listed; null where the host says of no such place. */
export function home() {
  return document.querySelector('link[rel="index"]')?.href ?? null;
}

/**
 * Open the page anew once its kernel has gone: the browser is led through the sign-in and the start of a server as far
 * as they are needed, and back. Only when somebody returns to the page, or else one that was forgotten would keep a
 * server running; and not where nothing answers, which may be a restart. Returns what ends it.
 */
export function reopenWhenGone() {
  const config = JSON.parse(document.getElementById("jupyter-config-data")?.textContent ?? "{}");
  if (!document.body.dataset.voila || !config.kernelId) return () => {};
  let looked = performance.now();
  const look = async () => {
    if (document.hidden || performance.now() - looked < EVERY_MS) return;
    looked = performance.now();
    if (await isGone(`${config.baseUrl}api/kernels/${config.kernelId}`)) location.reload();
  };
  for (const name of RETURNS) addEventListener(name, look);
  document.addEventListener("visibilitychange", look);
  return () => {
    for (const name of RETURNS) removeEventListener(name, look);
    document.removeEventListener("visibilitychange", look);
  };
}

async function isGone(kernel) {
  try {
    const answer = await askFor(kernel);
    // 424 is the hub's: the server does not run. A 404 that is no JSON is a proxy's that starts.
    const told = answer.headers.get("Content-Type") ?? "";
    return [401, 403, 424].includes(answer.status) || (answer.status === 404 && told.includes("json"));
  } catch {
    return false;
  }
}
