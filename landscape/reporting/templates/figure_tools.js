// ---- a figure for a paper: pictures on white, caption and references, the line that draws it again

const cited = parsed("papers");
const SHEET = 760; // px across a saved picture

const fileName = (name) => name.replace(/[^\p{L}\p{N}_-]+/gu, "-");

function download(name, url) {
  element("a", { href: url, download: name }).click();
}

// As drawn on a white page, whatever the theme and the width of this one.
function onWhite(plot) {
  const { data, layout } = chosen(plot.ways);
  const white = { paper_bgcolor: "#ffffff", plot_bgcolor: "#ffffff", font: { ...layout.font, color: "#000000" } };
  return { data, layout: { ...layout, ...white, width: SHEET, autosize: false } };
}

async function picture(plot, format, scale = 1) {
  const figure = onWhite(plot);
  return flatPlotly().toImage(figure, { format, scale, width: SHEET, height: figure.layout.height });
}

// No browser writes a PDF by itself: the figure alone goes to the printer's window, which saves it as vectors.
async function printSheet(name, plot) {
  const { height } = chosen(plot.ways).layout;
  const image = element("img", { src: await picture(plot, "svg"), alt: "" });
  await image.decode();
  const sheet = element("div", { id: "sheet" }, image);
  const size = element("style", {}, `@page { size: ${SHEET}px ${height + 1}px; margin: 0 }`);
  const title = document.title;
  const done = () => {
    sheet.remove();
    size.remove();
    delete root.dataset.sheet;
    document.title = title;
  };
  document.head.append(size);
  document.body.append(sheet);
  root.dataset.sheet = "true";
  document.title = name; // which browsers offer as the file's name
  addEventListener("afterprint", done, { once: true });
  print();
}

async function copy(text, button) {
  const said = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // without leave for the clipboard, by a selection
    const area = document.body.appendChild(element("textarea", { readonly: "", "aria-label": "text to copy" }));
    area.value = text;
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = said), 1500);
}

const keysOf = (extras) => (extras.dataset.papers || "").split(" ").filter((key) => cited.papers[key]);

function captionOf(extras) {
  const caption = extras.parentElement.querySelector("figcaption").textContent.trim();
  const papers = keysOf(extras).map((key) => cited.papers[key].short);
  const methods = papers.length ? ` Methods: ${papers.join("; ")}.` : "";
  return `${caption}${methods} Drawn by landscape ${cited.version} from ${cited.zoo}.`;
}

function bibtexOf(extras) {
  return [...keysOf(extras).map((key) => cited.papers[key].bibtex), cited.software].join("\n\n") + "\n";
}

function lineOf(extras) {
  const by = way && way.value !== "model" ? ` --by ${/^[\w-]+$/.test(way.value) ? way.value : `'${way.value}'`}` : "";
  const store = /^[\w./-]+$/.test(cited.store) ? cited.store : `'${cited.store.replaceAll("'", "'\\''")}'`;
  return `${extras.dataset.line.replace("STORE", store)} ${fileName(extras.dataset.name)}.pdf${by}`;
}

// Made when it is first opened: a page of a hundred figures would hold a thousand buttons.
function fillTools(part, extras, plot) {
  const name = fileName(extras.dataset.name);
  const button = (text, act) => {
    const made = element("button", { type: "button", class: "push" }, text);
    made.addEventListener("click", () => act(made));
    return made;
  };
  const code = element("code", {}, lineOf(extras));
  if (way) way.addEventListener("change", () => (code.textContent = lineOf(extras)));
  const bib = () => `data:application/x-bibtex;charset=utf-8,${encodeURIComponent(bibtexOf(extras))}`;
  part.append(
    element(
      "p", {},
      button("SVG", async () => download(`${name}.svg`, await picture(plot, "svg"))),
      button("PNG × 3", async () => download(`${name}.png`, await picture(plot, "png", 3))),
      button("PDF by printing", () => printSheet(name, plot)),
      button("Copy caption", (made) => copy(captionOf(extras), made)),
      button("BibTeX", () => download(`${name}.bib`, bib())),
    ),
    element("p", {}, "In the type of a paper: ", code, button("Copy line", (made) => copy(lineOf(extras), made))),
  );
}

for (const extras of document.querySelectorAll(".extras[data-line]")) {
  const plot = extras.parentElement.querySelector(".plot");
  const part = element("details", { class: "publish" }, element("summary", {}, "For a paper"));
  part.addEventListener("toggle", async () => {
    if (!part.open || part.children.length > 1) return;
    if (!plot.ways) await show(plot);
    fillTools(part, extras, plot);
  });
  extras.append(part);
}
