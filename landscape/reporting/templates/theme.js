// The theme: the system's, until the reader chooses.

const toggle = byId("theme");
function stored(value) {
  try {
    if (value) localStorage.setItem("landscape-theme", value);
    return localStorage.getItem("landscape-theme");
  } catch {
    return null; // storage is closed to some local files
  }
}
function label() {
  toggle.textContent = isDark() ? "Light theme" : "Dark theme";
}
const kept = stored();
if (kept) root.dataset.theme = kept;
toggle.parentElement.hidden = false;
label();
toggle.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  stored(root.dataset.theme);
  label();
  redraw();
});
// Its own object: Chromium keeps the event to itself where "matches" was read between the change and the event.
const systemTheme = matchMedia(darkSystem.media);
systemTheme.addEventListener("change", () => {
  label();
  redraw();
});

// What a link leads to stops below the bar, whose height is told at once and whenever it changes.
const tellBar = (bar) => root.style.setProperty("--bar", `${bar.offsetHeight}px`);
tellBar(toggle.parentElement);
new ResizeObserver(([{ target }]) => tellBar(target)).observe(toggle.parentElement);
// Everything is in place: where the address points comes first, so that this is what is drawn first.
markParts();
goTo(readAddress().anchor);
follow();
