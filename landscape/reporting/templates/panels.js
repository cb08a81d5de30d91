// ---- panels one below the other, where a page is too narrow for columns

const PANEL_BAR = 62; // px for a colour bar above a panel
const PANEL_HEADING = 22;

// Changes the layout, and gives the traces with their colour bars above the panels.
function stacked(traces, layout, width) {
  const { panels, gap } = layout.meta;
  const holder = (t) => (t.colorbar ? t : t.marker && t.marker.colorbar ? t.marker : null);
  const panelOf = (t) => Number(t.yaxis.slice(1) || 1) - 1;
  const barred = traces.filter((t) => holder(t) && holder(t).showscale !== false).map(panelOf);
  const height = layout.yaxis.scaleanchor ? width - 60 : Math.min(layout.meta.height, 240);
  const between = gap + (barred.some((i) => i > 0) ? PANEL_BAR : 0);
  const area = panels.length * height + (panels.length - 1) * between;
  const top = (i) => 1 - (i * (height + between)) / area;
  panels.forEach((titles, i) => {
    const set = (name, domain) => {
      const key = `${name}axis${i ? i + 1 : ""}`;
      layout[key] = { ...fewer(layout[key]), domain, showticklabels: true, title: titles[name] };
    };
    set("x", [0, 1]);
    set("y", [Math.max(0, top(i) - height / area), top(i)]);
  });
  if (layout.annotations.length === panels.length) {
    layout.annotations = layout.annotations.map((text, i) => ({ ...text, x: 0, y: top(i) }));
  }
  const margin = { ...layout.margin, l: 60, r: 10, t: layout.margin.t + (barred.includes(0) ? PANEL_BAR : 0) };
  layout.height += area + margin.t - layout.meta.area - layout.margin.t;
  layout.margin = margin;
  const flat = (bar, i) => ({
    ...bar, orientation: "h", x: 0.5, xanchor: "center", xref: "paper", len: 1, lenmode: "fraction", thickness: 10,
    y: top(i) + PANEL_HEADING / area, yanchor: "bottom", ticksuffix: "", title: { ...bar.title, side: "top" },
  });
  return traces.map((trace) => {
    const held = holder(trace);
    if (!held) return trace;
    const colorbar = flat(held.colorbar, panelOf(trace));
    return held === trace ? { ...trace, colorbar } : { ...trace, marker: { ...trace.marker, colorbar } };
  });
}

// Square panels of a row are lower in a narrower column; the rest of their height would stay empty.
function spareHeight(layout, width) {
  const { height, area } = layout.meta;
  if (area > height + 1) return 0; // of several rows, whose gaps would shrink with them
  const [left, right] = layout.xaxis.domain;
  const across = (width - layout.margin.l - layout.margin.r - PANEL_BAR) * (right - left);
  return Math.max(0, Math.round(height - across));
}
