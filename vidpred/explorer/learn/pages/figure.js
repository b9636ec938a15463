// What the figures' scripts share: a part of the page by its name, and a shape or text in the plot.
const part = (name) => element.querySelector('[data-part="' + name + '"]');

function make(tag, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  part("plot").append(node);
}
