// A photo that a visitor drops: what it was read as, and products like it.

import { ask } from "./api.js";
import { by, el } from "./dom.js";
import { openDialog } from "./detail.js";
import { frame, nameOf } from "./pictures.js";
import { STEP } from "./state.js";

const MOST = 10_000_000;
const LEAST = 0.05;

export class Photo {
  constructor(store, vocabulary, detail) {
    this.store = store;
    this.vocabulary = vocabulary;
    this.detail = detail;
  }

  build() {
    const input = el("input", { class: "unseen", type: "file", id: "photo-file", accept: "image/*", onchange: () => this.look(input.files[0]) });
    this.said = el("p", { class: "note", role: "status" });
    const drop = el("div", {
      class: "drop",
      ondragover: (event) => { event.preventDefault(); drop.classList.add("over"); },
      ondragleave: () => drop.classList.remove("over"),
      ondrop: (event) => { event.preventDefault(); drop.classList.remove("over"); this.look(event.dataTransfer.files[0]); },
    }, el("label", { for: "photo-file" }, el("b", {}, "Choose a photo"), " or drop it here, to see what is like it"), input, this.said);
    by("photo").replaceChildren(el("h3", { class: "unseen" }, "From a photo"), drop);
  }

  async look(file) {
    if (!file) return;
    if (file.size > MOST) {
      this.said.textContent = "That file is larger than 10 MB. Choose a smaller one.";
      return;
    }
    this.said.textContent = "Looking at it …";
    try {
      const query = new URLSearchParams({ n: 12 });
      if (this.store.session.user !== null) query.set("user", this.store.session.user);
      const found = await ask("/api/photo", query, { method: "POST", body: file });
      if (!found) return;
      this.said.textContent = "";
      this.show(file, found);
    } catch (problem) {
      this.said.textContent = [problem.message, problem.hint].join(" ");
    }
  }

  show(file, found) {
    const address = URL.createObjectURL(file);
    by("dialog").addEventListener("close", () => URL.revokeObjectURL(address), { once: true });
    const told = el("p", { class: "note", role: "status" });
    const read = found.attributes.filter((one) => one.value >= LEAST).slice(0, 12);
    openDialog("What your photo was read as",
      el("div", { class: "item-parts" },
        el("div", {}, el("span", { class: "frame" }, el("img", { src: address, alt: "Your photo" })),
          el("ul", { class: "reasons", "aria-label": "Attributes" }, read.map(({ feature, value }) => {
            const name = this.vocabulary.name(feature);
            return el("li", { class: "reason" }, el("span", {}, name), el("b", {}, `${Math.round(100 * value)} %`), el("span", {}),
              this.vocabulary.known.has(feature) ? el("button", { type: "button", class: "step", "aria-label": `More ${name}`, onclick: () => {
                this.store.add("boost", feature, STEP);
                told.textContent = `More ${name}: asked for.`;
              } }, "+") : null);
          })), told),
        el("div", {}, el("h3", {}, "Products like it"), el("ul", { class: "few" }, found.items.map((one) => el("li", {},
          el("button", { type: "button", "aria-label": nameOf(one), onclick: () => this.detail.open(one) }, frame(one))))))));
  }
}
