// Elements: made once, then changed in place, and only where something is different. Text is set
// as text, so nothing that anybody calls a session is ever read as HTML.

function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function setText(element, text) {
  const wanted = String(text ?? "");
  if (element.textContent !== wanted) element.textContent = wanted;
}

function setAttribute(element, name, value) {
  if (value == null || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

// Drawings come from the kernel as SVG of its own making.
function setDrawing(element, svg) {
  if (element.dataset.drawn === svg) return;
  element.dataset.drawn = svg;
  element.innerHTML = svg;
}

function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

let ids = 0;
const newId = (what) => `clouditia-${what}-${(ids += 1)}`;

const CONTROLS = "button, input, select, summary, label, a";
const PARKED = 2000; // milliseconds after which a pointer that rests is about to click nothing

// Whether rows may come, go and change places now. While somebody points at one of their controls,
// or has just pointed at any other, they must not; when they do, and the pointer rests on a control,
// the page is scrolled so that the control stays under it.
function makePlaces(root) {
  const lists = [];
  let moved = 0;
  const settle = () => lists.forEach((list) => list.pending && list.arrange());
  root.addEventListener("pointermove", () => (moved = Date.now()));
  root.addEventListener("pointerover", settle);
  root.addEventListener("pointerleave", settle);
  root.addEventListener("focusout", () => setTimeout(settle, 0));
  const under = () => root.querySelector(`:is(${CONTROLS}):hover`);
  return {
    add: (list) => lists.push(list),
    settle,
    held: (list) =>
      list.querySelector(`:is(${CONTROLS}):hover`) != null ||
      (Date.now() - moved < PARKED && under() != null),
    keep(act) {
      const control = under();
      const before = control?.getBoundingClientRect().top;
      act();
      if (!control?.isConnected) return;
      const by = control.getBoundingClientRect().top - before;
      if (by) scrollerOf(control).scrollTop += by;
    },
  };
}

function scrollerOf(element) {
  for (let at = element.parentElement; at; at = at.parentElement) {
    const scrolls = /auto|scroll/.test(getComputedStyle(at).overflowY);
    if (scrolls && at.scrollHeight > at.clientHeight) return at;
  }
  return document.scrollingElement;
}

// Rows by key, made once and changed in place.
class Rows {
  constructor(places, parent, make) {
    this.places = places;
    this.parent = parent;
    this.make = make;
    this.rows = new Map();
    this.wanted = [];
    this.pending = false;
    places.add(this);
  }

  show(items) {
    this.wanted = items;
    for (const item of items) this.rows.get(item.id)?.update(item);
    const order = [...this.parent.children].map((element) => element.dataset.key);
    if (order.join() !== items.map((item) => item.id).join()) this.arrange();
    else this.pending = false;
  }

  // Who types among them keeps them as they are, too.
  arrange() {
    const keys = new Set(this.wanted.map((item) => item.id));
    const typing = document.activeElement?.matches("input") && this.parent.contains(document.activeElement);
    this.pending = typing || this.places.held(this.parent);
    for (const [key, row] of this.rows) row.element.toggleAttribute("data-gone", !keys.has(key));
    if (!this.pending) this.places.keep(() => this.place(keys));
  }

  place(keys) {
    for (const [key, row] of this.rows) {
      if (keys.has(key)) continue;
      row.element.remove();
      this.rows.delete(key);
    }
    let at = this.parent.firstElementChild;
    for (const item of this.wanted) {
      let row = this.rows.get(item.id);
      if (!row) {
        row = this.make(item);
        row.element.dataset.key = item.id;
        row.update(item);
        this.rows.set(item.id, row);
      }
      if (row.element === at) at = at.nextElementSibling;
      else this.parent.insertBefore(row.element, at);
    }
  }
}
