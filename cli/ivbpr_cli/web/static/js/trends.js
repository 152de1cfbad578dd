// How the liking of attributes changed: one small step curve each, all to one scale.

import { ask } from "./api.js";
import { by, el, svg } from "./dom.js";
import { STEP } from "./state.js";
import { signed } from "./words.js";

const WIDE = 280;
const HIGH = 104;
const ROOM = 60; // of a date

const month = (text) => new Date(`${text.slice(0, 10)}T12:00:00Z`).toLocaleDateString("en", { month: "short", year: "numeric", timeZone: "UTC" });

export class Trends {
  constructor(facts, vocabulary, store, failed) {
    this.facts = facts;
    this.vocabulary = vocabulary;
    this.store = store;
    this.failed = failed;
    this.chosen = [];
  }

  async show() {
    if (this.facts.epochs.length < 2) return;
    by("trends").hidden = !this.made;
    if (this.made) return;
    this.made = true;
    const section = by("trends");
    this.curves = el("ul", { class: "curves" });
    const names = [...this.vocabulary.known.keys()];
    const pick = el("input", {
      type: "search", id: "find-trend", list: "trend-names", autocomplete: "off",
      onchange: () => {
        const name = names.find((one) => one === pick.value || this.vocabulary.name(one).toLowerCase() === pick.value.trim().toLowerCase());
        if (!name) return;
        pick.value = "";
        this.chosen = [name, ...this.chosen.filter((one) => one !== name)].slice(0, 12);
        this.load();
      },
    });
    section.replaceChildren(
      el("h2", { id: "trends-title" }, "How taste changed"),
      el("p", { class: "lede" }, "What shoppers liked more or less than on average over the whole time, by the model's own periods."),
      el("div", { class: "field" }, el("label", { for: "find-trend" }, "Show an attribute"), pick,
        el("datalist", { id: "trend-names" }, names.map((one) => el("option", { value: this.vocabulary.name(one) })))),
      this.curves);
    section.hidden = false;
    await this.load();
  }

  async load() {
    const query = new URLSearchParams(this.chosen.map((one) => ["feature", one]));
    if (!this.chosen.length) query.set("n", 8);
    try {
      const found = await ask("/api/trends", query);
      if (found) this.draw(found);
    } catch (problem) {
      this.made = false;
      this.failed(problem, () => this.show());
    }
  }

  draw(found) {
    const series = new Map();
    for (const row of found.rows) {
      if (!series.has(row.feature)) series.set(row.feature, []);
      series.get(row.feature).push(row);
    }
    for (const rows of series.values()) {
      const mean = rows.reduce((sum, row) => sum + row.response, 0) / rows.length;
      for (const row of rows) row.change = row.response - mean;
    }
    const most = Math.max(...[...series.values()].flat().map((row) => Math.abs(row.change)), 1e-6);
    const examples = new Map(found.examples.map(({ feature, items }) => [feature, items]));
    this.curves.replaceChildren(...[...series].map(([feature, rows]) => this.curve(feature, rows, most, examples.get(feature) ?? [])));
  }

  curve(feature, rows, most, examples) {
    const name = this.vocabulary.name(feature);
    const days = (text) => Date.parse(text.slice(0, 10));
    const [first, last] = [days(rows[0].from), days(rows.at(-1).to)];
    const x = (day) => (WIDE * (day - first)) / Math.max(1, last - first);
    const y = (value) => 18 + (HIGH - 36) * (0.5 - value / (2 * most));
    const path = rows.map((row, n) => `${n ? "L" : "M"}${x(days(row.from)).toFixed(1)},${y(row.change).toFixed(1)}H${x(days(n + 1 < rows.length ? rows[n + 1].from : row.to)).toFixed(1)}`).join("");
    const cuts = rows.slice(1);
    const axis = [{ day: first, text: month(rows[0].from), anchor: "start" }, { day: last, text: month(rows.at(-1).to), anchor: "end" }];
    // Of the dates between, those that have room.
    let free = ROOM;
    for (const day of cuts.map((row) => days(row.from))) {
      if (x(day) - free < ROOM / 2 || WIDE - x(day) < 1.5 * ROOM) continue;
      axis.push({ day, text: month(new Date(day).toISOString()), anchor: "middle" });
      free = x(day) + ROOM / 2;
    }
    // A value stands on the side of its step that the curve does not cross.
    const above = (row, next) => y(row.change) + (next && next.change > row.change ? 14 : -6);
    const end = rows.at(-1).change - rows[0].change;
    const told = `${name}: ${rows.map((row) => `from ${row.from.slice(0, 10)} ${signed(row.change)}`).join(", ")}`;
    return el("li", { class: "curve" },
      el("h3", {}, name), el("p", { class: "note" }, Math.abs(end) < 0.005 ? "as liked as at the beginning" : `${end > 0 ? "liked more" : "liked less"} than at the beginning, by ${Math.abs(end).toFixed(2)}`),
      svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH + 16}`, role: "img", "aria-label": told },
        svg("line", { class: "zero", x1: 0, x2: WIDE, y1: y(0), y2: y(0) }),
        svg("path", { class: "line", d: path }),
        cuts.map((row) => svg("line", { class: "cut", x1: x(days(row.from)), x2: x(days(row.from)), y1: HIGH - 3, y2: HIGH + 2 })),
        axis.map(({ day, text, anchor }) => svg("text", { x: x(day), y: HIGH + 14, "text-anchor": anchor }, text)),
        svg("text", { class: "value", x: 2, y: above(rows[0], rows[1]) }, signed(rows[0].change)),
        svg("text", { class: "value", x: WIDE - 2, y: above(rows.at(-1), rows.at(-2)), "text-anchor": "end" }, signed(rows.at(-1).change))),
      el("div", { class: "shown" }, examples.filter((one) => one.image).map((one) => el("img", { src: one.image, alt: one.title ?? one.item, loading: "lazy" }))),
      el("p", {}, el("button", { type: "button", onclick: () => this.store.add("boost", feature, STEP) }, `More ${this.vocabulary.value(feature)}`)));
  }
}
