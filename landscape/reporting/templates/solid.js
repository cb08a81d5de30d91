// ---- plotly.js: read when the first figure is drawn; that for three dimensions is packed until the first relief

let flat = null;
let solid = null;

// The page's policy of content lets this text run by its hash alone, as it does the scripts written out in it.
function run(text) {
  const script = document.createElement("script");
  script.textContent = text;
  document.head.append(script);
  script.remove();
  const { Plotly } = window;
  window.Plotly = flat; // not that for three dimensions
  return Plotly;
}

// With lines, bars, fields and contours.
function flatPlotly() {
  flat ??= run(byId("plotly-2d").textContent);
  return flat;
}

function solidPlotly() {
  solid ??= unpack("plotly-3d").then(run);
  return solid;
}

// Scenes side by side turn together, so that what is compared is seen from one place.
function linkCameras(plot, plotly) {
  const scenes = Object.keys(plot.layout).filter((name) => /^scene\d*$/.test(name));
  if (scenes.length < 2) return;
  let own = false;
  plot.on("plotly_relayout", (changed) => {
    const moved = scenes.find((name) => changed[`${name}.camera`]);
    if (own || !moved) return;
    own = true;
    const camera = changed[`${moved}.camera`];
    const others = scenes.filter((name) => name !== moved).map((name) => [`${name}.camera`, camera]);
    plotly.relayout(plot, Object.fromEntries(others)).then(() => (own = false));
  });
}
