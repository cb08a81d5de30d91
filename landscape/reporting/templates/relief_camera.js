// ---- linked cameras: surfaces of one section are seen from the same side, so that they can be compared

const cameras = new WeakMap(); // of each section: where its surfaces were last seen from

// Called on a surface that has just been drawn, with a function that lists all that are open, and its plotly.js.
async function linkCamera(plot, open, plotly) {
  const section = plot.closest("section");
  const turn = async (other, camera) => {
    other.turned = true; // what it tells of this turn is no news
    await plotly.relayout(other, { "scene.camera": structuredClone(camera) });
    other.turned = false;
  };
  plot.on("plotly_relayout", (update) => {
    if (plot.turned || !Object.keys(update || {}).some((key) => key.startsWith("scene.camera"))) return;
    const camera = structuredClone(plot.layout.scene.camera);
    cameras.set(section, camera);
    for (const other of open()) {
      if (other !== plot && other.closest("section") === section) turn(other, camera);
    }
  });
  if (cameras.has(section)) await turn(plot, cameras.get(section));
  plot.dataset.linked = "true";
}
