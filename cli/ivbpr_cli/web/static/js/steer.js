// The rail: what was asked for, the attributes there are, filters, and the date.

import { by, el } from "./dom.js";
import { keepFocus, onChosen } from "./focus.js";
import { STEP } from "./state.js";
import { amountWords, count, label, title, within } from "./words.js";

const SHOWN = 40;
const MOST = 2; // of a slider

export class Steer {
  constructor(store, facts, vocabulary, titles) {
    this.store = store;
    this.facts = facts;
    this.vocabulary = vocabulary;
    this.titles = titles;
    this.built = false;
  }

  show(session) {
    if (!this.built) this.build();
    this.wishes(session);
    this.filters(session);
  }

  build() {
    this.built = true;
    if (!this.facts.steering) {
      by("attributes").replaceChildren(el("p", { class: "note" },
        this.facts.notes[0] ?? "This model knows no named attributes, so there is nothing to steer by."));
      return;
    }
    const search = el("input", { type: "search", id: "find-attribute", autocomplete: "off", oninput: () => this.values(search.value) });
    this.list = el("div", { class: "values" });
    by("attributes").replaceChildren(
      el("h3", {}, "Attributes"),
      el("label", { class: "field", for: "find-attribute" }, `Search ${count(this.vocabulary.known.size, "attribute")}`), search, this.list);
    this.values("");
  }

  values(text) {
    const wanted = text.trim();
    const found = this.vocabulary.groups.map(({ group, features }) => ({
      group, features: wanted ? features.filter((one) => within(wanted, one.value) || within(wanted, label(group))) : features,
    })).filter((one) => one.features.length);
    this.list.replaceChildren(...found.map(({ group, features }) => el("details", { open: wanted || found.length === 1 },
      el("summary", {}, el("span", {}, title(group)), el("span", { class: "note" }, features.length)),
      el("ul", {}, features.slice(0, SHOWN).map((one) => this.value(one))),
      features.length > SHOWN ? el("p", { class: "note" }, `and ${features.length - SHOWN} more; search for them`) : null)));
    if (!found.length) this.list.append(el("p", { class: "note", role: "status" }, `No attribute is called “${wanted}”.`));
  }

  value({ feature, value, share }) {
    const name = this.vocabulary.name(feature);
    const step = (amount, sign, word) => el("button", {
      type: "button", class: "step", "aria-label": `${word} ${name}`, title: `${word} ${name}`,
      onclick: () => this.store.add("boost", feature, amount),
    }, sign);
    const percent = share < 0.01 ? "<1 %" : `${Math.round(100 * share)} %`;
    return el("li", {}, el("span", {}, value), el("span", { class: "note", title: "of the catalogue" }, percent), step(-STEP, "−", "Less"), step(STEP, "+", "More"));
  }

  wishes(session) {
    const rows = session.steps.map((step) => this.wish(step));
    keepFocus(by("wishes"), () => by("wishes").replaceChildren(
      el("h3", { class: rows.length ? undefined : "unseen" }, "You asked for"),
      rows.length ? el("ul", {}, rows) : el("p", { class: "note" }, "Nothing yet. Press + or − beside an attribute, or “More like this” below a product.")),
    () => by("wishes").querySelector(".take") ?? by("find-attribute"));
  }

  wish({ kind, name, amount }) {
    const text = kind === "boost" ? this.vocabulary.name(name) : `like ${this.titles.get(name) ?? name}`;
    const words = el("span", { class: "wish-words" }, kind === "boost" ? amountWords(amount) : toward(amount));
    const id = `wish-${kind}-${name}`;
    const slider = el("input", {
      type: "range", id, min: -MOST, max: MOST, step: 0.25, value: amount,
      "aria-label": `How much ${text}`, "aria-valuetext": amountWords(amount),
      oninput: () => {
        const now = Number(slider.value);
        reach(slider, now);
        words.textContent = kind === "boost" ? amountWords(now) : toward(now);
        slider.setAttribute("aria-valuetext", words.textContent);
      },
      onchange: () => this.store.set(kind, name, Number(slider.value)),
    });
    reach(slider, amount);
    return el("li", { class: `wish ${amount < 0 ? "less" : "more"}` },
      el("div", { class: "wish-name" }, el("span", {}, text),
        el("button", { type: "button", class: "take", id: `take-${kind}-${name}`, "aria-label": `Take back ${text}`, title: "Take back", onclick: () => this.store.set(kind, name, 0) }, "×")),
      words, slider, el("div", { class: "wish-ends", "aria-hidden": "true" }, el("span", {}, "less"), el("span", {}, "more")));
  }

  filters(session) {
    const ranking = [this.facts.epochs.length ? this.date(session) : null, this.facts.steering ? this.way(session) : null].filter(Boolean);
    const parts = [];
    for (const { column, values, more } of this.facts.filters) {
      const chosen = session.where.filter((one) => one.startsWith(`${column}:`)).map((one) => one.slice(column.length + 1));
      const select = el("select", { id: `filter-${column}` }, el("option", { value: "" }, chosen.length ? "and also …" : "all"),
        values.filter(({ value }) => !chosen.includes(value)).map(({ value, items }) => el("option", { value }, `${value} (${items.toLocaleString("en")})`)),
        more ? el("option", { disabled: true }, `and ${more} rarer ones`) : null);
      onChosen(select, () => { if (select.value) this.store.go({ where: [...this.store.session.where, `${column}:${select.value}`] }, { kind: "where" }); });
      parts.push(el("div", {}, el("label", { class: "field", for: `filter-${column}` }, title(column)), select,
        el("div", { class: "chips" }, chosen.map((value) => el("button", {
          type: "button", id: `chip-${column}:${value}`, "aria-label": `Remove ${label(column)} ${value}`,
          onclick: () => this.store.go({ where: this.store.session.where.filter((one) => one !== `${column}:${value}`) }, { kind: "where" }),
        }, `${value} ×`)))));
    }
    keepFocus(by("filters"), () => by("filters").replaceChildren(...(parts.length ? [el("h3", {}, "Only show"), ...parts] : []),
      ...(ranking.length ? [el("h3", {}, "Ranking"), ...ranking] : [])),
    () => by("filters").querySelector(".chips button") ?? by("filters").querySelector("select"));
  }

  date(session) {
    const last = this.facts.epochs.length - 1;
    const select = el("select", { id: "date" },
      this.facts.epochs.map(({ from, to }, n) => el("option", { value: n === last ? "" : to.slice(0, 10), selected: n === last ? !session.at : session.at === to.slice(0, 10) },
        n === last ? `now (since ${from.slice(0, 10)})` : `${from.slice(0, 10)} – ${to.slice(0, 10)}`)));
    if (session.at && !this.facts.epochs.some(({ to }) => to.slice(0, 10) === session.at)) select.append(el("option", { value: session.at, selected: true }, session.at));
    onChosen(select, () => this.store.go({ at: select.value || null }, { kind: "at" }));
    return el("div", {}, el("label", { class: "field", for: "date" }, "Style of"), select);
  }

  way(session) {
    const select = el("select", { id: "way" },
      el("option", { value: "", selected: session.by !== "knn" }, "all that was learned"),
      el("option", { value: "knn", selected: session.by === "knn" }, "attributes alone"));
    onChosen(select, () => this.store.go({ by: select.value || null }, { kind: "by" }));
    return el("div", {}, el("label", { class: "field", for: "way" }, "Ranked by"), select);
  }
}

/** Draw the amount of a slider from its middle to its thumb, which is 18 pixels wide. */
function reach(slider, amount) {
  const share = Math.max(-1, Math.min(1, amount / MOST)) / 2 + 0.5;
  const thumb = `calc(9px + (100% - 18px) * ${share})`;
  slider.style.setProperty("--low", share < 0.5 ? thumb : "50%");
  slider.style.setProperty("--high", share < 0.5 ? "50%" : thumb);
}

/** How far toward a product, in words. */
function toward(amount) {
  if (Math.abs(amount) < 0.05) return "no longer";
  return amount < 0 ? "away from it" : Math.abs(amount) < 0.6 ? "a little toward it" : amount > 1.2 ? "far toward it" : "toward it";
}
