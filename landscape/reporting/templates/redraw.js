// When figures are drawn: as they come near the window, at a new width, for print.

const plots = () => [...document.querySelectorAll(".plot")];
const redraw = () => plots().filter((p) => p.ways).forEach(show);

const nearby = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      nearby.unobserve(target);
      show(target);
    }
  },
  { rootMargin: "600px 0px" },
);
// "report.html#all" draws everything at once, for programs that take pictures of the page.
if (location.hash === "#all") {
  document.querySelectorAll("details.more").forEach((part) => (part.open = true)); // a closed part has no width
  plots().forEach(show);
} else plots().forEach((p) => nearby.observe(p));

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
if (way) way.addEventListener("change", redraw);

// A link to a figure opens the parts that it stands in; a section with an open part takes the whole width.
function reveal(id) {
  const target = id && byId(id);
  if (!target) return;
  let closed = false;
  for (let part = target.closest("details"); part; part = part.parentElement.closest("details")) {
    closed ||= !part.open;
    part.open = true;
  }
  if (closed) target.scrollIntoView();
}
addEventListener("hashchange", () => reveal(location.hash.slice(1)));
reveal(location.hash.slice(1));
for (const part of document.querySelectorAll(".folds > details")) {
  part.addEventListener("toggle", () => {
    const drawn = [...part.closest("section").querySelectorAll(".plot")].filter((p) => p.ways && p.checkVisibility());
    drawn.filter((p) => p.layout && p.layout.width !== p.clientWidth).forEach(show);
  });
}
