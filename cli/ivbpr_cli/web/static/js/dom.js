// Elements without templates: every text goes in as text, never as markup.

/** Make an element: el("p", {class: "note"}, "text", child, …). Properties that begin with "on" listen. */
export function el(name, properties = {}, ...children) {
  return fill(document.createElement(name), properties, children);
}

/** The same in SVG. */
export function svg(name, properties = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), properties, children);
}

function fill(made, properties, children) {
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "value" || key === "checked") made[key] = value;
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export const by = (id) => document.getElementById(id);

const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

/** Whether the visitor wants no movement. */
export const still = () => calm.matches;

let waiting = 0;

/** Tell a screen reader what changed; the last of several quick ones is said. */
export function say(text) {
  clearTimeout(waiting);
  waiting = setTimeout(() => { by("live").textContent = text; }, 150);
}
