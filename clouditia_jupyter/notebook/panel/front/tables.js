// The tables: sorted by a click on a column's head, filtered by what is typed, a DataFrame by a click.

// value: what is sorted by; text: what is shown; live: whether it changes by itself
const TABLES = [
  {
    part: "offer",
    frame: "inventory",
    title: "Inventory",
    columns: [
      { name: "GPU", text: (row) => row.name },
      { name: "Type", text: (row) => row.id, wide: true },
      { name: "Free", number: true, value: (row) => row.available },
      { name: "In use", number: true, value: (row) => row.in_use, wide: true },
      { name: "Total", number: true, value: (row) => row.total },
      { name: "Per hour", number: true, value: (row) => row.price, text: (row, panel) => money(row.price, panel.currency) },
      { name: "Place", text: (row) => row.place, wide: true },
    ],
  },
  {
    part: "costs",
    frame: "costs",
    title: "Costs",
    columns: [
      { name: "Session", text: (row) => row.name },
      { name: "Status", text: (row) => row.status, status: true },
      { name: "GPU", text: (row) => row.gpu, wide: true },
      { name: "Started", time: true, value: (row) => row.started, text: (row) => clock(row.started), wide: true },
      { name: "Ran", number: true, live: true, value: ranFor, text: (row, panel) => duration(ranFor(row, panel)) },
      { name: "Per hour", number: true, value: (row) => row.price, text: (row, panel) => money(row.price, panel.currency), wide: true },
      { name: "Cost", number: true, live: true, value: (row, panel) => costNow(row, panel.dataNow()), text: (row, panel) => money(costNow(row, panel.dataNow()), panel.currency) },
      { name: "Ended by", text: (row) => row.reason, wide: true },
    ],
  },
  {
    part: "queue",
    frame: "queue",
    title: "Queue",
    columns: [
      { name: "Place", number: true, value: (row) => row.position ?? Infinity, text: (row) => row.position ?? "" },
      { name: "Ticket", text: (row) => row.id.slice(0, 8) },
      { name: "Status", text: (row) => row.status, status: true },
      { name: "Asks for", text: (row) => row.wants },
      { name: "Machine", text: (row) => row.machine, wide: true },
      { name: "Tries", value: (row) => row.tries, tries: true },
      { name: "Since", time: true, value: (row) => row.created, text: (row) => clock(row.created), wide: true },
      { name: "Session", text: (row) => row.session, wide: true },
      { name: "", label: "Actions", cancel: true },
    ],
  },
  {
    part: "runs",
    frame: "runs",
    title: "Runs",
    columns: [
      { name: "Session", text: (row) => row.session },
      { name: "Code", text: (row) => row.line, code: true },
      { name: "Status", text: (row) => row.status, status: true },
      { name: "Started", time: true, value: (row) => row.started ?? Infinity, text: (row) => clock(row.started), wide: true },
      { name: "Took", number: true, live: true, value: tookFor, text: (row, panel) => took(tookFor(row, panel)) },
      { name: "Cost", number: true, live: true, value: runCost, text: (row, panel) => money(runCost(row, panel), panel.currency), wide: true },
      { name: "Run", text: (row) => row.id.slice(0, 8), wide: true },
    ],
  },
];

function ranFor(row, panel) {
  if (row.started == null) return 0;
  const end = row.ended ?? (row.since == null ? row.started : panel.dataNow());
  return (end - row.started) * panel.speed;
}

function tookFor(row, panel) {
  return row.seconds ?? (row.started == null ? null : panel.dataNow() - row.started);
}

function runCost(row, panel) {
  return ((tookFor(row, panel) ?? 0) * row.rate) / 3600;
}

function took(length) {
  if (length == null) return "";
  return length < 60 ? `${length.toFixed(1)} s` : duration(length);
}

function makeTable(panel, table) {
  const sortBy = { column: null, down: false };
  const value = (column, row) => (column.value ?? column.text)(row, panel);
  const filter = h("input", {
    class: "cp-input cp-filter",
    type: "search",
    placeholder: "Filter",
    "aria-label": `Filter ${table.title.toLowerCase()}`,
    oninput: update,
  });
  const count = h("span", { class: "clouditia-quiet", role: "status" });
  const frame = h(
    "button",
    { class: "cp-button", type: "button", title: "Put this table into a variable" },
    "DataFrame",
  );
  const said = h("span", { class: "cp-said", role: "status" });
  frame.addEventListener("click", () => panel.click(frame, "frame", { part: table.frame }, said));

  const heads = table.columns.map((column) => {
    const attributes = { scope: "col", class: classOf(column) };
    if (!column.name) return h("th", { ...attributes, "aria-label": column.label });
    const head = h("button", { type: "button", class: "cp-sort" }, column.name);
    const cell = h("th", attributes, head);
    head.addEventListener("click", () => {
      sortBy.down = sortBy.column === column ? !sortBy.down : Boolean(column.number);
      sortBy.column = column;
      for (const other of heads) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", sortBy.down ? "descending" : "ascending");
      update();
    });
    return cell;
  });
  const body = h("tbody");
  const rows = new Rows(panel.places, body, (row) => makeRow(panel, table, row));
  const nothing = h("p", { class: "clouditia-quiet cp-nothing" }, "Nothing here.");
  const element = h(
    "div",
    { class: "cp-table" },
    h("div", { class: "cp-tools" }, filter, count, frame, said),
    h(
      "div",
      { class: "clouditia-scroll", tabindex: 0, role: "region", "aria-label": table.title },
      h("table", { class: "clouditia-table" }, h("thead", {}, h("tr", {}, ...heads)), body),
      nothing,
    ),
  );

  function update() {
    const all = panel.state[table.part];
    const word = filter.value.trim().toLowerCase();
    const texts = table.columns.filter((column) => column.text);
    const found = all.filter(
      (row) => !word || texts.some((column) => String(column.text(row, panel) ?? "").toLowerCase().includes(word)),
    );
    if (sortBy.column) found.sort((a, b) => order(value(sortBy.column, a), value(sortBy.column, b)));
    rows.show(found);
    setText(count, word ? `${found.length} of ${all.length}` : String(all.length));
    show(nothing, !found.length);
  }

  function order(a, b) {
    if (a == null || b == null) return a == null ? (b == null ? 0 : 1) : -1;
    const less = typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b;
    return sortBy.down ? -less : less;
  }

  return { element, update, tick: () => rows.rows.forEach((row) => row.tick()) };
}

const classOf = (column) =>
  [
    column.number && "clouditia-number",
    column.time && "cp-time",
    column.tries && "cp-tries",
    column.wide && "clouditia-wide",
    column.code && "cp-code",
  ]
    .filter(Boolean)
    .join(" ") || null;

function makeRow(panel, table, first) {
  let row = first;
  const cells = table.columns.map((column) => {
    const cell = h("td", { class: classOf(column) });
    if (column.status) cell.append(h("span", { class: "clouditia-status" }));
    if (column.cancel) cell.append(...makeCancel());
    if (column.tries) cell.append(h("details", {}, h("summary"), h("ul")));
    return cell;
  });

  function makeCancel() {
    const said = h("div", { class: "cp-said", role: "status" });
    const cancel = h("button", { class: "cp-button", type: "button" }, "Cancel");
    cancel.addEventListener("click", () => panel.click(cancel, "cancel_ticket", { id: row.id }, said));
    return [cancel, said];
  }

  function fill(onlyLive) {
    table.columns.forEach((column, index) => {
      const cell = cells[index];
      if (onlyLive && !column.live) return;
      if (column.status) {
        setText(cell.firstChild, row.status);
        setAttribute(cell.firstChild, "data-status", row.status);
      } else if (column.cancel) show(cell.firstChild, row.status === "pending");
      else if (column.tries) fillTries(cell.firstChild);
      else {
        setText(cell, (column.text ?? column.value)(row, panel));
        if (column.code) setAttribute(cell, "title", cell.textContent);
      }
    });
  }

  function fillTries(details) {
    setText(details.firstChild, row.tries);
    const texts = row.attempts.map((each) => `${clock(each.at)} ${each.text}`);
    if (!texts.length && row.error) texts.push(row.error);
    setAttribute(details, "data-empty", texts.length ? null : "");
    const list = details.lastChild;
    while (list.children.length > texts.length) list.lastElementChild.remove();
    texts.forEach((text, index) => setText(list.children[index] ?? list.appendChild(h("li")), text));
  }

  function update(now) {
    row = now;
    fill(false);
  }

  return { element: h("tr", {}, ...cells), update, tick: () => fill(true) };
}

function makeTables(panel) {
  const views = TABLES.map((table) => ({ table, ...makeTable(panel, table) }));
  const list = h("div", { class: "cp-tabs", role: "tablist", "aria-label": "Tables" });
  const element = h("section", { class: "cp-tables" }, list);
  views.forEach((view, index) => {
    const [tab, body] = [newId("tab"), newId("body")];
    view.tab = h("button", { type: "button", role: "tab", id: tab, "aria-controls": body, class: "cp-tab" });
    view.tab.addEventListener("click", () => choose(index));
    view.body = h("div", { role: "tabpanel", id: body, "aria-labelledby": tab }, view.element);
    list.append(view.tab);
    element.append(view.body);
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const now = views.findIndex((view) => view.tab === document.activeElement);
    const next = (now + step + views.length) % views.length;
    choose(next);
    views[next].tab.focus();
  });

  function choose(index) {
    views.forEach((view, number) => {
      const chosen = number === index;
      setAttribute(view.tab, "aria-selected", String(chosen));
      view.tab.tabIndex = chosen ? 0 : -1;
      show(view.body, chosen);
    });
  }
  choose(0);

  function update(part) {
    for (const view of views) {
      if (part && part !== view.table.part) continue;
      view.update();
      const waiting = panel.state.queue.filter((row) => row.status === "pending").length;
      const mark = view.table.part === "queue" && waiting ? ` (${waiting})` : "";
      setText(view.tab, `${view.table.title}${mark}`);
    }
  }

  return {
    element,
    update,
    tick: () => views.forEach((view) => !view.body.hidden && view.tick()),
  };
}
