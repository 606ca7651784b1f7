/**
 * The way to the kernel, found again where it broke off: a proxy was restarted, a laptop slept.
 *
 * JupyterLab looks for it by itself, after 10 to 30 seconds at first, then after pauses that grow to a minute, and gives
 * up after the seventh: too late for a page that somebody waits before. So the kernel is asked to connect at once, but
 * not before its server answers. An attempt that fails leaves JupyterLab a timer that breaks off what was connected
 * meanwhile, and where a proxy that just starts says 404, it takes the kernel for dead (`_createSocket` in JupyterLab's
 * packages/services/src/kernel/default.ts).
 */

const PAUSE_MS = 3_000;
/** Kept on the kernel: each widget of a notebook has its own copy of this module, and they share one connection. */
const TRIED = Symbol.for("llmws.tried");

/** Connect `kernel`, the one of a widget manager, where it is not; with a pause between two attempts. */
export async function reach(kernel) {
  if (!isCut(kernel) || performance.now() - (kernel[TRIED] ?? Number.NEGATIVE_INFINITY) < PAUSE_MS) return;
  kernel[TRIED] = performance.now();
  if ((await answers(kernel)) && isCut(kernel)) kernel.reconnect().catch(() => {});
}

/** Whether a kernel that lives, as far as the browser knows, cannot be heard. */
const isCut = (kernel) =>
  kernel?.connectionStatus !== undefined && !kernel.isDisposed && kernel.connectionStatus !== "connected";

async function answers({ id, serverSettings }) {
  try {
    const url = new URL(`api/kernels/${id}`, serverSettings.baseUrl);
    return (await askFor(url, { signal: AbortSignal.timeout(PAUSE_MS) })).ok;
  } catch {
    return false;
  }
}

/** What the server says now of the kernel at `url`. */
export function askFor(url, options) {
  // A hub refuses what a page asks without this token, as if nobody were signed in; a cookie alone proves too little.
  const token = /(?:^|;\s*)_xsrf=([^;]*)/.exec(document.cookie)?.[1] ?? "";
  return fetch(url, { cache: "no-store", headers: { "X-XSRFToken": decodeURIComponent(token) }, ...options });
}
