// How one figure is drawn: the colours of the page, legends and colour bars that fit its width.

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
  const shared = sharedStart(axis.ticktext);
  const short = (text) => {
    if (text.length <= 16 || text.includes("&")) return text;
    const [who, ...rest] = text.slice(shared).split(": "); // of a layer, its model before it
    return rest.length ? `${middleCut(who, 8)}: ${middleCut(rest.join(": "), 7)}` : middleCut(who, 16);
  };
  return { ...axis, tickvals: kept(axis.tickvals), ticktext: kept(axis.ticktext).map(short) };
}

function middleCut(text, most) {
  if (text.length <= most) return text;
  const tail = Math.floor((most - 1) / 2);
  return `${text.slice(0, most - 1 - tail)}…${text.slice(-tail)}`;
}

// How many characters all names begin with, up to a mark that parts words: they tell nothing apart.
function sharedStart(names) {
  let count = 0;
  while (count < names[0].length && names.every((name) => name[count] === names[0][count])) count += 1;
  return names[0].slice(0, count).replace(/[^-_:. ]*$/, "").length;
}

const chosen = (ways) => ways[wayOf(ways)];

function draw(plot, { data, layout }) {
  const width = printing ? PAPER : plot.clientWidth;
  const dark = isDark();
  let traces = emphasised(data, wayOf(plot.ways));
  if (dark) traces = traces.map((t) => (t.meta === "scale" ? t : recolour(t, "")));
  const rows = legendRows(data, width) - legendRows(data, 760);
  const own = { ...layout, uirevision: "kept", height: layout.height + LEGEND_ROW * rows, width, autosize: false };
  own.font = { ...layout.font, color: printing ? "#000000" : getComputedStyle(document.body).color };
  own.hoverlabel = { bgcolor: dark ? "#2a303a" : "#ffffff", font: { color: dark ? "#e3e7ec" : "#1f242b" } };
  if (width < 520 && layout.meta && layout.meta.panels) traces = stacked(traces, own, width);
  else if (layout.meta && layout.meta.panels && layout.yaxis.scaleanchor) own.height -= spareHeight(layout, width);
  else if (width < 520) {
    own.margin = { ...layout.margin, l: 60, r: 10 };
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
  return flatPlotly().react(plot, traces, own, { ...config, responsive: false });
}

const isPacked = (plot) => !plot.ways && byId(plot.dataset.figure)?.type === "application/gzip";

async function unpackFigure(plot) {
  const ways = await unpack(plot.dataset.figure);
  plot.ways ??= ways;
}

function show(plot) {
  if (isPacked(plot)) return unpackFigure(plot).then(() => show(plot));
  const block = byId(plot.dataset.figure);
  if (!plot.ways) plot.ways = block ? parsed(block.id) : null;
  const figure = chosen(plot.ways);
  const caption = plot.parentElement.querySelector("figcaption");
  if (caption) caption.textContent = figure.caption;
  return draw(plot, figure).then(() => {
    plot.dataset.drawn = "true";
    listen(plot);
  });
}
