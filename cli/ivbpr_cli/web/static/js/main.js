// The page as a whole: from the session to what is shown.

import { ask } from "./api.js";
import { Detail } from "./detail.js";
import { by, el, say } from "./dom.js";
import { effectOf, isLess } from "./effect.js";
import { rescueFocus, Sheet } from "./focus.js";
import { Grid } from "./grid.js";
import { nameOf } from "./pictures.js";
import { Photo } from "./photo.js";
import { isEmpty, parameters, Store } from "./state.js";
import { Steer } from "./steer.js";
import { Trends } from "./trends.js";
import { Vocabulary, count, short } from "./words.js";
import { Welcome } from "./welcome.js";
import { Who } from "./who.js";

const FEW = 24;
const MANY = 96;

const page = { shown: null, number: FEW };

async function start() {
  let facts;
  try {
    facts = await ask("/api/model");
  } catch (problem) {
    failed(problem, start);
    return;
  }
  settled();
  page.facts = facts;
  page.title = facts.title ?? "Shop";
  by("brand").textContent = page.title;
  const vocabulary = new Vocabulary(facts.steering ? facts.groups : []);
  page.store = new Store(changed);
  page.titles = new Map(); // of all products seen so far, for wishes toward them
  page.steer = new Steer(page.store, facts, vocabulary, page.titles);
  page.detail = new Detail(page.store, vocabulary, page.titles);
  page.grid = new Grid(page.store, vocabulary, page.titles, (item) => page.detail.open(item));
  page.who = new Who(page.store, (item) => page.detail.open(item));
  page.trends = new Trends(facts, vocabulary, page.store, failed);
  page.welcome = new Welcome(page.store, facts, failed);
  page.vocabulary = vocabulary;
  if (facts.photo) new Photo(page.store, vocabulary, page.detail).build();
  by("undo").addEventListener("click", () => { if (page.store.canUndo) page.store.undo(); });
  by("reset").addEventListener("click", () => page.store.go({ steps: [], where: [], at: null }, { kind: "reset" }));
  by("copy").addEventListener("click", copy);
  by("change-shopper").addEventListener("click", leave);
  by("brand").addEventListener("click", (event) => { event.preventDefault(); leave(); });
  by("more").addEventListener("click", () => { page.number = MANY; load({ kind: "more" }); });
  page.sheet = new Sheet({
    sheet: by("rail"), opener: by("open-rail"), closer: by("close-rail"), shade: by("shade"), narrow: "(max-width: 60rem)",
    others: [...document.body.children].flatMap((one) => one.id === "page" ? by("main") : one)
      .filter((one) => !["live", "shade", "dialog"].includes(one.id)),
  });
  changed(page.store.session, null, {});
}

function leave() {
  page.store.go({ user: null, likes: [], steps: [], where: [], at: null }, { kind: "leave" });
}

function changed(session, before, why) {
  const empty = isEmpty(session);
  by("page").classList.toggle("alone", empty);
  by("change-shopper").hidden = empty;
  for (const id of ["undo", "reset", "copy"]) by(id).hidden = empty;
  // Not `disabled`: that would drop the focus of who just pressed it.
  by("undo").setAttribute("aria-disabled", String(!page.store.canUndo));
  by("reset").setAttribute("aria-disabled", String(!session.steps.length && !session.where.length && !session.at));
  const other = before === null || before.user !== session.user;
  if (other) page.number = FEW;
  if (empty) {
    settled();
    page.sheet.close();
    page.shown = null;
    by("list").hidden = by("trends").hidden = true;
    document.title = page.title;
    page.welcome.show();
    if (before !== null) rescueFocus(by("welcome-title"));
    return;
  }
  page.welcome.hide();
  page.steer.show(session);
  page.who.show(session);
  load(why, other);
  page.trends.show();
}

async function load(why, other = false) {
  const { session } = page.store;
  const list = by("list");
  list.hidden = false;
  list.setAttribute("aria-busy", "true");
  if (!page.shown) {
    by("lede").textContent = "Ranking the products …";
    page.grid.wait(page.number);
    by("more").hidden = true;
  }
  const query = parameters(session);
  query.set("n", page.number);
  let found;
  try {
    found = await ask("/api/recommend", query);
  } catch (problem) {
    list.removeAttribute("aria-busy");
    if (!page.shown) by("grid").replaceChildren();
    if (problem.status && !page.shown) list.hidden = by("trends").hidden = true;
    if (list.hidden && !session.steps.length && !session.where.length) by("page").classList.add("alone"); // nothing to take back
    failed(problem, problem.status ? null : () => load(why, other));
    return;
  }
  if (found) await titled(session, found.items);
  if (!found || session !== page.store.session) return; // a newer step was taken meanwhile
  settled();
  list.removeAttribute("aria-busy");
  heading(session, found);
  const before = other || why.kind === "more" ? null : page.shown;
  const length = page.shown?.length ?? 0;
  const effect = effectOf(why, found.items, before, page.vocabulary, page.titles);
  by("effect").replaceChildren(effect ?? "");
  by("effect").hidden = !effect;
  by("effect").classList.toggle("less", isLess(why));
  page.steer.wishes(session);
  page.grid.show(found.items, before !== null);
  page.shown = found.items;
  by("more").hidden = found.items.length < page.number || page.number === MANY;
  if (!found.items.length) nothing();
  if (why.kind === "more") by("grid").children[length]?.querySelector("button").focus();
  else if (why.kind || why.back) rescueFocus(by("list-title"));
  say(effect ? [...effect.childNodes].filter((one) => one.ariaHidden !== "true").map((one) => one.textContent).join("") : `${count(found.items.length, "product")} shown.`);
}

/** Learn what products are called, also those in a link that are not shown. */
async function titled(session, items) {
  for (const item of items) page.titles.set(item.item, nameOf(item));
  const unknown = session.steps.filter(({ kind, name }) => kind === "toward" && !page.titles.has(name));
  await Promise.all(unknown.map(async ({ name }) => {
    const item = await ask(`/api/items/${encodeURIComponent(name)}`, "", { kind: `title ${name}` }).catch(() => null);
    if (item) page.titles.set(name, nameOf(item));
  }));
}

function heading(session, found) {
  const who = session.user !== null ? `For ${short(session.user)}` : session.likes.length ? "For you" : "For nobody in particular";
  by("list-title").textContent = who;
  by("list-title").title = session.user ?? "";
  document.title = `${who} · ${page.title}`;
  const lines = [];
  if (session.user !== null) lines.push(`The best of ${count(page.facts.items, "product")}, without what was bought already.`);
  else if (session.likes.length) lines.push(`From ${count(session.likes.length, "product")} you like; they are left out.`);
  else lines.push("Without a shopper the list is that of the average taste.");
  by("lede").replaceChildren([...lines, ...found.notes, ...found.warnings].join(" "));
}

function nothing() {
  by("effect").hidden = false;
  by("effect").replaceChildren("No product is left by these filters. ",
    el("button", { type: "button", onclick: () => page.store.go({ where: [] }, { kind: "where" }) }, "Remove the filters"));
}

async function copy() {
  const button = by("copy");
  const address = window.location.href;
  try {
    await navigator.clipboard.writeText(address);
    button.textContent = "Copied";
    say("The link is copied.");
  } catch {
    window.prompt("Copy this link:", address);
  }
  setTimeout(() => { button.textContent = "Copy link"; }, 2000);
}

function failed(problem, again) {
  page.sheet?.close();
  const box = by("problem");
  const alone = by("list").hidden && by("welcome").hidden; // then this is what the page is about
  box.replaceChildren(alone ? el("h1", {}, problem.message) : el("p", {}, el("strong", {}, problem.message)), problem.hint ? el("p", {}, problem.hint) : "",
    again ? el("button", { type: "button", onclick: again }, "Try again") : "",
    page.store ? el("button", { type: "button", onclick: leave }, "Choose a shopper") : "");
  box.hidden = false;
}

function settled() {
  by("problem").hidden = true;
}

start();
