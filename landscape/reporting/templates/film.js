// Training as a film: a slider over the moments of a run, and its playing.

const STEP = 900; // ms
let playing = 0;

function stopFilm() {
  clearInterval(playing);
  playing = 0;
  const play = byId("play");
  play.textContent = "Play";
  play.setAttribute("aria-pressed", "false");
}

function nextMoment() {
  const at = who.times.indexOf(choice.moment === "" ? NaN : Number(choice.moment));
  if (at + 1 >= who.times.length) stopFilm();
  else choose("moment", String(who.times[at + 1]));
}

if (selects.moment) {
  const play = byId("play");
  play.addEventListener("click", () => {
    if (playing) {
      stopFilm();
      return;
    }
    if (Number(choice.moment) === who.times.at(-1)) choose("moment", "");
    nextMoment();
    playing = setInterval(nextMoment, STEP);
    play.textContent = "Stop";
    play.setAttribute("aria-pressed", "true");
  });
  followers.push(() => {
    const said = choice.moment === "" ? "all" : choice.moment;
    byId("moment-text").textContent = said;
    selects.moment.setAttribute("aria-valuetext", said === "all" ? "all moments" : `${who.progress} ${said}`);
  });
}
