"""The browser of the benches: what it notes while a page works, and when its clock began on ours."""

from __future__ import annotations

import math
import os
import shutil
import time

from playwright.sync_api import Browser, Page, Playwright

PROBE = """
(() => {
  const bench = (window.bench = { bytes: 0, frames: [], tasks: [], asked: null });
  window.WebSocket = class extends WebSocket {
    constructor(...address) {
      super(...address);
      this.addEventListener("message", ({ data }) => { bench.bytes += data.byteLength ?? data.size ?? data.length; });
    }
  };
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) bench.tasks.push([task.startTime, task.duration]);
  }).observe({ type: "longtask" });
  const note = (event) => { if (event.type === "click" || event.key === "Escape") bench.asked = event.timeStamp; };
  for (const type of ["click", "keydown"]) addEventListener(type, note, true);

  // The number of the last word below `element`, from the end, so that a long text costs no more than a short one.
  const newest = (element) => {
    let node = element;
    while (node?.lastChild) node = node.lastChild;
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_ALL);
    walker.currentNode = node;
    for (; node && node !== element; node = walker.previousNode()) {
      const found = node.nodeType === Node.TEXT_NODE ? node.data.slice(-400).match(/w\\d{5}/g) : null;
      if (found) return Number(found.at(-1).slice(1));
    }
    return -1;
  };

  bench.watch = (columns, running) => {
    const pulse = document.createElement("div");
    pulse.style = "position:fixed;visibility:hidden;contain:strict;width:1px;height:1px";
    document.body.append(pulse);
    const painted = new MessageChannel();
    let seen = [];
    // Observers of size come after layout and before paint: what stands there now is what this frame shows.
    new ResizeObserver(() => {
      seen = [document.querySelectorAll(running).length, ...[...document.querySelectorAll(columns)].map(newest)];
      painted.port2.postMessage(null);
    }).observe(pulse);
    painted.port1.onmessage = () => bench.frames.push([performance.now(), bench.bytes, ...seen]);
    const tick = () => {
      pulse.style.width = pulse.style.width === "1px" ? "2px" : "1px";
      requestAnimationFrame(tick);
    };
    tick();
  };
  bench.stopped = () => {
    const last = bench.frames.at(-1);
    return bench.asked !== null && last[0] > bench.asked && last[2] === 0;
  };
})();
"""


def launch(playwright: Playwright, *options: str) -> Browser:
    """The system's Chromium, else playwright's own."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((path for name in names if (path := shutil.which(name))), None)
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    return playwright.chromium.launch(executable_path=path, args=[*options, *sandbox])


def origin(page: Page) -> float:
    """When the page's clock was 0, on ours: from the shortest of some questions."""
    best, origin = math.inf, 0.0
    for _ in range(200):
        asked = time.monotonic()
        told = page.evaluate("performance.now()") / 1000
        took = time.monotonic() - asked
        if took < best:
            best, origin = took, asked + took / 2 - told
        if best < 0.003:
            break
    return origin
