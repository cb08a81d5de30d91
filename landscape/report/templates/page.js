"use strict";
// Figures are drawn when they come near the window, in the colours of the page.
const root = document.documentElement;
const plots = [...document.querySelectorAll(".plot")];
const config = JSON.parse(document.getElementById("config").textContent);
const darkSystem = matchMedia("(prefers-color-scheme: dark)");
const LEGEND_ROW = 21; // px, as in the Python layout
const PAPER = 660; // px across a printed page
let printing = false;

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

// On a narrow page colour bars lie below the axes and the margins shrink.
function narrow(trace) {
  const flat = (bar) => ({
    ...bar, orientation: "h", x: 0.5, xanchor: "center", xref: "paper", y: -0.28, yanchor: "top",
    ticksuffix: "", title: { ...bar.title, side: "top" },
  });
  if (trace.colorbar) return { ...trace, colorbar: flat(trace.colorbar) };
  if (trace.marker && trace.marker.colorbar) {
    return { ...trace, marker: { ...trace.marker, colorbar: flat(trace.marker.colorbar) } };
  }
  return trace;
}

function show(plot) {
  if (!plot.figure) plot.figure = JSON.parse(document.getElementById(plot.dataset.figure).textContent);
  const { data, layout } = plot.figure;
  const width = printing ? PAPER : plot.clientWidth;
  const dark = isDark();
  let traces = dark ? data.map((t) => (t.meta === "scale" ? t : recolour(t, ""))) : data;
  const rows = legendRows(data, width) - legendRows(data, 760);
  const own = { ...layout, uirevision: "kept", height: layout.height + LEGEND_ROW * rows, width, autosize: false };
  own.font = { ...layout.font, color: getComputedStyle(document.body).color };
  own.hoverlabel = { bgcolor: dark ? "#2a303a" : "#ffffff", font: { color: dark ? "#e3e7ec" : "#1f242b" } };
  if (printing) own.font.color = "#000000";
  if (width < 520) {
    own.margin = { ...layout.margin, l: 48, r: 10 };
    const barred = traces.some((t) => t.colorbar || (t.marker && t.marker.colorbar));
    if (barred) own.height += 70;
    traces = traces.map(narrow);
  }
  plot.style.height = `${own.height}px`;
  return Plotly.react(plot, traces, own, { ...config, responsive: false }).then(() => {
    plot.dataset.drawn = "true";
  });
}

const drawn = () => plots.filter((p) => p.figure);
const redraw = () => drawn().forEach(show);

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
if (location.hash === "#all") plots.forEach(show);
else plots.forEach((p) => nearby.observe(p));

let waiting = 0;
let lastWidth = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === lastWidth) return;
  lastWidth = innerWidth;
  clearTimeout(waiting);
  waiting = setTimeout(redraw, 120);
});
addEventListener("beforeprint", () => {
  printing = true;
  plots.forEach(show);
});
addEventListener("afterprint", () => {
  printing = false;
  redraw();
});

// Theme: the system's, until the reader chooses.
const toggle = document.getElementById("theme");
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
if (kept) root.dataset.theme = kept;
toggle.hidden = false;
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

// Tables sort by a column's values; what is missing stays at the end.
function key(row, column) {
  const text = row.cells[column].dataset.sort ?? "";
  const value = Number(text);
  return text === "" ? null : Number.isNaN(value) ? text : value;
}
function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((h) => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows].map((row) => [key(row, column), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null);
        return down ? compare(b, a) : compare(a, b);
      });
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}

const filter = document.getElementById("filter");
const models = [...document.querySelectorAll("#models tbody tr")];
filter.closest("p").hidden = models.length < 6;
filter.addEventListener("input", () => {
  const wanted = filter.value.trim().toLowerCase();
  models.forEach((row) => (row.hidden = !row.textContent.toLowerCase().includes(wanted)));
  const left = models.filter((row) => !row.hidden).length;
  document.getElementById("shown").textContent = wanted ? `${left} of ${models.length} models` : "";
});
