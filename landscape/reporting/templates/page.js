"use strict";
// Figures are drawn when they come near the window, in the colours of the page; tables in pages.
const root = document.documentElement;
const byId = (id) => document.getElementById(id);
const parsed = (id) => JSON.parse(byId(id).textContent);
const config = parsed("config");
const darkSystem = matchMedia("(prefers-color-scheme: dark)");
const LEGEND_ROW = 21; // px, as in the Python layout
const PAPER = 660; // px across a printed page
let printing = false;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== "") made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// A packed block: gzip in base64.
async function unpack(id) {
  const bytes = Uint8Array.from(atob(byId(id).textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

// ---- figures

function isDark() {
  if (printing) return false;
  return root.dataset.theme ? root.dataset.theme === "dark" : darkSystem.matches;
}

// The colours of models, made for white, are lightened for a dark page.
function lighten(color) {
  const hex = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(color);
  const rgba = /^rgba\((\d+),(\d+),(\d+),([\d.]+)\)$/.exec(color);
  if (!hex && !rgba) return color;
  const parts = (hex || rgba).slice(1, 4).map((p) => parseInt(p, hex ? 16 : 10));
  const light = parts.map((p) => Math.round(p + 0.35 * (255 - p)));
  return `rgba(${light.join(",")},${rgba ? rgba[4] : 1})`;
}

function recolour(value, key) {
  if (typeof value === "string") return key === "color" || key === "fillcolor" ? lighten(value) : value;
  if (!value || typeof value !== "object" || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, recolour(v, k)]));
}

function legendRows(traces, width) {
  const names = traces.filter((t) => t.showlegend === true && t.name).map((t) => t.name.length);
  if (names.length < 2) return 0;
  const columns = Math.max(1, Math.floor(width / (60 + 7 * Math.max(...names))));
  return Math.min(8, Math.ceil(names.length / columns));
}

// On a narrow page colour bars lie above the axes, and of many names some stand, shortened.
function narrow(trace) {
  const flat = (bar) => ({
    ...bar, orientation: "h", x: 0.5, xanchor: "center", xref: "paper", y: 1.02, yanchor: "bottom",
    ticksuffix: "", title: { ...bar.title, side: "top" },
  });
  if (trace.colorbar) return { ...trace, colorbar: flat(trace.colorbar) };
  if (trace.marker && trace.marker.colorbar) {
    return { ...trace, marker: { ...trace.marker, colorbar: flat(trace.marker.colorbar) } };
  }
  return trace;
}

function fewer(axis) {
  if (!axis || !axis.ticktext || axis.ticktext.length <= 8) return axis;
  const step = Math.ceil(axis.ticktext.length / 8);
  const kept = (list) => list.filter((_, i) => i % step === 0);
  const short = (text) => (text.length > 16 && !text.includes("&") ? `…${text.slice(-15)}` : text);
  return { ...axis, tickvals: kept(axis.tickvals), ticktext: kept(axis.ticktext).map(short) };
}

const way = byId("way");
const chosen = (ways) => (way && ways[way.value]) || Object.values(ways)[0];

function draw(plot, { data, layout }) {
  const width = printing ? PAPER : plot.clientWidth;
  const dark = isDark();
  let traces = dark ? data.map((t) => (t.meta === "scale" ? t : recolour(t, ""))) : data;
  const rows = legendRows(data, width) - legendRows(data, 760);
  const own = { ...layout, uirevision: "kept", height: layout.height + LEGEND_ROW * rows, width, autosize: false };
  own.font = { ...layout.font, color: printing ? "#000000" : getComputedStyle(document.body).color };
  own.hoverlabel = { bgcolor: dark ? "#2a303a" : "#ffffff", font: { color: dark ? "#e3e7ec" : "#1f242b" } };
  if (width < 520) {
    own.margin = { ...layout.margin, l: 48, r: 10 };
    const barred = traces.some((t) => t.colorbar || (t.marker && t.marker.colorbar));
    if (barred) {
      own.height += 60;
      own.margin.t += 60;
    }
    if (layout.yaxis && layout.yaxis.scaleanchor) own.height = Math.min(own.height, width + 110);
    own.xaxis = fewer(layout.xaxis);
    own.yaxis = fewer(layout.yaxis);
    traces = traces.map(narrow);
  }
  plot.style.height = `${own.height}px`;
  return Plotly.react(plot, traces, own, { ...config, responsive: false });
}

function show(plot) {
  if (!plot.ways) plot.ways = plot.dataset.figure ? parsed(plot.dataset.figure) : null;
  const figure = chosen(plot.ways);
  const caption = plot.parentElement.querySelector("figcaption");
  if (caption) caption.textContent = figure.caption;
  return draw(plot, figure).then(() => (plot.dataset.drawn = "true"));
}

const plots = () => [...document.querySelectorAll(".plot")];
const redraw = () => plots().filter((p) => p.ways).forEach(show);

const nearby = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      nearby.unobserve(target);
      show(target);
    }
  },
  { rootMargin: "600px 0px" },
);
// "report.html#all" draws everything at once, for programs that take pictures of the page.
if (location.hash === "#all") plots().forEach(show);
else plots().forEach((p) => nearby.observe(p));

let waiting = 0;
let lastWidth = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === lastWidth) return;
  lastWidth = innerWidth;
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    redraw();
    tables.forEach((t) => t.fit());
  }, 120);
});
addEventListener("beforeprint", () => {
  printing = true;
  plots().forEach(show);
});
addEventListener("afterprint", () => {
  printing = false;
  redraw();
});
if (way) way.addEventListener("change", redraw);

// ---- the data of a figure, and its relief

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
  return button.plotly.newPlot(plot, relief.data, layout, { ...config, modeBarButtons: [["toImage", "resetCameraDefault3d"]] });
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

// ---- tables: sorted by a column's values, filtered, in pages; what is missing stays at the end

const PAGE = 50;
const tables = [];

const shownText = (cell) => (Array.isArray(cell) ? cell[0] : cell);
const sortValue = (cell) => (Array.isArray(cell) ? cell[1] : cell);

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

class Table {
  constructor(data) {
    this.data = data;
    this.rows = data.rows;
    this.page = 0;
    this.sort = null;
    this.family = "";
    this.all = false;
    this.room = data.columns.length;
    this.box = element("div", { class: "table" });
    this.controls = element("p", { class: "controls" });
    this.status = element("span", { role: "status" });
    this.scroll = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": data.caption });
    this.table = this.scroll.appendChild(element("table"));
    this.pager = element("p", { class: "controls pager" });
    this.addControls();
    this.box.append(this.controls, this.scroll, this.pager);
  }

  addControls() {
    const families = [...new Set(this.data.columns.map((c) => c.family))].filter(Boolean);
    if (this.rows.length > 8) {
      const filter = element("input", { type: "search", class: "filter" });
      filter.addEventListener("input", () => this.filter(filter.value));
      this.controls.append(element("label", {}, `Show rows with `, filter));
    }
    if (families.length > 1) {
      const options = [element("option", { value: "" }, "overview"), ...families.map((f) => element("option", {}, f))];
      const choice = element("select", { class: "columns" }, ...options);
      choice.firstChild.value = "";
      choice.addEventListener("change", () => {
        this.family = choice.value;
        this.fit();
      });
      this.controls.append(element("label", {}, "Columns ", choice));
    }
    this.more = element("button", { type: "button", class: "push", hidden: "hidden" });
    this.more.addEventListener("click", () => {
      this.all = !this.all;
      this.fit();
    });
    this.controls.append(this.more, this.status);
  }

  filter(text) {
    const requested = text.trim().toLowerCase();
    const has = (row) => [row.head, ...row.cells.map(shownText)].some((t) => String(t).toLowerCase().includes(requested));
    this.rows = requested ? this.data.rows.filter(has) : this.data.rows;
    this.page = 0;
    this.order();
    this.status.textContent = requested ? `${this.rows.length} of ${this.data.rows.length} rows` : "";
    this.fill();
  }

  order() {
    if (!this.sort) return;
    const { column, down } = this.sort;
    const key = (row) => (column < 0 ? row.head : sortValue(row.cells[column]));
    this.rows = [...this.rows].sort((r, s) => {
      const [a, b] = [key(r), key(s)];
      if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
      return down ? compare(b, a) : compare(a, b);
    });
  }

  candidates() {
    const { columns, first } = this.data;
    const every = columns.map((_, i) => i);
    if (this.family) return every.filter((i) => columns[i].family === this.family);
    return this.all || !first.length ? every : first;
  }

  // As many columns as there is room for; a button shows the rest.
  fit() {
    const requested = this.candidates();
    this.room = requested.length;
    this.fill();
    while (!this.all && !printing && this.room > 1 && this.scroll.scrollWidth > this.scroll.clientWidth) {
      this.room -= 1;
      this.fill();
    }
    const whole = this.family ? requested.length : this.data.columns.length;
    this.more.hidden = !this.all && this.room === whole;
    this.more.textContent = this.all ? "Show what fits" : `Show all ${whole} columns`;
  }

  fill() {
    const shown = this.candidates().slice(0, this.room);
    this.table.replaceChildren(element("caption", {}, this.data.caption), this.head(shown), this.body(shown));
    this.page = Math.min(this.page, Math.max(0, Math.ceil(this.rows.length / PAGE) - 1));
    this.pages();
  }

  head(shown) {
    const row = element("tr");
    for (const column of [-1, ...shown]) {
      const about = column < 0 ? { title: this.data.head, meaning: "" } : this.data.columns[column];
      const sorted = this.sort && this.sort.column === column;
      const head = element("th", {
        scope: "col", class: about.numeric ? "number" : "", title: about.meaning,
        "aria-sort": sorted ? (this.sort.down ? "descending" : "ascending") : undefined,
      });
      const of = !this.family && about.family && about.family !== this.data.columns[0].family ? element("span", { class: "of" }, about.family) : "";
      const button = element("button", { type: "button" }, about.title);
      button.addEventListener("click", () => {
        this.sort = { column, down: Boolean(sorted) && !this.sort.down };
        this.order();
        this.fill();
        [...this.table.tHead.rows[0].cells][row.cells.length ? [...row.cells].indexOf(head) : 0].firstChild.focus();
      });
      head.append(button, of);
      row.append(head);
    }
    return element("thead", {}, row);
  }

  body(shown) {
    const body = element("tbody");
    for (const row of this.rows.slice(this.page * PAGE, (this.page + 1) * PAGE)) {
      const head = element("th", { scope: "row" });
      if (row.color) head.append(element("span", { class: "swatch", style: `--c:${row.color}` }));
      head.append(detailed.has(row.head) ? modelLink(row.head) : row.head);
      const line = element("tr", {}, head);
      for (const i of shown) {
        const value = sortValue(row.cells[i]);
        const title = typeof value === "number" ? String(value) : "";
        line.append(element("td", { class: this.data.columns[i].numeric ? "number" : "", title }, shownText(row.cells[i])));
      }
      body.append(line);
    }
    return body;
  }

  pages() {
    this.pager.replaceChildren();
    const count = Math.ceil(this.rows.length / PAGE);
    this.pager.hidden = count < 2;
    if (count < 2) return;
    const step = (text, to, on) => {
      const button = element("button", { type: "button", class: "push" }, text);
      button.disabled = !on;
      button.addEventListener("click", () => {
        this.page = to;
        this.fill();
      });
      return button;
    };
    const end = Math.min(this.rows.length, (this.page + 1) * PAGE);
    this.pager.append(
      step("Previous", this.page - 1, this.page > 0), step("Next", this.page + 1, this.page < count - 1),
      ` rows ${this.page * PAGE + 1} to ${end} of ${this.rows.length}`,
    );
  }
}

// ---- single models of a large zoo

const model = byId("model");
const detailed = new Map(model ? [...model.options].slice(1).map((o, i) => [o.value, `model-${i}`]) : []);

function modelLink(name) {
  const link = element("a", { href: "#single" }, name);
  link.addEventListener("click", () => showModel(name));
  return link;
}

async function showModel(name) {
  const place = byId("model-figures");
  model.value = name;
  place.querySelectorAll(".plot").forEach((p) => p.ways && Plotly.purge(p));
  place.replaceChildren();
  if (!detailed.has(name)) return;
  const parts = await unpack(detailed.get(name));
  for (const part of parts) {
    if (part.figures.length) place.append(element("h3", {}, `${part.title}: ${name}`));
    for (const figure of part.figures) place.append(singleFigure(name, figure));
  }
  place.querySelectorAll(".plot").forEach((p) => nearby.observe(p));
}

function singleFigure(name, figure) {
  if (!figure.data) return element("p", { class: "problem" }, figure.title);
  const plot = element("div", { class: "plot", role: "group", "aria-label": `${figure.title}. Caption and data follow.` });
  plot.style.height = `${figure.layout.height}px`;
  plot.ways = { model: figure };
  const push = (kind, text) => element("button", { type: "button", class: `push ${kind}` }, text);
  const extras = element(
    "div", { class: "extras", "data-name": `${name}-${figure.title}` }, push("data", "Data"), push("csv", "Download CSV"),
  );
  const made = element("figure", {}, element("h4", {}, figure.title), plot, element("figcaption"), extras);
  wire(extras, figure.title, async () => figure);
  return made;
}

if (model) model.addEventListener("change", () => showModel(model.value));

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

// ---- theme: the system's, until the reader chooses

const toggle = byId("theme");
function stored(value) {
  try {
    if (value) localStorage.setItem("landscape-theme", value);
    return localStorage.getItem("landscape-theme");
  } catch {
    return null; // storage is closed to some local files
  }
}
function label() {
  toggle.textContent = isDark() ? "Light theme" : "Dark theme";
}
const kept = stored();
if (kept) {
  root.dataset.theme = kept;
  redraw();
}
toggle.parentElement.hidden = false;
label();
toggle.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  stored(root.dataset.theme);
  label();
  redraw();
});
darkSystem.addEventListener("change", () => {
  label();
  redraw();
});
