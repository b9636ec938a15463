// A file that was written on request: fetched at once, and by the link once more.
let latest = 0;
watch("value", () => {
  const value = props.value;
  if (!value || value.request <= latest) return;
  latest = value.request;
  const link = element.querySelector('[data-part="link"]'), text = element.querySelector('[data-part="text"]');
  text.textContent = value.message ?? "";
  link.hidden = !value.file;
  if (!value.file) return;
  link.href = value.file.url;
  link.download = link.textContent = value.name;
  text.textContent = "Saved:";
  link.click();
});
