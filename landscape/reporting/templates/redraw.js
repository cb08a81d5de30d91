// When figures are drawn: those on screen at once, others as they come near the window, all of them for print.

const plots = () => [...document.querySelectorAll(".plot")];
// "report.html#all" draws everything at once, for programs that take pictures of the page.
const drawsAll = () => readAddress().anchor === "all";

function onScreen(plot) {
  const { top, bottom, height } = plot.getBoundingClientRect();
  return height > 0 && bottom > 0 && top < innerHeight;
}

const nearby = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      nearby.unobserve(target);
      // One at a time, so that the page answers in between.
      setTimeout(() => target.isConnected && !target.dataset.drawn && show(target));
    }
  },
  { rootMargin: "600px 0px" },
);

// Of hundreds of figures a reader sees three: the others keep their old look until they come into view.
function redraw() {
  const all = plots();
  const seen = new Set(all.filter((p) => drawsAll() || (p.dataset.drawn && onScreen(p)))); // before anything changes
  for (const plot of all) {
    delete plot.dataset.drawn;
    nearby.unobserve(plot);
    if (!seen.has(plot)) nearby.observe(plot);
  }
  seen.forEach(show);
}
if (drawsAll()) document.querySelectorAll("details.more").forEach((part) => (part.open = true)); // a closed part has no width

let waiting = 0;
let lastWidth = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === lastWidth) return;
  lastWidth = innerWidth;
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    redraw();
    tables.forEach((t) => t.fit());
  }, 120);
});
// A print waits for nothing, so that the open figures are unpacked ahead of it.
addEventListener("load", () => (window.requestIdleCallback || setTimeout)(() => {
  plots().filter((p) => isPacked(p) && p.checkVisibility()).forEach(unpackFigure);
}));
addEventListener("beforeprint", () => {
  if (root.dataset.sheet) return; // one figure is printed, as a picture
  printing = true;
  plots().filter((p) => p.checkVisibility()).forEach(show); // those in closed parts stay out of the print
});
addEventListener("afterprint", () => {
  if (!printing) return;
  printing = false;
  redraw();
});
followers.push(redraw);

// A section with an open part takes the whole width.
for (const part of document.querySelectorAll(".folds > details")) {
  part.addEventListener("toggle", () => {
    const drawn = [...part.closest("section").querySelectorAll(".plot")].filter((p) => p.dataset.drawn && p.checkVisibility());
    drawn.filter((p) => p.layout && p.layout.width !== p.clientWidth).forEach(show);
  });
}
