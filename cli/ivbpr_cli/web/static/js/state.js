// The session: who, and what was asked for. The address of the page holds all of it.

/** How far one step goes where nothing is said; the server takes the same. */
export const STEP = 1;

const NONE = Object.freeze({ user: null, likes: [], at: null, by: null, steps: [], where: [] });

/** Read a session from the query of an address. */
export function parse(query) {
  const found = { ...NONE, likes: [], steps: [], where: [] };
  for (const [name, value] of new URLSearchParams(query)) {
    if (name === "user") found.user = value;
    else if (name === "like") found.likes.push(value);
    else if (name === "at") found.at = value;
    else if (name === "by") found.by = value;
    else if (name === "where") found.where.push(value);
    else if (name === "boost" || name === "toward") found.steps.push({ kind: name, ...split(value, name) });
  }
  return found;
}

function split(value, kind) {
  const place = value.lastIndexOf(":");
  const amount = place > 0 ? Number(value.slice(place + 1)) : NaN;
  if (Number.isFinite(amount) && value.slice(place + 1).trim() !== "") {
    return { name: value.slice(0, place), amount };
  }
  return { name: value, amount: STEP };
}

/** The parameters of a session, as the server takes them too. */
export function parameters(session) {
  const found = new URLSearchParams();
  if (session.user !== null) found.append("user", session.user);
  for (const item of session.likes) found.append("like", item);
  if (session.at) found.append("at", session.at);
  if (session.by) found.append("by", session.by);
  for (const { kind, name, amount } of session.steps) found.append(kind, `${name}:${amount}`);
  for (const one of session.where) found.append("where", one);
  return found;
}

/** Whether nobody was chosen and nothing asked for. */
export const isEmpty = (session) =>
  session.user === null && !session.likes.length && !session.steps.length && !session.where.length;

/** The session that the page shows; it never changes, `go` replaces it. */
export class Store {
  constructor(changed) {
    this.changed = changed;
    this.depth = window.history.state?.depth ?? 0; // steps of this page that the browser can go back
    this.session = parse(window.location.search);
    window.addEventListener("popstate", ({ state }) => {
      this.depth = state?.depth ?? 0;
      this.become(parse(window.location.search), { kind: "back" });
    });
  }

  become(session, why) {
    const before = this.session;
    this.session = session;
    this.changed(session, before, why);
  }

  /** Go on with a changed session. */
  go(change, why = {}, depth = this.depth + 1) {
    const next = { ...this.session, ...change };
    const query = parameters(next).toString();
    if (query === parameters(this.session).toString()) return;
    this.depth = depth;
    window.history.pushState({ depth }, "", query ? `/?${query}` : "/");
    this.become(next, why);
  }

  get canUndo() {
    return this.depth > 0 || this.session.steps.length > 0 || this.session.where.length > 0;
  }

  undo() {
    if (this.depth > 0) {
      window.history.back();
      return;
    }
    const { steps, where } = this.session; // a link that was opened: there is no page to go back to
    if (steps.length) this.go({ steps: steps.slice(0, -1) }, { kind: "undo" }, 0);
    else if (where.length) this.go({ where: where.slice(0, -1) }, { kind: "undo" }, 0);
  }

  amountOf(kind, name) {
    return this.session.steps.find((one) => one.kind === kind && one.name === name)?.amount ?? 0;
  }

  /** Set the amount of a wish; 0 takes it away. A wish keeps its place. */
  set(kind, name, amount, why = {}) {
    const kept = Math.round(Math.max(-3, Math.min(3, amount)) * 100) / 100;
    const steps = this.session.steps.filter((one) => kept !== 0 || one.kind !== kind || one.name !== name);
    const at = steps.findIndex((one) => one.kind === kind && one.name === name);
    if (at >= 0) steps[at] = { kind, name, amount: kept };
    else if (kept !== 0) steps.push({ kind, name, amount: kept });
    this.go({ steps }, { kind, name, amount: kept, ...why });
  }

  add(kind, name, amount) {
    this.set(kind, name, this.amountOf(kind, name) + amount);
  }

  like(item) {
    const { likes } = this.session;
    const next = likes.includes(item) ? likes.filter((one) => one !== item) : [...likes, item];
    this.go({ user: null, likes: next }, { kind: "like", name: item });
  }
}
