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
if (location.hash === "#all") plots().forEach(show);
else plots().forEach((p) => nearby.observe(p));

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
  printing = true;
  plots().forEach(show);
});
addEventListener("afterprint", () => {
  printing = false;
  redraw();
});
if (way) way.addEventListener("change", redraw);
