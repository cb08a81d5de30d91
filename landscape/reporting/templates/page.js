// Last but the theme: what stands in the page is filled.

for (const place of document.querySelectorAll("[data-table]")) {
  const table = new Table(parsed(place.dataset.table));
  place.replaceWith(table.box);
  table.box.id = place.id;
  tables.push(table);
}
// A table in a closed part of the page has no width until it is opened.
for (const part of document.querySelectorAll("details")) {
  part.addEventListener("toggle", () => tables.filter((t) => part.contains(t.box)).forEach((t) => t.fit()));
}
tables.forEach((t) => t.fit());
