// ---- plotly.js for three dimensions: packed until the first relief is opened, since most readers open none

let solid = null;

// Its policy of content lets this text run by its hash alone, as it does the scripts written out in the page.
function solidPlotly() {
  solid ??= unpack("plotly-3d").then((text) => {
    const flat = window.Plotly;
    const script = document.createElement("script");
    script.textContent = text;
    document.head.append(script);
    script.remove();
    const loaded = window.Plotly;
    window.Plotly = flat;
    return loaded;
  });
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
