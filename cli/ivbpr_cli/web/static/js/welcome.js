// The first view: whose taste? A shopper of the shop, or somebody new who picks what pleases.

import { ask } from "./api.js";
import { by, el, say } from "./dom.js";
import { frame, nameOf } from "./pictures.js";
import { count } from "./words.js";

export class Welcome {
  constructor(store, facts, failed) {
    this.store = store;
    this.size = `A model has learned what pleases ${count(facts.users, "shopper")} among ${count(facts.items, "product")}${facts.steering ? `, described by ${count(facts.features, "attribute")}` : ""}.`;
    this.failed = failed;
    this.liked = new Set();
    this.made = false;
  }

  async show() {
    by("welcome").hidden = false;
    if (this.made) return;
    this.made = true;
    this.people = el("ul", { class: "people" });
    this.found = el("p", { class: "note", role: "status" });
    this.items = el("ul", { class: "pick" });
    this.start = el("button", { type: "button", class: "strong", onclick: () => this.begin() }, "Show my list");
    this.go = el("p", { class: "go", hidden: true }, this.start);
    const search = el("input", {
      type: "search", id: "find-shopper", autocomplete: "off", spellcheck: "false",
      oninput: () => this.search(search.value),
      onkeydown: (event) => { if (event.key === "Enter") this.people.querySelector("button")?.click(); },
    });
    const look = el("input", {
      type: "search", id: "find-item", autocomplete: "off", oninput: () => this.look(look.value),
    });
    by("welcome").replaceChildren(
      el("h1", { id: "welcome-title" }, "Whose taste?"),
      el("p", { class: "lede" }, `${this.size} Choose a shopper, or a few things you like yourself; then push the list: more of this, less of that.`),
      el("div", { class: "ways" },
        el("div", {},
          el("h2", {}, "A shopper of this shop"),
          el("p", { class: "note" }, "The model has learned from what they bought."),
          el("label", { class: "field", for: "find-shopper" }, "Part of an id"), search,
          this.people, this.found),
        el("div", {},
          el("h2", {}, "Somebody new"),
          el("p", { class: "note" }, "Pick three or more things that you like. Your taste is read from them at once."),
          el("label", { class: "field", for: "find-item" }, "Search the products"), look,
          this.items,
          this.go)));
    await Promise.all([this.search(""), this.look("")]);
  }

  hide() {
    by("welcome").hidden = true;
  }

  async search(text) {
    try {
      const found = await ask("/api/users", new URLSearchParams({ q: text, n: 8 }));
      if (!found) return;
      this.people.replaceChildren(...found.users.map(({ user, purchases }) =>
        el("li", {}, el("button", { type: "button", onclick: () => this.choose(user) },
          el("span", { class: "id" }, user), el("span", { class: "note" }, count(purchases, "purchase"))))));
      this.found.textContent = found.users.length ? "" : `No shopper's id contains “${text}”.`;
    } catch (problem) {
      this.failed(problem, () => this.search(text));
    }
  }

  async look(text) {
    try {
      const found = await ask("/api/items", new URLSearchParams({ q: text, n: 24 }));
      if (!found) return;
      this.items.replaceChildren(...found.items.map((item) => this.tile(item)));
      if (!found.items.length) this.items.append(el("li", { class: "note" }, `No product is called “${text}”.`));
    } catch (problem) {
      this.failed(problem, () => this.look(text));
    }
  }

  tile(item) {
    const picture = frame(item);
    picture.append(el("span", { class: "tick" }, "Picked"));
    const button = el("button", {
      type: "button", "aria-pressed": String(this.liked.has(item.item)), "aria-label": `I like ${nameOf(item)}`,
      onclick: () => {
        const on = !this.liked.delete(item.item);
        if (on) this.liked.add(item.item);
        button.setAttribute("aria-pressed", String(on));
        this.go.hidden = !this.liked.size;
        this.start.textContent = `Show my list from ${count(this.liked.size, "thing")} I like`;
        say(`${nameOf(item)} ${on ? "picked" : "no longer picked"}.`);
      },
    }, picture, el("span", { class: "name" }, nameOf(item)));
    return el("li", {}, button);
  }

  choose(user) {
    this.store.go({ user, likes: [], steps: [], where: [] }, { kind: "user", name: user });
  }

  begin() {
    const likes = [...this.liked];
    this.liked.clear();
    this.made = false;
    this.store.go({ user: null, likes, steps: [], where: [] }, { kind: "new" });
  }
}
