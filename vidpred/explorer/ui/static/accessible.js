// Tables and formulas that scroll sideways can be reached by keys; the upload button's name is what stands on it.
new MutationObserver((changes) => {
  for (const { target, addedNodes } of changes) {
    if (!addedNodes.length || target.closest(".player, .chart, .drive")) continue;
    for (const wide of target.querySelectorAll(":is(.lesson, .figures) :is(table, .katex-display):not([tabindex])")) wide.tabIndex = 0;
    for (const button of target.querySelectorAll(".upload-container[aria-label]")) button.removeAttribute("aria-label");
  }
}).observe(document.documentElement, { childList: true, subtree: true });

// A widget that is driven by keys takes them when its tab opens: the first press works. Whoever is in a field keeps them, and
// whoever has begun to read and scroll before it came into sight.
window.takeKeys = (widget) => {
  let laidOut = false, waits = false;
  for (const act of ["keydown", "pointerdown", "touchmove", "wheel"]) addEventListener(act, () => { waits = false; }, { capture: true, passive: true });
  new ResizeObserver(() => {
    if (laidOut !== widget.clientWidth > 0) waits = laidOut = !laidOut;
  }).observe(widget);
  new IntersectionObserver(([{ isIntersecting }]) => {
    if (!isIntersecting || !waits) return;
    waits = false;
    if (!document.activeElement || document.activeElement.matches("body, [role=tab]")) widget.focus({ preventScroll: true });
  }).observe(widget);
};
