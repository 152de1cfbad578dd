// The products: picture, why, and what can be asked for from here; and what a step moved.

import { by, el, still } from "./dom.js";
import { keepFocus } from "./focus.js";
import { frame, nameOf } from "./pictures.js";
import { STEP } from "./state.js";
import { signed } from "./words.js";

const LEAST = 0.005; // what is less reads 0.00

export class Grid {
  constructor(store, vocabulary, titles, opened) {
    this.store = store;
    this.vocabulary = vocabulary;
    this.titles = titles;
    this.opened = opened;
    this.ranks = new Map();
  }

  /** Show a list; `compare` marks where each product stood in the one before. */
  show(items, compare) {
    const grid = by("grid");
    const before = compare ? this.ranks : null;
    const from = new Map([...grid.children].map((one) => [one.dataset.item, one.getBoundingClientRect()]));
    const place = [...grid.children].findIndex((one) => one.contains(document.activeElement));
    keepFocus(grid, () => grid.replaceChildren(...items.map((item, n) => this.card(item, this.moved(item, before), n < 8))),
      () => grid.children[Math.min(place, items.length - 1)]?.querySelector("button")); // what was pressed left the list
    this.ranks = new Map(items.map((item) => [item.item, item.rank]));
    if (compare && !still()) glide(grid, from);
  }

  /** Empty frames until the first list is there. */
  wait(number) {
    by("grid").replaceChildren(...Array.from({ length: Math.min(number, 12) }, () =>
      el("li", { class: "product waiting", "aria-hidden": "true" }, el("span", { class: "frame" }))));
  }

  moved(item, before) {
    if (!before?.size) return null;
    const rank = before.get(item.item);
    if (rank === undefined) return { text: "new here", way: "up" };
    if (rank === item.rank) return null;
    const up = rank > item.rank;
    return { text: `${up ? "↑" : "↓"} ${Math.abs(rank - item.rank)}`, way: up ? "up" : "down", spoken: `${up ? "up" : "down"} ${Math.abs(rank - item.rank)}` };
  }

  card(item, moved, eager) {
    const name = nameOf(item);
    const picture = el("button", {
      type: "button", class: "plain", "data-key": `open ${item.item}`, "aria-label": `${name}: why it is here`,
      onclick: () => this.opened(item),
    }, frame(item, { eager }));
    const place = el("p", { class: "place" }, `${item.rank}`);
    if (moved) {
      place.append(el("span", { class: `moved ${moved.way}`, "aria-hidden": moved.spoken ? "true" : undefined }, moved.text));
      if (moved.spoken) place.append(el("span", { class: "unseen" }, moved.spoken));
    }
    const said = item.because.filter(({ contribution }) => Math.abs(contribution) >= LEAST);
    const own = new Set(said.filter(({ kind }) => kind !== "boost").map(({ feature }) => feature));
    const reasons = said.map((reason) => this.reason(reason, item, reason.kind !== "boost" || !own.has(reason.feature)));
    return el("li", { class: "product", "data-item": item.item },
      picture, place, el("h2", {}, name),
      reasons.length ? el("ul", { class: "reasons", "aria-label": "Why" }, reasons) : null,
      this.turns(item, name));
  }

  /** A reason; `turns`: whether it can be turned up and down here, once an attribute. */
  reason(reason, item, turns) {
    const { feature } = reason;
    const name = feature ? this.vocabulary.name(feature) : reason.term;
    const asked = reason.kind === "boost";
    const value = feature ? this.vocabulary.value(feature) : this.named(reason.term);
    const row = el("li", { class: asked ? "reason asked" : "reason" },
      el("span", { title: reason.term }, value), el("b", {}, signed(reason.contribution)));
    if (feature && turns) {
      const step = (amount, sign, word) => el("button", {
        type: "button", class: "step", "data-key": `${word} ${feature} ${item.item}`, "aria-label": `${word} ${name}`, title: `${word} ${name}`,
        onclick: () => this.store.add("boost", feature, amount),
      }, sign);
      row.append(step(-STEP, "−", "Less"), step(STEP, "+", "More"));
    }
    return row;
  }

  /** "toward 0108775015" by the product's title. */
  named(term) {
    const item = term.startsWith("toward ") ? this.titles.get(term.slice(7)) : null;
    return item ? `like ${item}` : term;
  }

  turns(item, name) {
    const { likes, user } = this.store.session;
    const turns = el("div", { class: "turns" });
    if (this.vocabulary.known.size) {
      turns.append(el("button", {
        type: "button", "data-key": `toward ${item.item}`, "aria-label": `More like ${name}`,
        onclick: () => this.store.add("toward", item.item, 1),
      }, "More like this"));
    }
    if (user === null) {
      turns.append(el("button", {
        type: "button", "data-key": `like ${item.item}`, "aria-pressed": String(likes.includes(item.item)), "aria-label": `I like ${name}`,
        onclick: () => this.store.like(item.item),
      }, "I like it"));
    }
    return turns;
  }
}

/** Move cards from where they stood to where they stand now. */
function glide(grid, from) {
  for (const card of grid.children) {
    const old = from.get(card.dataset.item);
    const now = card.getBoundingClientRect();
    if (!old) {
      card.animate([{ opacity: 0 }, { opacity: 1 }], { duration: 350, easing: "ease-out" });
    } else if (old.left !== now.left || old.top !== now.top) {
      const move = `translate(${old.left - now.left}px, ${old.top - now.top}px)`;
      card.animate([{ transform: move }, { transform: "none" }], { duration: 420, easing: "cubic-bezier(.2, .7, .2, 1)" });
    }
  }
}
