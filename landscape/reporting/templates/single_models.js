// Single models of a large zoo: all figures of the one that is chosen.

const model = byId("single-model");
const detailed = new Map(model ? [...model.options].slice(1).map((o, i) => [o.value, `model-${i}`]) : []);

function modelLink(name) {
  const link = element("a", { href: "#single" }, name);
  link.addEventListener("click", (event) => {
    event.preventDefault(); // the choice fills the table anew, and the link with it
    pickSingle(name);
    writeAddress("single");
    goTo("single");
  });
  return link;
}

// The model that is highlighted is the one whose figures stand here.
function pickSingle(name) {
  if (selects.model) choose("model", name);
  else showModel(name);
}

async function showModel(name) {
  const place = byId("model-figures");
  if (place.dataset.model === name) return;
  place.dataset.model = name;
  model.value = detailed.has(name) ? name : "";
  place.querySelectorAll(".plot").forEach((p) => p.ways && flatPlotly().purge(p));
  place.replaceChildren();
  if (!detailed.has(name)) return;
  const parts = await unpack(detailed.get(name));
  if (place.dataset.model !== name) return; // another was chosen meanwhile
  for (const part of parts) {
    if (part.figures.length) place.append(element("h3", {}, `${part.title}: ${name}`));
    for (const figure of part.figures) place.append(singleFigure(name, figure));
  }
  place.querySelectorAll(".plot").forEach((p) => nearby.observe(p));
}

function singleFigure(name, figure) {
  if (!figure.data) return element("p", { class: "problem" }, figure.title);
  const plot = element("div", { class: "plot", role: "group", "aria-label": `${figure.title}. Caption and data follow.` });
  plot.style.height = `${figure.layout.height}px`;
  plot.ways = { model: figure };
  const push = (kind, text) => element("button", { type: "button", class: `push ${kind}` }, text);
  const extras = element(
    "div", { class: "extras", "data-name": `${name}-${figure.title}` }, push("data", "Data"), push("csv", "Download CSV"),
  );
  const made = element("figure", {}, element("h4", {}, figure.title), plot, element("figcaption"), extras);
  wire(extras, figure.title, async () => figure);
  return made;
}

if (model) {
  model.addEventListener("change", () => pickSingle(model.value));
  followers.push(() => showModel(choice.model));
}
