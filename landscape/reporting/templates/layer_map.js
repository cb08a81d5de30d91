// The layer map: the units of the highlighted model, and of one beside it, coloured by a measure.

const layerMap = byId("layer-map") && {
  about: parsed("layers-about"), names: parsed("layers-models"), measure: byId("measure"), beside: byId("layer-beside"),
  unit: "", packs: new Map(),
};
const ALIKE = {
  name: "cka", title: "CKA to the model beside it", kind: "sequential", limits: [0, 1],
  meaning: "Highest centred kernel alignment with any unit of the model beside it; 1 is alike up to rotation and scale.",
};

const measures = () => [...layerMap.about.measures, ...(layerMap.about.cka && layerMap.beside ? [ALIKE] : [])];

function colourOf(measure, value) {
  const colors = layerMap.about.colors[measure.kind];
  const [low, high] = measure.limits;
  const at = Math.min(1, Math.max(0, (value - low) / (high - low))) * (colors.length - 1);
  const left = Math.min(Math.floor(at), colors.length - 2);
  const parts = [colors[left], colors[left + 1]].map((c) => [1, 3, 5].map((i) => parseInt(c.slice(i, i + 2), 16)));
  return `rgb(${parts[0].map((v, i) => Math.round(v + (at - left) * (parts[1][i] - v))).join(",")})`;
}

const isNumber = (v) => typeof v === "number";
const short = (v) => (isNumber(v) ? String(Number(v.toPrecision(3))).replace("-", "−") : "unknown");

function toldValue(unit, measure, other) {
  if (measure === ALIKE) return [unit.cka ? unit.cka[other] : undefined];
  return unit.values[measure.name] || [];
}

function toldText([value, low, high]) {
  return isNumber(low) && isNumber(high) ? `${short(value)} (95 %: ${short(low)} to ${short(high)})` : short(value);
}

async function blocksOf(name) {
  const at = layerMap.names.indexOf(name);
  if (at < 0) return null;
  if (!layerMap.packs.has(name)) layerMap.packs.set(name, await unpack(`layers-${at}`));
  return layerMap.packs.get(name);
}

function unitButton(unit, block, measure, other) {
  const value = toldValue(unit, measure, other);
  const short = unit.name === block ? "(whole)" : unit.name.startsWith(`${block}.`) ? unit.name.slice(block.length + 1) : unit.name;
  const known = isNumber(value[0]);
  const text = `${unit.name}${unit.kind ? `, ${unit.kind}` : ""}: ${measure.title} ${toldText(value)}`;
  const button = element("button", {
    type: "button", class: known ? "unit" : "unit unknown", title: text, "aria-label": text,
    "aria-pressed": String(unit.name === layerMap.unit), style: known ? `--c:${colourOf(measure, value[0])}` : "",
  }, element("span", {}, short));
  button.dataset.unit = unit.name;
  button.addEventListener("click", () => chooseUnit(unit.name));
  return button;
}

function grid(name, blocks, measure, other) {
  const rows = blocks.map(({ name: block, units }) => element("div", { class: "layer-row", role: "group", "aria-label": block },
    element("span", {}, block), element("div", { class: "layer-units" }, ...units.map((u) => unitButton(u, block, measure, other)))));
  return element("div", { class: "layer-grid" }, element("h3", {}, name), ...rows);
}

// The models that are shown: the highlighted one if the page holds it, else the first; and the one beside it.
function shownModels() {
  const first = layerMap.names.includes(choice.model)
    ? choice.model : layerMap.names.find(stands) || layerMap.names.find(isShown) || layerMap.names[0];
  const other = layerMap.beside ? layerMap.beside.value : "";
  return other && other !== first ? [first, other] : [first];
}

async function drawLayers() {
  const measure = measures().find((m) => m.name === layerMap.measure.value) || measures()[0];
  const names = shownModels();
  const maps = await Promise.all(names.map(blocksOf));
  if (String(names) !== String(shownModels())) return; // others were chosen meanwhile
  byId("measure-meaning").textContent = measure.meaning + (measure === ALIKE && names.length < 2 ? " Choose a model beside it." : "");
  const [low, high] = measure.limits;
  const ramp = element("i", { style: `background:linear-gradient(90deg,${layerMap.about.colors[measure.kind].join(",")})` });
  byId("layer-scale").replaceChildren(short(low), ramp, short(high));
  byId("layer-grids").replaceChildren(...maps.map((m, i) => grid(names[i], m, measure, names[1 - i])));
  drawUnit(names, maps);
}

function chooseUnit(name) {
  layerMap.unit = layerMap.unit === name ? "" : name;
  drawLayers().then(() => {
    const again = [...document.querySelectorAll("#layer-grids .unit")].find((b) => b.dataset.unit === name);
    if (again) again.focus({ preventScroll: true });
  });
}

const UNIT_HUES = ["#0072b2", "#d55e00"];

// A curve over radii of each model's unit of that name, with its interval.
function curveFigure(title, ytitle, level, key, found) {
  const axis = (text) => ({ title: { text, font: { size: 13 }, standoff: 8 }, automargin: true, zeroline: false, gridcolor: "rgba(128,128,128,0.25)" });
  const data = found.flatMap(({ model, unit, color }) => {
    if (!unit[key]) return [];
    const { r, y, low, high } = unit[key];
    const at = r.map((_, i) => i).filter((i) => isNumber(y[i]) && isNumber(low[i]) && isNumber(high[i]));
    const back = [...at].reverse();
    const band = {
      type: "scatter", x: [...at, ...back].map((i) => r[i]), y: [...at.map((i) => high[i]), ...back.map((i) => low[i])],
      mode: "lines", line: { width: 0, color }, fill: "toself", fillcolor: color, opacity: 0.18, hoverinfo: "skip", showlegend: false,
    };
    const line = { type: "scatter", x: at.map((i) => r[i]), y: at.map((i) => y[i]), mode: "lines+markers", line: { color, width: 2 }, marker: { size: 5, color }, name: plain(model), showlegend: found.length > 1 };
    return [band, line];
  });
  if (!data.length) return null;
  const layout = {
    height: 260, margin: { l: 60, r: 16, t: 16, b: 48 }, font: { family: "sans-serif", size: 12 }, hovermode: "closest",
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: found.length > 1,
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    xaxis: axis("radial frequency (cycles/pixel)"), yaxis: axis(ytitle),
    shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: level, y1: level, line: { color: "#6b7480", width: 1, dash: "dash" } }],
  };
  const plot = element("div", { class: "plot", role: "group", "aria-label": `${title}. ${ytitle} against radial frequency.` });
  plot.style.height = `${layout.height}px`;
  plot.ways = { model: { data, layout, caption: `${title}, 95 % intervals over images.` } };
  return element("figure", {}, plot, element("figcaption"));
}

// Plotly shows a subset of HTML.
const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("$", "&#36;");

// The spectrum as a picture: the store holds means over rings, so each frequency has the value of its ring.
function rings({ r, y }) {
  const SIZE = 64;
  const canvas = element("canvas", { width: SIZE, height: SIZE, role: "img", "aria-label": "Mean spectrum of the unit's maps, zero frequency in the middle, light where power is high" });
  const known = r.map((radius, i) => [radius, y[i]]).filter(([, value]) => isNumber(value));
  const values = known.map(([, value]) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const picture = canvas.getContext("2d");
  const scale = { kind: "sequential", limits: [low, high > low ? high : low + 1] };
  for (let i = 0; i < SIZE; i++) {
    for (let j = 0; j < SIZE; j++) {
      const radius = Math.hypot(i + 0.5 - SIZE / 2, j + 0.5 - SIZE / 2) / SIZE;
      const nearest = known.reduce((a, b) => (Math.abs(b[0] - radius) < Math.abs(a[0] - radius) ? b : a));
      picture.fillStyle = colourOf(scale, nearest[1]);
      picture.fillRect(j, i, 1, 1);
    }
  }
  return canvas;
}

function drawUnit(names, maps) {
  const place = byId("layer-unit");
  place.querySelectorAll(".plot").forEach((p) => p.dataset.drawn && flatPlotly().purge(p));
  place.replaceChildren();
  const found = names.flatMap((model, i) => {
    const unit = maps[i].flatMap((b) => b.units).find((u) => u.name === layerMap.unit);
    return unit ? [{ model, unit, color: UNIT_HUES[i], other: names[1 - i] }] : [];
  });
  if (!found.length) return;
  place.append(element("h3", {}, layerMap.unit));
  for (const { model, unit, other } of found) {
    const size = unit.size ? `, ${unit.size[0]} maps of ${unit.size[1]} × ${unit.size[2]}` : "";
    const said = measures().map((m) => `${m.title}: ${toldText(toldValue(unit, m, other))}`);
    place.append(element("p", { class: "remark" }, `${model}: ${unit.kind || "unit"}${size}. ${said.join("; ")}.`));
  }
  const curves = [
    curveFigure("Power spectrum of the unit's maps", "ln relative power", 0, "log_power", found),
    curveFigure("Transfer of the unit", "T = √(output / input power)", 1, "transfer", found),
  ].filter(Boolean);
  const pictures = found.filter(({ unit }) => unit.log_power && unit.log_power.y.some(isNumber)).map(({ model, unit }) => element(
    "figure", {}, rings(unit.log_power),
    element("figcaption", {}, `${model}: mean spectrum of the maps as a picture, made of its means over rings; zero frequency in the middle.`),
  ));
  place.append(element("div", { class: "curves" }, ...curves, ...pictures));
  place.querySelectorAll(".plot").forEach((p) => nearby.observe(p));
}

if (layerMap) {
  layerMap.measure.append(...measures().map((m) => element("option", { value: m.name }, m.title)));
  layerMap.measure.addEventListener("change", drawLayers);
  if (layerMap.beside) layerMap.beside.addEventListener("change", drawLayers);
  followers.push(drawLayers);
}
