// Names and amounts as people read them.

const STEPS = [
  [0.05, ""],
  [0.3, "a touch"],
  [0.6, "a little"],
  [1.1, ""],
  [1.6, "much"],
  [Infinity, "very much"],
];

/** An amount of a wish in words: "a little more", "much less". */
export function amountWords(amount) {
  if (Math.abs(amount) < 0.05) return "as you are";
  const strength = STEPS.find(([most]) => Math.abs(amount) <= most)[1];
  return `${strength} ${amount < 0 ? "less" : "more"}`.trim();
}

/** With its sign and two decimals; the minus is a real one. */
export function signed(value) {
  const text = Math.abs(value).toFixed(2);
  if (Number(text) === 0) return "0.00";
  return (value < 0 ? "−" : "+") + text;
}

export const count = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

/** An id that fits a line: long ones are cut. */
export const short = (id) => (id.length > 24 ? `${id.slice(0, 12)}…` : id);

/** A column's name as a label: "colour_group_name" is "colour group". */
export const label = (name) => name.replaceAll("_", " ").replace(/(?<=.) name$/, "");

/** The same at the beginning of a line. */
export const title = (name) => label(name).replace(/^./u, (letter) => letter.toUpperCase());

/** What names of attributes are called, once the vocabulary is known. */
export class Vocabulary {
  constructor(groups) {
    this.groups = groups;
    this.known = new Map();
    const uses = new Map();
    for (const { group, features } of groups) {
      for (const { feature, value, share } of features) {
        this.known.set(feature, { feature, value, group, share });
        uses.set(value, (uses.get(value) ?? 0) + 1);
      }
    }
    this.uses = uses;
  }

  /** The value alone, for places where the whole name is at hand. */
  value(feature) {
    return this.known.get(feature)?.value ?? feature;
  }

  /** "leather", or "leather (material)" where another group has that value too. */
  name(feature) {
    const found = this.known.get(feature);
    if (!found) return feature;
    return this.uses.get(found.value) > 1 ? `${found.value} (${label(found.group)})` : found.value;
  }
}

/** A part of a text within another, whatever the case and accents. */
export function within(part, text) {
  const plain = (one) => one.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  return plain(text).includes(plain(part));
}
