// The data of a figure as a table and as CSV, and its relief.

const reliefs = []; // those open; a browser allows only some WebGL contexts
const MOST_RELIEFS = 2;

function save(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  element("a", { href: url, download: `${name.replace(/[^\p{L}\p{N}_-]+/gu, "-")}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

// CSV as Python writes it: quotes are doubled inside quotes.
function lines(text) {
  const rows = [[]];
  for (const [, quoted, bare, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\n]*))(,|\n)/g)) {
    rows.at(-1).push(quoted === undefined ? bare : quoted.replaceAll('""', '"'));
    if (end === "\n") rows.push([]);
  }
  return rows.slice(0, -1);
}

function dataTable(name, text) {
  const [heads, ...rows] = lines(text);
  const cells = (row) => row.map((v) => (v === "" ? [""] : Number.isNaN(Number(v)) ? v : [v, Number(v)]));
  const numeric = (i) => rows.length > 0 && rows.every((r) => r[i] === "" || !Number.isNaN(Number(r[i])));
  const start = heads[0] === "series" ? 1 : 0;
  return new Table({
    caption: `Data of “${name}”: ${rows.length} rows.`,
    head: start ? "series" : "row",
    first: [],
    columns: heads.slice(start).map((title, i) => ({ title, meaning: "", family: "", numeric: numeric(i + start) })),
    rows: rows.map((row, i) => ({ head: start ? row[0] : `${i + 1}`, color: "", cells: cells(row.slice(start)) })),
  });
}

function closeRelief(button) {
  const at = reliefs.indexOf(button);
  if (at >= 0) reliefs.splice(at, 1);
  if (button.plotly) button.plotly.purge(button.panel.firstChild);
  button.panel.remove();
  button.panel = null;
  button.setAttribute("aria-expanded", "false");
  button.textContent = "Show in 3D";
}

async function openRelief(button, title, relief) {
  if (reliefs.length >= MOST_RELIEFS) closeRelief(reliefs[0]);
  const plot = element("div", { class: "relief-plot", role: "group", "aria-label": `${title}, as a surface in 3D` });
  button.panel = element("div", { class: "relief-panel" }, plot);
  button.closest(".extras").after(button.panel);
  button.setAttribute("aria-expanded", "true");
  button.textContent = "Close 3D";
  reliefs.push(button);
  const color = getComputedStyle(document.body).color;
  const layout = { ...relief.layout, width: plot.clientWidth, font: { ...relief.layout.font, color } };
  plot.style.height = `${layout.height}px`;
  button.plotly = await solidPlotly();
  if (!plot.isConnected) return null; // closed while the bundle was unpacked
  const bar = { ...config, modeBarButtons: [["toImage", "resetCameraDefault3d"]] };
  await button.plotly.newPlot(plot, relief.data, layout, bar);
  linkCameras(plot, button.plotly);
  await linkCamera(plot, () => reliefs.filter((b) => b.panel).map((b) => b.panel.firstChild), button.plotly);
  return plot;
}

function wire(extras, title, load) {
  extras.hidden = false;
  const data = extras.querySelector(".data");
  data.addEventListener("click", async () => {
    if (data.table) {
      data.table.box.remove();
      data.table = null;
    } else {
      data.table = dataTable(title, (await load()).csv);
      extras.after(data.table.box);
      data.table.fit();
    }
    data.setAttribute("aria-expanded", String(Boolean(data.table)));
  });
  extras.querySelector(".csv").addEventListener("click", async () => save(extras.dataset.name, (await load()).csv));
  const relief = extras.querySelector(".relief");
  if (!relief) return;
  relief.addEventListener("click", async () => {
    if (relief.panel) closeRelief(relief);
    else if (!relief.busy) {
      relief.busy = true;
      const more = await load();
      await openRelief(relief, title, more.relief);
      relief.busy = false;
    }
  });
}

for (const extras of document.querySelectorAll(".extras")) {
  const title = extras.parentElement.querySelector("h3").textContent;
  wire(extras, title, () => unpack(extras.dataset.more));
}
