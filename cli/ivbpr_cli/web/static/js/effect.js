// What a step did to the list: a sentence, and the places of the list before and now.

import { el, svg } from "./dom.js";
import { amountWords } from "./words.js";

const HAS = 0.5; // from this value on a product has an attribute
const MARK = 9; // width of a place, in pixels
const GAP = 3;

/** What to show of a step, or null; `before` and `items` are the lists around it. */
export function effectOf(why, items, before, vocabulary, titles) {
  if (!before?.length || !items.length || !["boost", "toward", "like"].includes(why.kind)) return null;
  const old = new Set(before.map((item) => item.item));
  const fresh = items.filter((item) => !old.has(item.item)).length;
  const news = fresh ? `${fresh} new in the list.` : "The same products in the list.";
  if (why.kind === "boost") {
    const has = (item) => item.attributes.some(([name, value]) => name === why.name && value >= HAS);
    const [was, is] = [before.filter(has).length, items.filter(has).length];
    const asked = capital(`${amountWords(why.amount)} ${vocabulary.name(why.name)}`);
    if (!was && !is) return sentence(`${asked}. `, news);
    return sentence(`${asked}: `, el("b", {}, `${is} of ${items.length}`), ` have it now, ${was} before. `, news,
      tally(before.map(has), items.map(has)));
  }
  const said = why.kind === "like" ? "Your taste was read anew. "
    : `${why.amount ? "Toward" : "No longer toward"} ${titles.get(why.name) ?? "that product"}. `;
  return sentence(said, news);
}

function sentence(...parts) {
  return el("span", {}, parts);
}

/** Whether the step asked for less. */
export const isLess = (why) => why.kind === "boost" && why.amount < 0;

const capital = (text) => text.replace(/^./u, (letter) => letter.toUpperCase());

/** Two rows of places, the first rank at the left; full where a product has what was asked for. */
function tally(before, now) {
  return el("span", { class: "tally", "aria-hidden": "true" },
    [["before", before], ["now", now]].map(([word, places]) => el("span", {}, el("span", {}, word), marks(places, word))));
}

function marks(places, word) {
  const wide = places.length * (MARK + GAP) - GAP;
  return svg("svg", { viewBox: `0 0 ${wide} ${MARK}`, width: wide, height: MARK, class: word },
    places.map((has, n) => svg("rect", { class: has ? "has" : "not", x: n * (MARK + GAP) + 0.5, y: 0.5, width: MARK - 1, height: MARK - 1 })));
}
