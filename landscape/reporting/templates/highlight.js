// A figure's traces as the choice has them: of the chosen group and seed alone, the chosen model before the others.

const FAINT = 0.2; // opacity of what is not chosen

// The way in which a figure is drawn: the chosen one, if it changes anything there.
const wayOf = (ways) => (ways[choice.way] ? choice.way : Object.keys(ways)[0]);

// Whether a trace is that of the chosen model; where models are drawn together, that of its group.
function standsFor(of, way) {
  const grouped = who.grouped[way];
  return isChosen(of) || Boolean(grouped && who.names.some((name, i) => stands(name) && grouped[i] === of));
}

// Points of several models in one trace name them in their texts.
const shownName = (name) => who.shown[name] ?? name;
const chosenTexts = () => new Set(who.names.filter(stands).map(shownName));
const isNamed = (text, texts) => texts.has(text) || isCheckpoint(text);
// A path of training on a surface names its checkpoints by number.
const isCheckpoint = (text) => choice.moment !== "" &&
  String(text).startsWith(`checkpoint ${who.times.indexOf(Number(choice.moment))}:`);
const namesModels = (trace) => anyChosen() && Array.isArray(trace.text) &&
  trace.text.some((text) => isNamed(text, chosenTexts()));

function strong(trace) {
  const line = trace.line && { ...trace.line, width: trace.line.width ? 2 * trace.line.width : 0 };
  const size = trace.marker && typeof trace.marker.size === "number" && 1.4 * trace.marker.size;
  const made = { ...trace, opacity: 1 };
  if (line) made.line = line;
  if (size) made.marker = { ...trace.marker, size };
  if (trace.type === "scatter") made.zorder = 2;
  return made;
}

function pointed(trace) {
  const texts = chosenTexts();
  const at = trace.text.flatMap((text, i) => (isNamed(text, texts) ? [i] : []));
  return {
    ...trace, zorder: 2, selectedpoints: at,
    selected: { marker: { size: 14, opacity: 1 } }, unselected: { marker: { opacity: FAINT } },
  };
}

function emphasised(data, way) {
  const single = !who.grouped[way] || way === "group";
  const kept = data.map((t) => (t.of && single && !isShown(t.of) ? { ...t, visible: false } : t));
  if (!anyChosen()) return kept;
  const owned = kept.filter((t) => t.of && t.visible !== false);
  const fades = owned.some((t) => standsFor(t.of, way) || namesModels(t)) && !owned.every((t) => standsFor(t.of, way));
  return kept.map((t) => {
    if (namesModels(t)) return pointed(t);
    if (!t.of || !fades) return t;
    return standsFor(t.of, way) ? strong(t) : { ...t, opacity: FAINT };
  });
}

// A curve or a point that is clicked chooses its model.
function listen(plot) {
  if (plot.listens) return;
  plot.listens = true;
  plot.on("plotly_click", ({ points }) => {
    const { data, pointNumber } = points[0];
    const text = Array.isArray(data.text) ? data.text[pointNumber] : undefined;
    const named = text && who.names.find((name) => shownName(name) === text);
    const of = named || (data.of && modelsOf(data.of).find((name) => members.has(name)));
    if (of) pick(of);
  });
}
