// Where the focus is, while what holds it is drawn anew or goes away.

const key = (one) => one.id || one.dataset.key;

/** Draw a part anew; the focus stays on what is called the same, else it goes to what `instead` gives. */
export function keepFocus(part, draw, instead) {
  const focused = document.activeElement;
  const inside = part.contains(focused);
  draw();
  if (!inside || part.contains(document.activeElement)) return;
  const same = key(focused) && [...part.querySelectorAll("[id], [data-key]")].find((one) => key(one) === key(focused));
  (same || instead?.())?.focus();
}

/** Move the focus to a heading, if what had it is gone. */
export function rescueFocus(heading) {
  const focused = document.activeElement;
  if (focused && focused !== document.body && focused.checkVisibility({ visibilityProperty: true })) return;
  heading.tabIndex = -1;
  heading.focus();
}

/**
 * A sheet over the page: while it is open everything else is out of reach, and Escape closes it.
 * Where the screen is wide it is no sheet but a part of the page.
 */
export class Sheet {
  constructor({ sheet, opener, closer, others, shade, narrow }) {
    Object.assign(this, { sheet, opener, others, shade });
    this.narrow = window.matchMedia(narrow);
    opener.addEventListener("click", () => this.open());
    closer.addEventListener("click", () => this.close());
    shade.addEventListener("click", () => this.close());
    this.narrow.addEventListener("change", () => this.close());
    sheet.addEventListener("keydown", (event) => { if (event.key === "Escape") this.close(); });
    this.first = closer;
  }

  get isOpen() {
    return this.sheet.classList.contains("open");
  }

  open() {
    if (this.isOpen || !this.narrow.matches) return;
    this.set(true);
    this.first.focus();
  }

  close() {
    if (!this.isOpen) return;
    const inside = this.sheet.contains(document.activeElement) || document.activeElement === document.body;
    this.set(false);
    if (inside && this.narrow.matches) this.opener.focus();
  }

  set(open) {
    this.sheet.classList.toggle("open", open);
    this.shade.hidden = !open;
    this.opener.setAttribute("aria-expanded", String(open));
    for (const one of this.others) one.inert = open;
    document.documentElement.classList.toggle("held", open);
    this.sheet.setAttribute("role", open ? "dialog" : "complementary");
    if (open) this.sheet.setAttribute("aria-modal", "true");
    else this.sheet.removeAttribute("aria-modal");
  }
}

/** Take a choice from a list: at once from a pointer, but by keys only when they have come to rest. */
export function onChosen(select, taken) {
  let walking = false; // from value to value with the arrow keys
  let waits = false;
  const take = () => {
    if (!waits) return;
    waits = false;
    taken();
  };
  select.addEventListener("pointerdown", () => { walking = false; });
  select.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && waits) {
      event.preventDefault();
      take();
    } else if (!["Tab", "Shift", "Alt"].includes(event.key)) {
      walking = !["Enter", " "].includes(event.key) && !event.altKey; // those open the list
    }
  });
  select.addEventListener("change", () => {
    waits = true;
    if (!walking) take();
  });
  select.addEventListener("blur", take);
  return select;
}
