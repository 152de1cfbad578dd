// Whose list it is: what a shopper bought, or what somebody new likes, in small pictures.

import { ask } from "./api.js";
import { by, el } from "./dom.js";
import { frame, nameOf } from "./pictures.js";
import { count } from "./words.js";

const SHOWN = 8;

export class Who {
  constructor(store, opened) {
    this.store = store;
    this.opened = opened;
    this.shown = "";
  }

  async show({ user, likes }) {
    const key = JSON.stringify([user, likes]);
    if (key === this.shown) return;
    this.shown = key;
    by("who").replaceChildren();
    try {
      if (user !== null) this.bought(await ask(`/api/users/${encodeURIComponent(user)}`, "", { kind: "who" }));
      else if (likes.length) this.liked(await Promise.all(likes.slice(-SHOWN).map((item) => ask(`/api/items/${encodeURIComponent(item)}`, "", { kind: `like ${item}` }))), likes.length);
    } catch {
      this.shown = ""; // the list itself tells what is wrong
    }
  }

  bought(found) {
    if (!found?.items.length) return;
    this.strip(`Bought before: ${count(found.purchases, "purchase")}, the latest first`, found.items.slice(0, SHOWN).map((item) => this.picture(item, item.date)));
  }

  liked(items, number) {
    if (items.includes(null)) return;
    this.strip(number > SHOWN ? `You like ${number} products; the last of them` : "You like", items.map((item) => el("li", {}, this.open(item),
      el("button", { type: "button", class: "take", "aria-label": `No longer like ${nameOf(item)}`, title: "No longer", onclick: () => this.store.like(item.item) }, "×"))));
  }

  strip(title, pictures) {
    by("who").replaceChildren(el("p", { class: "note", id: "who-title" }, title), el("ul", { class: "strip", "aria-labelledby": "who-title" }, pictures));
  }

  picture(item, date) {
    return el("li", {}, this.open(item, date ? `, ${date.slice(0, 10)}` : ""));
  }

  open(item, more = "") {
    return el("button", { type: "button", class: "plain", "aria-label": nameOf(item), title: nameOf(item) + more, onclick: () => this.opened(item) }, frame(item));
  }
}
