// Last but the theme: what stands in the page is filled, and shown as the address says.

function fillTable(place) {
  const id = place.dataset.table;
  delete place.dataset.table; // filled once
  if (byId(id).type !== "application/gzip") setTable(place, parsed(id));
  else unpack(id).then((data) => setTable(place, data));
}

function setTable(place, data) {
  const table = new Table(data);
  place.replaceWith(table.box);
  table.box.id = place.id;
  tables.push(table);
  table.follow();
  table.fit();
}

// A table in a closed part of the page, where it has no width, is made when that is opened.
for (const place of document.querySelectorAll("[data-table]")) if (!place.closest("details:not([open])")) fillTable(place);
for (const part of document.querySelectorAll("details")) {
  part.addEventListener("toggle", () => {
    if (!part.open) return;
    tables.filter((t) => part.contains(t.box)).forEach((t) => {
      t.follow();
      t.fit();
    });
    part.querySelectorAll("[data-table]").forEach((place) => place.closest("details:not([open])") || fillTable(place));
  });
}
followers.push(() => tables.forEach((t) => t.follow()));
