// Pictures of products, wherever they stand.

import { el } from "./dom.js";

/** A product's picture in its frame; without one its name. */
export function frame(item, { eager = false } = {}) {
  const name = item.title ?? item.item;
  if (!item.image) return el("span", { class: "frame" }, el("span", { class: "bare" }, name));
  const picture = el("img", { src: item.image, alt: "", loading: eager ? "eager" : "lazy", decoding: "async" });
  return el("span", { class: item.drawn ? "frame drawn" : "frame" }, picture);
}

export const nameOf = (item) => item.title ?? item.item;
