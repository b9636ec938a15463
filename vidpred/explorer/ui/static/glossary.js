// Words of the glossary, where they first stand in a block of text or a widget, get a sentence that explains them.
(() => {
  const PLACES = ".about, .answer, .figures, .claim, .player .protocol, .player .numbers, .panel h4, .panel .keys";
  const words = Object.keys(window.glossary).sort((a, b) => b.length - a.length); // "learned prior" before "prior"
  const meaning = Object.fromEntries(words.map((word) => [word.toLowerCase(), window.glossary[word]]));
  const pattern = new RegExp("(?<![\\w-])(" + words.join("|") + ")(?![\\w-])", "gi");
  let tip = null, shown = null;

  // Every word once in a block; what stands in links, code and other terms stays as it is.
  function mark(place) {
    const known = new Set([...place.querySelectorAll("abbr.term")].map((term) => term.textContent.toLowerCase()));
    const walker = document.createTreeWalker(place, NodeFilter.SHOW_TEXT), texts = [];
    while (walker.nextNode())
      if (!walker.currentNode.parentElement.closest("abbr, a, code, button, select, .katex")) texts.push(walker.currentNode);
    for (let text of texts) {
      pattern.lastIndex = 0;
      for (let found; (found = pattern.exec(text.data)); ) {
        const word = found[1].toLowerCase();
        if (known.has(word)) continue; // what is not marked is not split either: the observer would see it
        known.add(word);
        const term = document.createElement("abbr"), marked = text.splitText(found.index);
        text = marked.splitText(found[1].length);
        pattern.lastIndex = 0;
        term.className = "term";
        term.tabIndex = 0;
        marked.replaceWith(term);
        term.append(marked);
      }
    }
  }

  function say(term) {
    if (!tip && !term) return;
    if (!tip) {
      tip = document.createElement("div");
      tip.id = "term-tip";
      tip.setAttribute("role", "tooltip");
      document.querySelector(".gradio-container").append(tip);
    }
    if (shown && shown !== term) shown.removeAttribute("aria-describedby");
    shown = term;
    tip.hidden = !term;
    if (!term) return;
    tip.textContent = meaning[term.textContent.toLowerCase()];
    term.setAttribute("aria-describedby", tip.id);
    const at = term.getBoundingClientRect(), { width, height } = tip.getBoundingClientRect();
    tip.style.left = Math.max(8, Math.min(innerWidth - width - 8, at.left)) + "px";
    tip.style.top = (at.top > height + 12 ? at.top - height - 6 : at.bottom + 6) + "px";
  }

  const term = (event) => event.target.closest?.("abbr.term") ?? null;
  document.addEventListener("pointerover", (event) => { if (term(event) || shown !== document.activeElement) say(term(event)); });
  document.addEventListener("focusin", (event) => say(term(event)));
  document.addEventListener("focusout", () => say(null));
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") say(null); });
  document.addEventListener("scroll", () => { if (shown) say(null); }, { capture: true, passive: true });

  // What Gradio and the widgets write is marked when it has been written.
  new MutationObserver((changes) => {
    const places = new Set();
    for (const { target, addedNodes } of changes) {
      if (!addedNodes.length || target.closest("abbr, svg, .stage")) continue;
      const outer = target.closest(PLACES);
      if (outer) places.add(outer);
      else for (const place of target.querySelectorAll(PLACES)) places.add(place);
    }
    for (const place of places) mark(place);
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
