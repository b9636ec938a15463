// Rows of runs: a heading sorts, a tick chooses. Text goes through textContent only.
const table = element.querySelector("table"), head = element.querySelector("thead"), body = element.querySelector("tbody");
let latest = 0, shown = null, chosen = new Set();
let order = { column: -1, down: false }; // -1: as they come

function make(tag, attributes, parent, text) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

function accept() {
  const value = props.value;
  if (!value || !value.rows || value.request <= latest) return; // none yet, or a late answer
  latest = value.request;
  shown = value;
  chosen = new Set(value.chosen);
  element.querySelector("[data-part=message]").hidden = true;
  table.hidden = false;
  const focused = element.contains(document.activeElement) && document.activeElement.dataset.key; // it goes away with its row
  head.replaceChildren();
  const row = make("tr", {}, head);
  value.columns.forEach((title, column) => {
    const button = make("button", { type: "button", title: "Sort by this", "data-key": "column " + column }, make("th", { scope: "col" }, row), title);
    button.addEventListener("click", () => {
      const number = shown.rows.some(({ cells }) => typeof cells[column][1] === "number");
      order = { column, down: order.column === column ? !order.down : number }; // of numbers the highest first
      draw();
    });
  });
  draw();
  if (focused) [...element.querySelectorAll("[data-key]")].find((one) => one.dataset.key === focused)?.focus({ preventScroll: true });
  element.dataset.request = value.request; // what is on screen now, for tests
}

function compare(a, b) {
  const [x, y] = [a.cells[order.column][1], b.cells[order.column][1]];
  if (x === null || y === null) return (x === null) - (y === null); // what has none comes last
  return (order.down ? -1 : 1) * (typeof x === "number" ? x - y : x.localeCompare(y));
}

function draw() {
  [...head.querySelectorAll("th")].forEach((cell, column) => {
    cell.setAttribute("aria-sort", column !== order.column ? "none" : order.down ? "descending" : "ascending");
  });
  const rows = order.column < 0 ? shown.rows : [...shown.rows].sort(compare);
  body.replaceChildren();
  for (const { name, cells } of rows) {
    const row = make("tr", { class: chosen.has(name) ? "chosen" : "" }, body);
    cells.forEach(([text], column) => {
      const cell = make("td", {}, row);
      if (column) { cell.textContent = text; return; }
      const label = make("label", {}, cell), tick = make("input", { type: "checkbox", "data-key": "run " + name }, label), words = make("span", {}, label, text);
      make("span", {}, words, name);
      tick.checked = chosen.has(name);
      tick.addEventListener("change", () => {
        if (tick.checked) chosen.add(name); else chosen.delete(name);
        row.className = tick.checked ? "chosen" : "";
        const names = shown.rows.map((one) => one.name), others = [...chosen].filter((one) => !names.includes(one));
        trigger("select", { runs: [...names.filter((one) => chosen.has(one)), ...others] });
      });
    });
  }
}

document.addEventListener("runs-chosen", ({ detail }) => {
  if (!element.isConnected || !shown || !Array.isArray(detail)) return;
  if (detail.length === chosen.size && detail.every((name) => chosen.has(name))) return; // the ticks said so
  chosen = new Set(detail);
  draw();
});

watch("value", accept);
accept();
