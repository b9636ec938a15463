// Tables and formulas that scroll sideways can be reached by keys; the upload button's name is what stands on it.
new MutationObserver((changes) => {
  for (const { target, addedNodes } of changes) {
    if (!addedNodes.length || target.closest(".player, .chart, .drive")) continue;
    for (const wide of target.querySelectorAll(":is(.lesson, .figures) :is(table, .katex-display):not([tabindex])")) wide.tabIndex = 0;
    for (const button of target.querySelectorAll(".upload-container[aria-label]")) button.removeAttribute("aria-label");
  }
}).observe(document.documentElement, { childList: true, subtree: true });

// A widget that is driven by keys takes them when its tab opens: the first press works. Whoever is in a field, or reads on, keeps them.
window.takeKeys = (widget) => {
  let laidOut = false;
  new ResizeObserver(() => {
    const opens = !laidOut && widget.clientWidth > 0, { top, bottom } = widget.getBoundingClientRect();
    laidOut = widget.clientWidth > 0;
    const free = !document.activeElement || document.activeElement.matches("body, [role=tab]");
    if (opens && free && top < innerHeight && bottom > 0) widget.focus({ preventScroll: true });
  }).observe(widget);
};
