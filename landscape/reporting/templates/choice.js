// What the reader has chosen in the bar (way of comparing, group, seed, model), kept in the page's address:
// "#figure?group=a&model=a-1". What follows a choice registers itself in `followers`.

const who = parsed("who");
const members = new Map(who.names.map((name, i) => [name, { group: who.group[i], seed: who.seed[i], at: i, time: who.moments[i] ?? null }]));
const groups = new Set(who.group);
const firstWay = who.ways[0] || "model";
const CHOICES = ["way", "group", "seed", "model", "moment"];
const selects = Object.fromEntries(CHOICES.map((name) => [name, byId(name)]).filter(([, select]) => select));
const choice = { way: firstWay, group: "", seed: "", model: "", moment: "" };
const followers = [];

const modelsOf = (subject) => (members.has(subject) ? [subject] : subject.split(" ~ "));

// The models that stand out: the one that is highlighted, and those of the chosen moment of training.
const atMoment = (name) => choice.moment !== "" && members.get(name)?.time === Number(choice.moment);
const stands = (name) => (choice.model !== "" && name === choice.model) || atMoment(name);
const isChosen = (subject) => modelsOf(subject).some(stands);
const anyChosen = () => Boolean(choice.model || choice.moment);

// Of a run, figures of one checkpoint are shown one after another, each at its moment.
function isOtherMoment(subject) {
  const times = modelsOf(subject).map((name) => members.get(name)?.time ?? null);
  return choice.moment !== "" && times.every((t) => t !== null && t !== Number(choice.moment));
}

// Whether a subject (model, pair or group) is among the chosen group and seed; of whom nothing is known, is.
function isShown(subject) {
  const fits = ({ group, seed }) => (!choice.group || group === choice.group) && (!choice.seed || seed === choice.seed);
  const known = modelsOf(subject).filter((name) => members.has(name));
  if (known.length) return known.some((name) => fits(members.get(name)));
  return !choice.group || !groups.has(subject) || subject === choice.group;
}

// ---- the address

function readAddress() {
  const text = location.hash.slice(1);
  const cut = text.indexOf("?");
  const anchor = cut < 0 ? text : text.slice(0, cut);
  return { anchor, said: cut < 0 ? null : new URLSearchParams(text.slice(cut + 1)) };
}

function writeAddress(anchor) {
  const said = new URLSearchParams();
  for (const name of CHOICES) {
    if (choice[name] && !(name === "way" && choice.way === firstWay)) said.set(name, choice[name]);
  }
  const hash = anchor + (said.size ? `?${said}` : "");
  try {
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  } catch {
    // a page within another one may not change its address
  }
}

// The slider of training stands at positions, the choice names the moment.
function setControl(name, value) {
  const control = selects[name];
  if (name === "moment") control.value = String(who.times.findIndex((t) => value !== "" && t === Number(value)));
  else control.value = [...control.options].some((option) => option.value === value) ? value : control.options[0].value;
  choice[name] = controlled(name);
}

function controlled(name) {
  if (name !== "moment") return selects[name].value;
  const time = who.times[Number(selects.moment.value)];
  return time === undefined ? "" : String(time);
}

// What an address names and this page does not hold is left out.
function take(said) {
  for (const name of Object.keys(selects)) setControl(name, said.get(name) || (name === "way" ? firstWay : ""));
}

// Shows a part of the page, though it be folded away.
function goTo(anchor) {
  const part = anchor && byId(anchor);
  if (!part) {
    if (anchor.includes(":")) goToChoice(anchor);
    return;
  }
  for (let fold = part.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  part.scrollIntoView();
}

function choose(name, value) {
  if (!selects[name]) return;
  setControl(name, value);
  writeAddress(readAddress().anchor);
  follow();
}

// The same model once more: none.
const pick = (name) => choose("model", choice.model === name ? "" : name);

function tell() {
  const said = [];
  if (choice.group || choice.seed) {
    const of = [choice.group && `group ${choice.group}`, choice.seed && `seed ${choice.seed}`].filter(Boolean).join(", ");
    said.push(`Shown: ${of} (${who.names.filter(isShown).length} of ${who.names.length} models).`);
    const whole = who.grouped[choice.way] && (choice.seed || choice.way !== "group");
    if (whole) said.push("Where figures draw models together, they draw all of them.");
  }
  if (choice.model) said.push(`Highlighted: ${choice.model}.`);
  if (choice.moment) said.push(`Training at ${who.progress} ${choice.moment}.`);
  byId("shown").textContent = said.join(" ");
  byId("clear").hidden = !said.length;
}

// A figure or part of single models alone is hidden with them, and marked with the one that is chosen.
function markParts() {
  for (const part of document.querySelectorAll("[data-of]")) {
    const of = JSON.parse(part.dataset.of);
    part.hidden = !of.some(isShown) || of.every(isOtherMoment);
    part.classList.toggle("chosen", of.some(isChosen));
  }
}

function follow() {
  tell();
  markParts();
  followers.forEach((f) => f());
}

for (const [name, select] of Object.entries(selects)) {
  select.addEventListener(name === "moment" ? "input" : "change", () => {
    choice[name] = controlled(name);
    writeAddress(readAddress().anchor);
    follow();
  });
}
byId("clear").addEventListener("click", () => {
  take(new URLSearchParams(choice.way === firstWay ? {} : { way: choice.way }));
  writeAddress(readAddress().anchor);
  follow();
  Object.values(selects)[0].focus();
});
addEventListener("hashchange", () => {
  const { anchor, said } = readAddress();
  if (said) {
    take(said);
    follow();
  }
  writeAddress(anchor);
  goTo(anchor);
});
take(readAddress().said || new URLSearchParams());
