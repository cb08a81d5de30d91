"use strict";
// The first screen: two groups compared in every number, and what goes with the outcome.
// Statistics as in landscape/core/stats: standardized_difference.py, rank_association.py, hypothesis.py.
// A test in a browser holds both to the same numbers and sentences.
const findings = (() => {
  const block = document.getElementById("findings-data");
  if (!block) return null;
  const data = JSON.parse(block.textContent);
  const { metrics, kinds, groups, cells, sets, reach, count } = data;
  const LEAST_CELLS = 3;
  const RATE = 0.05;
  const FIRST = 12; // rows before "show all"

  // ---- distributions

  const LANCZOS = [
    0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
    12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
  ];
  function lnGamma(x) {
    if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - lnGamma(1 - x);
    const t = x + 6.5;
    const sum = LANCZOS.slice(1).reduce((s, c, i) => s + c / (x + i), LANCZOS[0]);
    return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
  }

  // Share of a gamma distribution below x: a series, or from a + 1 on a continued fraction of the rest.
  function gammaShare(a, x) {
    if (x <= 0) return 0;
    const front = Math.exp(a * Math.log(x) - x - lnGamma(a));
    if (x < a + 1) {
      let term = 1 / a;
      let sum = term;
      for (let n = 1; n < 500 && term > 1e-16 * sum; n += 1) {
        term *= x / (a + n);
        sum += term;
      }
      return front * sum;
    }
    let b = x + 1 - a;
    let c = 1e300;
    let d = 1 / b;
    let h = d;
    for (let n = 1; n < 500; n += 1) {
      const an = -n * (n - a);
      b += 2;
      d = 1 / (an * d + b);
      c = b + an / c;
      h *= d * c;
      if (Math.abs(d * c - 1) < 1e-15) break;
    }
    return 1 - front * h;
  }

  // Of a normal law, to 1e-7 of the tail: a polynomial fit by Chebyshev's (Press et al., Numerical Recipes, erfc).
  const FIT = [
    0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368,
    -1.26551223,
  ];
  function normalShare(z) {
    const x = Math.abs(z) / Math.SQRT2;
    const t = 1 / (1 + 0.5 * x);
    const tail = 0.5 * t * Math.exp(FIT.reduce((s, c) => s * t + c, 0) - x * x);
    return z > 0 ? 1 - tail : tail;
  }

  // Two-sided p-value of Student's t, by the trapezoidal rule in ln tan of the angle, which ends smoothly.
  function studentP(t, free) {
    const height = (u) => Math.exp(lnGamma((free + 1) / 2) - lnGamma(free / 2)) / Math.sqrt(free * Math.PI)
      * (1 + (u * u) / free) ** (-(free + 1) / 2);
    const size = Math.abs(t);
    let sum = 0;
    const step = 0.05;
    for (let s = -6; s <= 6; s += step) { // u = t + exp(π/2 sinh s): from t to infinity
      const e = Math.exp((Math.PI / 2) * Math.sinh(s));
      const u = size + e;
      const value = height(u) * e * (Math.PI / 2) * Math.cosh(s);
      if (Number.isFinite(value)) sum += value;
    }
    return Math.min(1, 2 * sum * step);
  }

  function shareBelow(w, t, free, logs) {
    if (t === 0) return normalShare(w);
    if (t > Math.sqrt(2 * free)) {
      let sum = 0;
      let whole = 0;
      for (let i = 0; i < 103; i += 1) {
        const z = -8.5 + (17 * i) / 102;
        const weight = Math.exp(-(z * z) / 2);
        const s = Math.max(w - z, 0) / t;
        sum += weight * gammaShare(free / 2, (free * s * s) / 2);
        whole += weight;
      }
      return sum / whole;
    }
    return logs.reduce((sum, [s, weight]) => sum + weight * normalShare(w - t * s), 0);
  }

  function noncentrality(t, free) {
    if (!(Number.isFinite(t) && free > 0)) return [NaN, NaN];
    if (t < 0) return noncentrality(-t, free).reverse().map((v) => -v);
    const width = 1 / Math.sqrt(2 * free);
    const start = (free < 3 ? -60 : -14) * width;
    const step = (8.5 * width - start) / 240;
    const logs = Array.from({ length: 241 }, (_, i) => {
      const u = start + i * step;
      const ln = free * u - (free * Math.exp(2 * u)) / 2 + (free / 2) * Math.log(free / 2) - lnGamma(free / 2);
      return [Math.exp(u), 2 * step * Math.exp(ln)];
    }).filter(([, weight]) => weight > 1e-14);
    return [0.025, 0.975].map((tail) => {
      let low = -9;
      let high = 9 + t * (1 + 7.5 * width + (free < 3 ? 8 : 0));
      for (let i = 0; i < 42 && high - low > 1e-6 * (1 + Math.abs(low)); i += 1) {
        const middle = (low + high) / 2;
        if (shareBelow(middle, t, free, logs) >= tail) high = middle;
        else low = middle;
      }
      return (low + high) / 2;
    });
  }

  // ---- the difference of two groups

  const sum = (values) => values.reduce((s, v) => s + v, 0);
  const NOTHING = { g: NaN, low: NaN, high: NaN, p: NaN };

  function summed(metric, a, b) {
    const samples = [a, b].map((kind) => metric.values.filter((v, i) => groups[i] === kind && v !== false)
      .map((v) => (v === null ? NaN : v)));
    const counts = samples.map((s) => s.length);
    const means = samples.map((s) => sum(s) / s.length);
    const squares = samples.map((s, i) => sum(s.map((v) => (v - means[i]) ** 2)));
    const errors = squares.map((v, i) => (counts[i] > 1 ? Math.sqrt(v / (counts[i] - 1) / counts[i]) : NaN));
    return { samples, squares, about: { counts, means, errors } };
  }

  function difference(metric, a, b) {
    const { samples, squares, about } = summed(metric, a, b);
    const { counts, means, errors } = about;
    const [n, m] = counts;
    const gap = means[0] - means[1];
    const whole = sum(squares);
    const scale = Math.max(0, ...samples.flat().map(Math.abs));
    if (!(Number.isFinite(gap) && n + m > 2 && Math.sqrt(whole) > 1e-12 * scale)) return { ...NOTHING, ...about };
    const free = n + m - 2;
    const spread = Math.sqrt(whole / free);
    const correction = free > 1 ? Math.exp(lnGamma(free / 2) - lnGamma((free - 1) / 2)) / Math.sqrt(free / 2) : NaN;
    const g = (correction * gap) / spread;
    const error = Math.hypot(...errors);
    if (!(error > 0)) return { ...NOTHING, ...about, g };
    const welch = error ** 4 / sum(errors.map((e, i) => e ** 4 / (counts[i] - 1)));
    const t = gap / error;
    const [low, high] = noncentrality(t, welch).map((v) => (v * error) / spread);
    return { ...about, g, low, high, p: studentP(t, welch) };
  }

  function qValues(ps) {
    const order = ps.map((p, i) => [p, i]).filter(([p]) => Number.isFinite(p)).sort((x, y) => y[0] - x[0]);
    const qs = ps.map(() => NaN);
    let least = 1;
    order.forEach(([p, i], k) => {
      least = Math.min(least, (p * order.length) / (order.length - k));
      qs[i] = least;
    });
    return qs;
  }

  // ---- what goes with the outcome

  function kendall(x, y, place) {
    const used = [...new Set(place)];
    const at = new Map(used.map((cell, i) => [cell, i]));
    const size = used.length;
    const total = [0, 0, 0];
    const without = [0, 1, 2].map(() => new Array(size).fill(0));
    for (let i = 0; i < x.length; i += 1) {
      for (let j = i + 1; j < x.length; j += 1) {
        const up = Math.sign(x[j] - x[i]);
        const right = Math.sign(y[j] - y[i]);
        const [c, d] = [at.get(place[i]), at.get(place[j])];
        [up * right, Math.abs(up), Math.abs(right)].forEach((v, k) => {
          total[k] += v;
          without[k][c] += v;
          if (d !== c) without[k][d] += v;
        });
      }
    }
    const tau = total[0] / Math.sqrt(total[1] * total[2]);
    const taus = used.map((_, c) => (total[0] - without[0][c]) / Math.sqrt((total[1] - without[1][c]) * (total[2] - without[2][c])));
    if (size < LEAST_CELLS || Number.isNaN(tau) || taus.some(Number.isNaN)) return [tau, NaN, NaN];
    const mean = sum(taus) / size;
    const error = Math.sqrt(((size - 1) / size) * sum(taus.map((v) => (v - mean) ** 2)));
    const factor = reach[size];
    if (error > 1e-12) return [tau, Math.max(tau - factor * error, -1), Math.min(tau + factor * error, 1)];
    const most = (2 * factor ** 2) / size;
    const half = Math.sqrt(most * (1 + most - tau ** 2));
    return [tau, Math.max((tau - half) / (1 + most), -1), Math.min((tau + half) / (1 + most), 1)];
  }

  function psiOf(x, y, place) {
    const mean = (values) => {
      const found = new Array(count).fill(NaN);
      const sizes = new Array(count).fill(0);
      place.forEach((c, i) => {
        found[c] = (sizes[c] ? found[c] : 0) + values[i];
        sizes[c] += 1;
      });
      return found.map((v, c) => v / sizes[c]);
    };
    const [a, b] = [mean(x), mean(y)];
    const axes = sets.map((slices) => {
      const taus = slices.map((slice) => {
        const known = slice.filter((c) => !Number.isNaN(a[c]) && !Number.isNaN(b[c]));
        const signs = known.flatMap((c, i) => known.slice(i + 1).map((d) => Math.sign(a[d] - a[c]) * Math.sign(b[d] - b[c])));
        return sum(signs) / signs.length;
      }).filter((v) => !Number.isNaN(v));
      return sum(taus) / taus.length;
    }).filter((v) => !Number.isNaN(v));
    return sum(axes) / axes.length;
  }

  function association(metric, outcome) {
    const known = cells.map((_, i) => i).filter((i) => [metric, outcome].every((m) => typeof m.values[i] === "number"));
    const [x, y] = [metric, outcome].map((m) => known.map((i) => m.values[i]));
    const place = known.map((i) => cells[i]);
    const [tau, low, high] = kendall(x, y, place);
    return { tau, low, high, models: known.length, psi: psiOf(x, y, place) };
  }

  function compute(outcome, a, b) {
    const target = metrics[outcome];
    const rows = metrics.filter((m) => m !== target)
      .map((metric) => ({ metric, ...difference(metric, a, b), goes: association(metric, target) }));
    const qs = qValues(rows.map((r) => r.p));
    rows.forEach((r, i) => (r.q = qs[i]));
    const size = (r) => (Number.isFinite(r.g) ? -Math.abs(r.g) : Infinity);
    rows.sort((r, s) => (size(r) === size(s) ? 0 : size(r) - size(s)));
    return { target, a, b, rows, outcome: difference(target, a, b) };
  }

  // What the page opens with was worked out when it was written.
  function given(outcome, a, b) {
    const row = (at, [g, low, high, p, q, tau, from, to, psi]) => ({
      metric: metrics[at], g, low, high, p, q, ...summed(metrics[at], a, b).about, goes: { tau, low: from, high: to, psi },
    });
    const known = (numbers) => numbers.map((v) => (v === null ? NaN : v));
    const [first, ...rows] = data.first.map(([at, ...numbers]) => row(at, known(numbers)));
    return { target: metrics[outcome], a, b, rows, outcome: first };
  }

  // ---- sentences

  function short(value) {
    const v = Number(value.toPrecision(3));
    let text = String(v);
    if (v !== 0 && (Math.abs(v) < 1e-4 || Math.abs(v) >= 1e12)) {
      const [digits, power] = v.toExponential().split("e");
      text = `${digits}e${power[0]}${power.slice(1).padStart(2, "0")}`;
    }
    return text.replaceAll("-", "−");
  }
  const withError = (v, e) => (Number.isFinite(e) ? `${short(v)} ± ${short(e)}` : short(v));

  function outcomeSentence({ target, a, b, outcome: d }) {
    const name = target.name;
    const [first, second] = [kinds[a], kinds[b]];
    if (Number.isNaN(d.means[0] - d.means[1])) return `The ${name} is not known of both ${first} and ${second}, so that nothing is said of it here.`;
    const means = d.means.map((v, i) => withError(v, d.errors[i]));
    const sizes = `${d.counts[0]} and ${d.counts[1]} models`;
    const said = `${first} has a mean ${name} of ${means[0]}, ${second} of ${means[1]}: undecided`;
    if (Number.isNaN(d.p)) return `${said}, ${sizes} are too few.`;
    if (d.p < RATE) {
      const more = d.means[0] > d.means[1] ? "higher" : "lower";
      return `${first} has the ${more} ${name}: ${means[0]} against ${means[1]} of ${second} (${sizes}, p = ${short(d.p)}).`;
    }
    return `${said} (${sizes}, p = ${short(d.p)}).`;
  }

  function differencesSentence({ rows, outcome }) {
    const compared = rows.filter((r) => Number.isFinite(r.p));
    if (!compared.length) return "No other number can be compared: that takes two measured models of each group, and some spread.";
    const known = compared.filter((r) => r.q < RATE);
    if (!known.length) return `Of ${compared.length} other numbers none differs for certain (false-discovery rate 5 %): with ${outcome.counts[0]} and ${outcome.counts[1]} models only large differences show.`;
    const named = known.slice(0, 3).map((r) => `${r.metric.said} (g = ${short(r.g)})`).join(", ");
    return `Of ${compared.length} other numbers ${known.length} differ at a false-discovery rate of 5 %, most of all ${named}.`;
  }

  function associationSentence({ target, rows }) {
    if (count < LEAST_CELLS) return `What goes with ${target.name} over all models cannot be told from ${count} groups: it takes three.`;
    const over = `Over ${cells.length} models in ${count} cells`;
    const sure = rows.filter((r) => r.goes.low > 0 || r.goes.high < 0);
    if (!sure.length) return `${over} no number goes with ${target.name} for certain: every interval of τ holds 0 or is unknown.`;
    const best = sure.reduce((r, s) => (Math.abs(s.goes.tau) > Math.abs(r.goes.tau) ? s : r));
    const { tau, low, high, psi } = best.goes;
    const one = Number.isFinite(psi) ? `, and ψ = ${short(psi)} where one setting changes at a time` : "";
    return `${over}, ${best.metric.said} goes with ${target.name} most closely: τ = ${short(tau)} (${short(low)} to ${short(high)})${one}.`;
  }

  // ---- the picture: one line for each number, on a scale that is linear near 0 and logarithmic beyond 1

  const make = (tag, attributes, ...children) => {
    const made = document.createElement(tag);
    Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
    made.append(...children);
    return made;
  };
  const byName = (id) => document.getElementById(id);
  const percent = (x, limit) => 50 + 50 * Math.max(-1, Math.min(1, Math.asinh(x) / Math.asinh(limit)));
  const dash = (v) => (Number.isFinite(v) ? short(v) : "–");
  const unit = (m) => (m.unit ? ` (${m.unit})` : "");

  function forest(row, limit) {
    const box = make("div", { class: "forest" }, make("span", { class: "zero" }));
    if (!Number.isFinite(row.g)) return make("div", { class: "forest none" }, why(row));
    const sure = row.q < RATE || (row.alone && row.p < RATE);
    if (Number.isFinite(row.low)) {
      const [low, high] = [percent(row.low, limit), percent(row.high, limit)];
      box.append(make("span", { class: sure ? "reach sure" : "reach", style: `left:${low.toFixed(2)}%;width:${(high - low).toFixed(2)}%` }));
    }
    box.append(make("span", { class: sure ? "dot sure" : "dot", style: `left:${percent(row.g, limit).toFixed(2)}%` }));
    box.append(make("span", { class: "said" }, `g = ${short(row.g)}, 95 % interval ${dash(row.low)} to ${dash(row.high)}`));
    box.title = box.lastChild.textContent;
    return box;
  }

  function why(row) {
    if (row.counts.some((n) => n === 0)) return "not measured of both";
    if (row.means.some(Number.isNaN)) return "NaN in a model";
    if (row.counts[0] + row.counts[1] < 4) return "too few models";
    return "no spread within groups";
  }

  function line(row, limit) {
    const { metric } = row;
    const name = metric.href ? make("a", { href: `#${metric.href}` }, metric.name) : metric.name;
    const head = make("th", { scope: "row" }, name, unit(metric), make("span", { class: "of" }, metric.section));
    const value = (i) => make("td", { class: "number wide" }, Number.isNaN(row.means[i]) ? "–" : withError(row.means[i], row.errors[i]), make("span", { class: "of" }, `n = ${row.counts[i]}`));
    const tau = make("td", { class: "number wide" });
    const { goes } = row;
    if (goes && Number.isFinite(goes.tau) && count >= LEAST_CELLS) {
      tau.append(short(goes.tau));
      if (Number.isFinite(goes.low)) tau.append(make("span", { class: "of" }, `${dash(goes.low)} to ${dash(goes.high)}`));
    } else tau.append("–");
    const psi = make("td", { class: "number wide" }, goes && count >= LEAST_CELLS ? dash(goes.psi) : "–");
    const q = make("td", { class: "number" }, row.alone ? `p ${dash(row.p)}` : dash(row.q));
    return make("tr", row.alone ? { class: "outcome" } : {}, head, make("td", { class: "picture" }, forest(row, limit)), value(0), value(1), q, tau, psi);
  }

  function axis(limit) {
    const ticks = [0, 1, 3, 10, 30, 100].filter((v) => v < 0.93 * limit).flatMap((v) => (v ? [-v, v] : [0]));
    const marks = ticks.map((v) => make("span", { class: "tick", style: `left:${percent(v, limit).toFixed(2)}%` }, short(v)));
    return make("div", { class: "forest scale" }, ...marks);
  }

  let all = false;
  let shown = null;

  function show() {
    const { a, b, rows, target, outcome } = shown;
    const sayings = [outcomeSentence, differencesSentence, associationSentence].map((say) => say(shown));
    byName("findings-said").replaceChildren(...sayings.map((text) => make("li", {}, text)));
    const sizes = [outcome, ...rows].map((r) => Math.abs(r.g)).filter(Number.isFinite);
    const limit = Math.min(150, Math.max(3.5, 1.6 * Math.max(0, ...sizes)));
    const column = (text, kind = "", title = "") => make("th", { scope: "col", class: kind, title }, text);
    const picture = make("th", { scope: "col", class: "picture" }, make("span", { class: "sides" }, make("span", {}, `← ${kinds[b]} more`), make("span", {}, `${kinds[a]} more →`)), axis(limit));
    const head = make("tr", {}, column("number"), picture, column(kinds[a], "number wide"), column(kinds[b], "number wide"),
      column("q", "number", "smallest false-discovery rate at which this is a discovery (Benjamini-Hochberg)"),
      column("τ", "number wide", `Kendall's τ with ${target.name} over all models, and its 95 % interval over cells`),
      column("ψ", "number wide", "granulated τ: one setting changes at a time"));
    const listed = all ? rows : rows.slice(0, FIRST);
    const body = make("tbody", {}, line({ metric: target, ...outcome, alone: true }, limit), ...listed.map((r) => line(r, limit)));
    const caption = make("caption", {}, `Standardised difference, ${kinds[a]} less ${kinds[b]} (Hedges' g, bars 95 %), largest first; filled: q < 0.05.`,
      make("span", { class: "wide" }, " Means ± 1 SE."));
    byName("findings-table").replaceChildren(caption, make("thead", {}, head), body);
    const more = byName("findings-more");
    more.hidden = rows.length <= FIRST;
    more.textContent = all ? "Show the largest" : `Show all ${rows.length} numbers`;
  }

  function choose() {
    const places = ["findings-outcome", "findings-first", "findings-second"].map((name) => Number(byName(name).value));
    shown = (String(places) === String(data.chosen) ? given : compute)(...places);
    show();
  }

  const controls = ["findings-outcome", "findings-first", "findings-second"].map(byName);
  controls.forEach((control) => control.addEventListener("change", (event) => {
    const [, first, second] = controls;
    // A group is not compared with itself: the other one gives way.
    if (first.value === second.value) {
      const other = event.target === first ? second : first;
      other.value = String(kinds.findIndex((_, i) => String(i) !== event.target.value));
    }
    choose();
  }));
  byName("findings-more").addEventListener("click", () => {
    all = !all;
    show();
  });
  byName("findings-controls").hidden = false;
  choose();
  return { compute, given: () => given(...data.chosen), sentences: (found) => [outcomeSentence, differencesSentence, associationSentence].map((say) => say(found)) };
})();
