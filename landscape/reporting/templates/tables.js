// Tables: sorted by a column's values, filtered, in pages; what is missing stays at the end.

const PAGE = 50;
const tables = [];

const shownText = (cell) => (Array.isArray(cell) ? cell[0] : cell);
const sortValue = (cell) => (Array.isArray(cell) ? cell[1] : cell);

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

// A model's name chooses it.
function rowHead(name) {
  if (!members.has(name) || !selects.model) return name;
  const pressed = String(choice.model === name);
  const button = element("button", { type: "button", class: "pick", "aria-pressed": pressed, title: "Highlight in every figure" }, name);
  button.addEventListener("click", () => pick(name));
  return button;
}

class Table {
  constructor(data) {
    this.data = data;
    this.rows = data.rows;
    this.page = 0;
    this.requested = "";
    this.followed = JSON.stringify(["", "", "", ""]);
    this.sort = null;
    this.family = "";
    this.all = false;
    this.room = data.columns.length;
    this.box = element("div", { class: "table" });
    this.controls = element("p", { class: "controls" });
    this.status = element("span", { role: "status" });
    this.scroll = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": data.caption });
    this.table = this.scroll.appendChild(element("table"));
    this.pager = element("p", { class: "controls pager" });
    this.addControls();
    this.box.append(this.controls, this.scroll, this.pager);
  }

  addControls() {
    const families = [...new Set(this.data.columns.map((c) => c.family))].filter(Boolean);
    if (this.rows.length > 8) {
      const filter = element("input", { type: "search", class: "filter" });
      filter.addEventListener("input", () => this.filter(filter.value));
      this.controls.append(element("label", {}, `Show rows with `, filter));
    }
    if (families.length > 1) {
      const options = [element("option", { value: "" }, "overview"), ...families.map((f) => element("option", {}, f))];
      const choice = element("select", { class: "columns" }, ...options);
      choice.firstChild.value = "";
      choice.addEventListener("change", () => {
        this.family = choice.value;
        this.fit();
      });
      this.controls.append(element("label", {}, "Columns ", choice));
    }
    this.more = element("button", { type: "button", class: "push", hidden: "hidden" });
    this.more.addEventListener("click", () => {
      this.all = !this.all;
      this.fit();
    });
    this.controls.append(this.more, this.status);
  }

  filter(text) {
    const requested = text.trim().toLowerCase();
    const has = (row) => [row.head, ...row.cells.map(shownText)].some((t) => String(t).toLowerCase().includes(requested));
    this.requested = text;
    this.rows = this.data.rows.filter((row) => isShown(row.head) && (!requested || has(row)));
    this.page = 0;
    this.order();
    const all = this.data.rows.length;
    this.status.textContent = this.rows.length < all ? `${this.rows.length} of ${all} rows` : "";
    this.fill();
  }

  // The rows of the chosen group and seed, on the page of the chosen model.
  follow() {
    const key = JSON.stringify([choice.group, choice.seed, choice.model, choice.moment]);
    // A table in a closed part of the page follows when it is opened.
    if (key === this.followed || !this.box.offsetParent) return;
    this.followed = key;
    const focused = this.table.contains(document.activeElement) ? document.activeElement.textContent : null;
    this.filter(this.requested);
    const at = this.rows.findIndex((row) => isChosen(row.head));
    if (at >= PAGE) {
      this.page = Math.floor(at / PAGE);
      this.fill();
    }
    // Who chose by the keyboard goes on from there.
    const again = focused && [...this.table.querySelectorAll(".pick")].find((b) => b.textContent === focused);
    if (again) again.focus({ preventScroll: true });
  }

  order() {
    if (!this.sort) return;
    const { column, down } = this.sort;
    const key = (row) => (column < 0 ? row.head : sortValue(row.cells[column]));
    this.rows = [...this.rows].sort((r, s) => {
      const [a, b] = [key(r), key(s)];
      if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
      return down ? compare(b, a) : compare(a, b);
    });
  }

  candidates() {
    const { columns, first } = this.data;
    const every = columns.map((_, i) => i);
    if (this.family) return every.filter((i) => columns[i].family === this.family);
    return this.all || !first.length ? every : first;
  }

  // As many columns as there is room for; a button shows the rest.
  fit() {
    const requested = this.candidates();
    this.room = requested.length;
    this.fill();
    const juts = () => this.scroll.scrollWidth > this.scroll.clientWidth;
    if (!this.all && !printing && this.room > 1 && juts()) {
      // A table that is too wide has each column at its narrowest, so that one look tells how many fit.
      const widths = [...this.table.tHead.rows[0].cells].map((cell) => cell.getBoundingClientRect().width);
      let left = this.scroll.clientWidth - widths[0];
      this.room = widths.slice(1).findIndex((width) => (left -= width) < -0.5);
      this.room = Math.max(1, this.room < 0 ? requested.length - 1 : this.room);
      this.fill();
      while (this.room > 1 && juts()) {
        this.room -= 1;
        this.fill();
      }
    }
    const whole = this.family ? requested.length : this.data.columns.length;
    this.more.hidden = !this.all && this.room === whole;
    this.more.textContent = this.all ? "Show what fits" : `Show all ${whole} columns`;
  }

  fill() {
    const shown = this.candidates().slice(0, this.room);
    this.table.replaceChildren(element("caption", {}, this.data.caption), this.head(shown), this.body(shown));
    this.page = Math.min(this.page, Math.max(0, Math.ceil(this.rows.length / PAGE) - 1));
    this.pages();
  }

  head(shown) {
    const row = element("tr");
    for (const column of [-1, ...shown]) {
      const about = column < 0 ? { title: this.data.head, meaning: "" } : this.data.columns[column];
      const sorted = this.sort && this.sort.column === column;
      const head = element("th", {
        scope: "col", class: about.numeric ? "number" : "", title: about.meaning,
        "aria-sort": sorted ? (this.sort.down ? "descending" : "ascending") : undefined,
      });
      const of = !this.family && about.family && about.family !== this.data.columns[0].family ? element("span", { class: "of" }, about.family) : "";
      const button = element("button", { type: "button" }, about.title);
      button.addEventListener("click", () => {
        this.sort = { column, down: Boolean(sorted) && !this.sort.down };
        this.order();
        this.fill();
        [...this.table.tHead.rows[0].cells][row.cells.length ? [...row.cells].indexOf(head) : 0].firstChild.focus();
      });
      head.append(button, of);
      row.append(head);
    }
    return element("thead", {}, row);
  }

  body(shown) {
    const body = element("tbody");
    for (const row of this.rows.slice(this.page * PAGE, (this.page + 1) * PAGE)) {
      const head = element("th", { scope: "row" });
      const who = detailed.has(row.head) ? modelLink(row.head) : rowHead(row.head);
      // Side by side however narrow the column is.
      const swatch = row.color && element("span", { class: "swatch", style: `--c:${row.color}` });
      head.append(swatch ? element("span", { class: "who" }, swatch, element("span", {}, who)) : who);
      const line = element("tr", { class: isChosen(row.head) ? "chosen" : "" }, head);
      for (const i of shown) {
        const value = sortValue(row.cells[i]);
        const title = typeof value === "number" ? String(value) : "";
        line.append(element("td", { class: this.data.columns[i].numeric ? "number" : "", title }, shownText(row.cells[i])));
      }
      body.append(line);
    }
    return body;
  }

  pages() {
    this.pager.replaceChildren();
    const count = Math.ceil(this.rows.length / PAGE);
    this.pager.hidden = count < 2;
    if (count < 2) return;
    const step = (text, to, on) => {
      const button = element("button", { type: "button", class: "push" }, text);
      button.disabled = !on;
      button.addEventListener("click", () => {
        this.page = to;
        this.fill();
      });
      return button;
    };
    const end = Math.min(this.rows.length, (this.page + 1) * PAGE);
    this.pager.append(
      step("Previous", this.page - 1, this.page > 0), step("Next", this.page + 1, this.page < count - 1),
      ` rows ${this.page * PAGE + 1} to ${end} of ${this.rows.length}`,
    );
  }
}
