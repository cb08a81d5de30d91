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
