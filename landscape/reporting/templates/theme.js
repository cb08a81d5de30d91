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
if (kept) {
  root.dataset.theme = kept;
  redraw();
}
toggle.parentElement.hidden = false;
label();
toggle.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  stored(root.dataset.theme);
  label();
  redraw();
});
darkSystem.addEventListener("change", () => {
  label();
  redraw();
});
