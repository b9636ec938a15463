// The address of the page holds the view: the tab that is looked at, and those of its fields that differ from what would open anyway.
window.links = (() => {
  let tab = ""; // that is looked at
  let read = () => {}; // to be called when the server has read the address
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

  return {
    // The address has been read; led: the tab where it led, if any.
    opened(led) { tab = led || tab; read(); },

    // A tab is looked at. Gradio says so for the first one before the address has been read.
    async look(name) {
      tab = name;
      await opened;
      return tab;
    },

    // shown: the tab that is looked at. views: tab -> what an address leaves out (links.first_views). values: of its fields.
    keep(name, shown, views, values) {
      if (name !== shown) return;
      const { first: usual, runs, clips } = views[name], fields = Object.keys(usual);
      const view = Object.fromEntries(fields.map((field, i) => [field, values[i]]));
      const first = { ...usual, ...runs[view.run ?? view.runs?.[0]] };
      if (view.clip in clips) first.frames = Math.min(first.frames, clips[view.clip] - view.context);
      const held = fields.filter((field) => view[field] !== null && !same(view[field], first[field]));
      const query = held.map((field) => [field, text(view[field])]);
      if (held.length || name !== Object.keys(views)[0]) query.unshift(["tab", name]);
      const ours = new Set(["tab", ...Object.values(views).flatMap((tab) => Object.keys(tab.first))]);
      query.push(...[...new URLSearchParams(location.search)].filter(([key]) => !ours.has(key)));
      const search = query.map(([key, value]) => key + "=" + encode(value)).join("&");
      history.replaceState(history.state, "", location.pathname + (search && "?" + search) + location.hash);
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
