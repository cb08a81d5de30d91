// ---- linked cameras: surfaces of one section are seen from the same side, so that they can be compared

const cameras = new WeakMap(); // of each section: where its surfaces were last seen from

// Called on a surface that has just been drawn, with a function that lists all that are open.
function linkCamera(plot, open) {
  const section = plot.closest("section");
  const turn = (other, camera) => Plotly.relayout(other, { "scene.camera": camera });
  const others = () => open().filter((p) => p !== plot && p.closest("section") === section);
  const follow = (update) => {
    const camera = update && update["scene.camera"];
    if (!camera || JSON.stringify(camera) === JSON.stringify(cameras.get(section))) return; // it follows another
    cameras.set(section, camera);
    others().forEach((p) => turn(p, camera));
  };
  plot.on("plotly_relayout", follow);
  return cameras.has(section) ? turn(plot, cameras.get(section)) : Promise.resolve();
}
