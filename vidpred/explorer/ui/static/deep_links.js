// The address of the page holds the view: the tab that is looked at, and those of its fields that differ from what would open anyway.
window.links = (() => {
  let tab = ""; // that is looked at
  let read = () => {}; // to be called when the server has read the address
  const kept = {}; // tab -> what its address was made of, and the address
  const begun = new URLSearchParams(location.search), first = begun.get("tab") || "";
  const pages = { [first]: begun.get("part") || "" }; // tab -> the tab within it, "" for its first one
  const firsts = {}; // tab -> the first tab within it
  const frames = {}; // tab -> frame of its player, where it is not the one that a prediction begins with
  const tops = {}; // tab -> how far down its page
  let actions = (first === "drive" && begun.get("actions")) || ""; // that were driven
  let resting = 0;
  const OWN = ["tab", "part", "frame", "actions"]; // names in the address that are no fields
  const PLAYERS = { player: "predict", "compare-player": "compare", "yours-player": "yours" };
  // A bare address (Gradio's own names begin with __) holds no view: nothing to wait for.
  const opened = /[?&](?!__)./.test(location.search) ? new Promise((resolve) => { read = resolve; }) : null;

  // As it stands in an address: names with a comma or a per cent sign can be told apart in a list.
  const text = (value) => Array.isArray(value)
    ? value.map((name) => name.replace(/[%,]/g, encodeURIComponent)).join(",")
    : value === true ? "1" : String(value);
  const encode = (value) => encodeURIComponent(value).replace(/%2F/g, "/").replace(/%2C/g, ",");
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

  // Without the key by which a private Space lets its visitor in.
  const address = () => location.href.replace(/([?&])__sign=[^&#]*&?/, "$1");

  // Whether it was allowed: not in another page's frame (Chromium says so beforehand; to try is an error in its console),
  // nor without https, where there is no clipboard.
  async function copy(copied) {
    if (document.featurePolicy?.allowsFeature("clipboard-write") === false) return false;
    return navigator.clipboard?.writeText(copied).then(() => true, () => false) ?? false;
  }

  const fields = (search) => {
    const query = new URLSearchParams(search);
    for (const name of OWN) query.delete(name);
    return String(query);
  };

  // The tab that is on screen: what Gradio says of it comes later.
  const inSight = () => document.querySelector("#tabs [role=tab][aria-selected=true]")?.dataset.tabId;
  addEventListener("scroll", () => { tops[inSight()] = scrollY; }, { passive: true });

  // Back and forward: the tab that the address names, as it was left; one that is not known any more is opened anew.
  addEventListener("popstate", () => {
    const query = new URLSearchParams(location.search), name = query.get("tab") || document.querySelector("#tabs [role=tab]")?.dataset.tabId;
    const button = document.querySelector("#tabs [role=tab][data-tab-id=" + CSS.escape(name ?? "") + "]");
    if (!button || !kept[name] || fields(kept[name].search) !== fields(location.search)) { location.reload(); return; }
    if (name !== inSight()) requestAnimationFrame(() => scrollTo(0, tops[name] ?? 0)); // then the tab is there
    button.click();
    const page = query.get("part") || firsts[name];
    const inner = page && document.querySelector("[role=tabpanel] [role=tab][data-tab-id=" + CSS.escape(page) + "]");
    if (inner && inner.getAttribute("aria-selected") !== "true") inner.click();
  });

  return {
    // The address has been read; led: the tab where it led, if any.
    opened(led) {
      tab = led || tab;
      if (led !== first) delete pages[first];
      read();
    },

    // A tab is looked at. Gradio says so for the first one before the address has been read.
    async look(name) {
      tab = name;
      await opened;
      return tab;
    },

    // shown: the tab that is looked at. views: tab -> what an address leaves out (links.first_views). values: of its fields.
    keep(name, shown, views, values) {
      if (name !== shown || name !== inSight()) return;
      const { first: usual, runs, clips } = views[name], names = Object.keys(usual);
      const view = Object.fromEntries(names.map((field, i) => [field, values[i]]));
      const first = { ...usual, ...runs[view.run ?? view.runs?.[0]] };
      if (view.clip in clips) first.frames = Math.min(first.frames, clips[view.clip] - view.context);
      const held = names.filter((field) => view[field] !== null && !same(view[field], first[field]));
      const query = held.map((field) => [field, text(view[field])]);
      if (pages[name]) query.unshift(["part", pages[name]]);
      if (frames[name] !== undefined) query.push(["frame", String(frames[name])]);
      if (name === "drive" && actions) query.push(["actions", actions]);
      if (query.length || name !== Object.keys(views)[0]) query.unshift(["tab", name]);
      const ours = new Set([...OWN, ...Object.values(views).flatMap((tab) => Object.keys(tab.first))]);
      query.push(...[...new URLSearchParams(location.search)].filter(([key]) => !ours.has(key)));
      const search = query.map(([key, value]) => key + "=" + encode(value)).join("&"), place = name + "/" + (pages[name] || "");
      const url = location.pathname + (search && "?" + search) + location.hash, known = history.state?.place;
      kept[name] = { views, values, search: search && "?" + search };
      // another tab is another view, to which Back returns; its fields are what they are now
      if (known !== undefined && known !== place) history.pushState({ place }, "", url);
      else history.replaceState({ ...history.state, place }, "", url);
    },

    // A tab within a tab is looked at.
    page(name, page, first) {
      pages[name] = page === first ? "" : page;
      firsts[name] = first;
      this.again(name);
    },

    // A player stands at a frame; start: where a prediction begins. Not every frame of a drag is written: browsers allow few.
    frame(player, frame, start) {
      const name = PLAYERS[player];
      if (!name) return;
      if (frame === start) delete frames[name]; else frames[name] = frame;
      clearTimeout(resting);
      resting = setTimeout(() => this.again(name), 250);
    },

    // The frame with which a player begins, once, where the address names one.
    at(player) {
      const name = PLAYERS[player], frame = begun.get("frame");
      if (!name || frame === null || (first || "predict") !== name) return null;
      begun.delete("frame");
      return /^\d{1,6}$/.test(frame) ? Number(frame) : null;
    },

    // What was driven, and what the address names to be driven, once.
    drove(text) {
      if (text === actions) return;
      actions = text;
      clearTimeout(resting);
      resting = setTimeout(() => this.again("drive"), 250);
    },
    driven() {
      const text = first === "drive" ? begun.get("actions") : null;
      begun.delete("actions");
      return text;
    },

    again(name) {
      if (kept[name] && name === tab) this.keep(name, tab, kept[name].views, kept[name].values);
    },

    copies(element) {
      const button = element.querySelector("button"), status = element.querySelector("[data-part=status]");
      const field = element.querySelector("[data-part=address]"), label = button.textContent;
      let timer = 0;
      const say = (done) => {
        button.textContent = done ? "Copied" : label;
        status.textContent = done ? "Link copied" : "";
      };
      button.addEventListener("click", async () => {
        const copied = await copy(address());
        clearTimeout(timer);
        say(copied);
        timer = setTimeout(say, 2000, false);
        if (copied) return;
        field.value = address();
        field.hidden = false;
        field.select();
      });
      field.addEventListener("blur", () => { field.hidden = true; });
      field.addEventListener("keydown", (event) => { if (event.key === "Escape") field.blur(); });
    },
  };
})();
