// What a dashboard does before its widgets are there. A file, since the page's policy lets no script stand in a page.
(() => {
  // A dashboard without any output has nothing to wait for.
  const LONGEST_MS = 5_000;
  const dark = matchMedia("(prefers-color-scheme: dark)");

  /** "en" or "zh": what was chosen here before, else the browser's. */
  function language() {
    const chosen = /(?:^|;\s*)llmws-language=(en|zh)\b/.exec(document.cookie)?.[1];
    return chosen ?? (/^zh\b/i.test(navigator.language) ? "zh" : "en");
  }

  // Not at once: cookies are asked of the process that is just fetching all that the page needs. No frame comes earlier.
  requestAnimationFrame(() => {
    document.documentElement.lang = language() === "zh" ? "zh-CN" : "en";
  });
  if (document.body.dataset.followSystem) {
    const follow = () => {
      document.body.dataset.jpThemeLight = String(!dark.matches);
    };
    dark.addEventListener("change", follow);
    follow();
  }

  // Voilà's server calls this one while a cell takes long, so that the connection is not taken for dead.
  window.voila_heartbeat = () => {};

  // Voilà's own script asks for this one again when the theme is there. What is shown comes a moment later.
  window.voila_finish = () => {
    if (!window.themeLoaded) {
      window.cellLoaded = true;
      return;
    }
    const cells = document.getElementById("rendered_cells");
    cells.style.display = "";
    const isThere = () => cells.querySelector(".lw, .jp-OutputArea-output > *");
    const open = () => {
      observer.disconnect();
      document.getElementById("loading")?.remove();
    };
    const observer = new MutationObserver(() => isThere() && open());
    observer.observe(cells, { childList: true, subtree: true });
    setTimeout(open, isThere() ? 0 : LONGEST_MS);
  };
  addEventListener("DOMContentLoaded", window.voila_finish);
})();
