// One product: what is known of it, why it stands where it does, and what is like it.

import { ask } from "./api.js";
import { by, el, svg } from "./dom.js";
import { frame, nameOf } from "./pictures.js";
import { parameters } from "./state.js";
import { count, label, signed, title } from "./words.js";

const TERMS = 14;
const NO_TERMS = new Error("Ranked by attributes alone: the score is how near a product is to the taste, and has no terms.");

export class Detail {
  constructor(store, vocabulary, titles) {
    this.store = store;
    this.vocabulary = vocabulary;
    this.titles = titles;
    by("dialog").addEventListener("click", (event) => { if (event.target === by("dialog")) by("dialog").close(); });
  }

  async open(item) {
    const why = el("div", {}, el("p", { class: "note", role: "status" }, "Adding up the terms …"));
    const alike = el("div", {});
    const known = el("dl", { class: "facts" }, Object.entries(item.columns ?? {}).filter(([, value]) => value).flatMap(
      ([name, value]) => [el("dt", {}, title(name)), el("dd", {}, value)]));
    openDialog(nameOf(item),
      el("div", { class: "item-parts" },
        el("div", {}, frame(item, { eager: true }),
          this.vocabulary.known.size ? el("button", { type: "button", class: "strong", onclick: () => { by("dialog").close(); this.store.add("toward", item.item, 1); } }, "More like this") : null),
        el("div", {}, why, known,
          el("p", { class: "note" }, `${item.item}${item.purchases === undefined ? "" : `, ${count(item.purchases, "purchase")}`}`),
          alike)));
    const query = parameters(this.store.session);
    query.delete("where");
    query.append("item", item.item);
    try {
      const [terms, whole] = await Promise.all([
        this.store.session.by === "knn" ? NO_TERMS : ask("/api/explain", query).catch((problem) => problem),
        ask(`/api/items/${encodeURIComponent(item.item)}`, "", { kind: "item" }),
      ]);
      if (!whole) return;
      why.replaceChildren(...(terms instanceof Error || !terms ? [el("p", { class: "note" }, terms?.message ?? "")] : this.terms(terms)));
      if (whole.similar.length) {
        alike.replaceChildren(el("h3", {}, "Like it"), el("ul", { class: "few" }, whole.similar.map((one) => el("li", {},
          el("button", { type: "button", "aria-label": nameOf(one), onclick: () => this.open(one) }, frame(one))))));
      }
    } catch (problem) {
      alike.replaceChildren(el("p", { class: "note" }, problem.message));
    }
  }

  /** The terms as bars around a common zero; what is the same for every item is one line. */
  terms(found) {
    const same = found.terms.filter((term) => term.every_item).reduce((sum, term) => sum + term.contribution, 0);
    const own = found.terms.filter((term) => !term.every_item && Math.abs(term.contribution) >= 0.005)
      .sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution));
    const shown = own.slice(0, TERMS);
    const rest = found.score - same - shown.reduce((sum, term) => sum + term.contribution, 0);
    const widest = Math.max(...shown.map((term) => Math.abs(term.contribution)), Math.abs(rest), 0.01);
    const rows = shown.map((term) => row(this.name(term), term.contribution, widest, term.kind === "boost"));
    if (Math.abs(rest) >= 0.005) rows.push(row(own.length > TERMS ? `${own.length - TERMS} smaller ones` : "smaller ones", rest, widest));
    if (Math.abs(same) >= 0.005) rows.push(row("the same for every product", same, widest));
    return [
      el("h3", {}, "Why it stands here"),
      el("table", { class: "terms" },
        el("caption", { class: "unseen" }, "Terms of the score, which sum to it"),
        el("tbody", {}, rows),
        el("tfoot", {}, el("tr", {}, el("th", { scope: "row" }, "sum: the score"), el("td", {}), el("td", { class: "amount" }, signed(found.score))))),
      el("p", { class: "note" }, "An attribute counts compared with the average product of this shop."),
    ];
  }

  name(term) {
    if (term.kind === "boost") {
      const item = term.term.startsWith("toward ") ? term.term.slice(7) : null;
      return `you asked: ${item ? `like ${this.titles.get(item) ?? item}` : this.vocabulary.name(term.term)}`;
    }
    if (term.kind === "latent") return "what similar shoppers bought";
    if (term.kind === "item bias") return "popularity";
    if (term.kind === "level") return `has a ${label(term.term)}`;
    return this.vocabulary.name(term.term);
  }
}

function row(name, value, widest, asked = false) {
  const half = 50 * Math.abs(value) / widest;
  const bar = svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: value < 0 ? "neg" : "pos", x: value < 0 ? 50 - half : 50, y: 1, width: half, height: 8 }),
    svg("line", { class: "axis", x1: 50, x2: 50, y1: 0, y2: 10, "vector-effect": "non-scaling-stroke" }));
  return el("tr", { class: asked ? "asked" : undefined }, el("th", { scope: "row" }, name), el("td", { class: "bar" }, bar), el("td", { class: "amount" }, signed(value)));
}

/** Fill the dialog and open it. */
export function openDialog(title, ...parts) {
  const dialog = by("dialog");
  dialog.replaceChildren(
    el("div", { class: "dialog-head" }, el("h2", { id: "dialog-title" }, title),
      el("button", { type: "button", onclick: () => dialog.close() }, "Close")),
    ...parts);
  if (dialog.open) dialog.querySelector("button").focus(); // what was pressed in it is gone
  else dialog.showModal();
  dialog.scrollTop = 0;
}
