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

// Rows by key. They come, go and change places only while nobody points at them or has the focus
// among them: what is under a pointer stays there.
class Rows {
  constructor(parent, make) {
    this.parent = parent;
    this.make = make;
    this.rows = new Map();
    this.wanted = [];
    const settle = () => setTimeout(() => this.arrange(), 0);
    parent.addEventListener("pointerleave", settle);
    parent.addEventListener("focusout", settle);
  }

  get held() {
    return this.parent.matches(":hover") || this.parent.contains(document.activeElement);
  }

  show(items) {
    this.wanted = items;
    for (const item of items) this.rows.get(item.id)?.update(item);
    this.arrange();
  }

  arrange() {
    const keys = new Set(this.wanted.map((item) => item.id));
    if (this.held && this.rows.size) {
      for (const [key, row] of this.rows) row.element.toggleAttribute("data-gone", !keys.has(key));
      return;
    }
    for (const [key, row] of this.rows) {
      if (keys.has(key)) continue;
      row.element.remove();
      this.rows.delete(key);
    }
    let place = this.parent.firstElementChild;
    for (const item of this.wanted) {
      let row = this.rows.get(item.id);
      if (!row) {
        row = this.make(item);
        row.update(item);
        this.rows.set(item.id, row);
      }
      row.element.removeAttribute("data-gone");
      if (row.element === place) place = place.nextElementSibling;
      else this.parent.insertBefore(row.element, place);
    }
  }
}
