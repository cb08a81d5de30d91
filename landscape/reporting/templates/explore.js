// The report in a frame of a notebook: what stands behind the # of its address is the state of the widget.
function render({ model, el }) {
  const address = URL.createObjectURL(new Blob([model.get("page")], { type: "text/html" }));
  const frame = document.createElement("iframe");
  frame.title = "landscape report";
  frame.style.cssText = "width:100%;border:1px solid #c8ced6;border-radius:6px";
  const size = () => (frame.style.height = `${model.get("height")}px`);
  const within = () => frame.contentWindow.location.hash.replace(/^#/, "");

  const tell = () => {
    if (within() === model.get("state")) return;
    model.set("state", within());
    model.save_changes();
  };
  const follow = () => {
    if (within() !== model.get("state")) frame.contentWindow.location.hash = model.get("state");
  };

  frame.addEventListener("load", () => {
    const inside = frame.contentWindow;
    inside.addEventListener("hashchange", tell);
    // A page that rewrites its own address says nothing of it.
    for (const name of ["replaceState", "pushState"]) {
      const own = inside.history[name].bind(inside.history);
      inside.history[name] = (...given) => {
        own(...given);
        tell();
      };
    }
  });
  model.on("change:state", follow);
  model.on("change:height", size);
  size();
  frame.src = model.get("state") ? `${address}#${model.get("state")}` : address;
  el.append(frame);
  return () => {
    model.off("change:state", follow);
    model.off("change:height", size);
    URL.revokeObjectURL(address);
  };
}

export default { render };
