// What a reload does not take away. It lies in this tab's storage from when the page goes until it comes again.

const NAME = "harken.reload";

/** `give()` is asked for it when the page goes. */
export function keepOverReload(give) {
  window.addEventListener("pagehide", () => {
    try {
      sessionStorage.setItem(NAME, JSON.stringify(give()));
    } catch {
      // Storage is closed to this page, or too small: the reload begins afresh.
    }
  });
}

/** What was given, where this page is that one again; null otherwise. */
export function keptOverReload() {
  try {
    const kept = sessionStorage.getItem(NAME);
    sessionStorage.removeItem(NAME);
    return performance.getEntriesByType("navigation")[0].type === "reload" ? JSON.parse(kept) : null;
  } catch {
    return null;
  }
}
