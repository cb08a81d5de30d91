// Figures of one result of many: of the group or pair that is chosen in a section, and of a pair within a group.

const pushButton = (kind, text) => element("button", { type: "button", class: `push ${kind}` }, text);

// `place`: what an address calls the figure, if it stands in a chooser.
function chosenFigure(subject, figure, place = "") {
  const plot = element("div", { class: "plot", role: "group", "aria-label": `${figure.title}. Caption and data follow.` });
  plot.style.height = `${figure.layout.height}px`;
  plot.ways = { model: figure };
  const extras = element("div", { class: "extras", "data-name": `${subject}-${figure.title}` }, pushButton("data", "Data"), pushButton("csv", "Download CSV"));
  if (figure.relief) extras.append(pushButton("relief", "Show in 3D"));
  const title = element("span", {}, figure.title);
  const link = place && element("a", { class: "mark", href: `#${place}`, "aria-label": `Link to “${figure.title}”` }, "¶");
  const heading = element("h3", {}, title, ...(place ? ["\u00a0", link] : []));
  const made = element("figure", place ? { id: place } : {}, heading, plot, element("figcaption", {}, figure.caption), extras);
  if (figure.choices) {
    const select = element("select", {}, ...Object.keys(figure.choices).map((name) => element("option", {}, name)));
    const options = figure.choices;
    select.addEventListener("change", () => {
      Object.assign(figure, options[select.value]);
      title.textContent = figure.title;
      if (extras.querySelector(".data").table) extras.querySelector(".data").click(); // of the former
      show(plot);
    });
    heading.after(element("p", { class: "choice" }, element("label", {}, "Show ", select)));
  }
  wire(extras, figure.title, async () => figure);
  return made;
}

// Such an address names the chooser, what is chosen in it, and which of its figures.
async function goToChoice(anchor) {
  const [home, name] = anchor.split(":");
  const chooser = byId(home);
  const option = chooser && [...chooser.querySelectorAll("option")].find((o) => encodeURIComponent(o.value) === name);
  if (!option) return;
  chooser.querySelector("select").value = option.value;
  await showChoice(chooser);
  if (byId(anchor)) goTo(anchor);
}

async function showChoice(chooser) {
  choosers.unobserve(chooser);
  const place = chooser.querySelector(".chosen");
  const select = chooser.querySelector("select");
  const figures = await unpack(select.selectedOptions[0].dataset.pack);
  place.querySelectorAll(".relief").forEach((b) => b.panel && closeRelief(b));
  place.querySelectorAll(".plot").forEach((p) => p.dataset.drawn && flatPlotly().purge(p));
  const name = encodeURIComponent(select.value);
  const [leading, ...others] = figures.map((f, k) => chosenFigure(select.value, f, `${chooser.id}:${name}:${k}`));
  const opened = drawsAll() || place.querySelector(".more")?.open;
  place.replaceChildren(leading);
  if (others.length) {
    const count = `${others.length} figure${others.length > 1 ? "s" : ""}`;
    place.append(element("details", { class: "more" }, element("summary", {}, `More: ${count}`), ...others));
    place.lastChild.open = Boolean(opened);
  }
  const made = [...place.querySelectorAll(".plot")];
  if (drawsAll()) made.forEach(show);
  else made.forEach((p) => nearby.observe(p));
}

const choosers = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      showChoice(target);
    }
  },
  { rootMargin: "1200px 0px" },
);
for (const chooser of document.querySelectorAll(".chooser")) {
  chooser.querySelector("select").addEventListener("change", () => showChoice(chooser));
  if (drawsAll()) showChoice(chooser);
  else choosers.observe(chooser);
}
