// The sessions: a row each, with what it is, what it does, what it costs and what can be done.

function makeSession(panel, first) {
  let session = first;
  let editing = null;
  const status = h("span", { class: "clouditia-status" });
  const name = h("span", { class: "clouditia-name" });
  const current = h("span", { class: "cp-badge", title: "Cells run here" }, "current");
  const machine = h("div", { class: "clouditia-quiet cp-line" });
  const doing = h("div", { class: "cp-line" });
  const cost = h("span", { class: "cp-cost" });
  const price = h("span", { class: "clouditia-quiet" });
  const age = h("span", { class: "clouditia-quiet" });
  const sparks = h("div", { class: "cp-sparks" });
  const said = h("div", { class: "cp-said", role: "status" });
  const names = h("div", { class: "cp-name" }, name, current, status);

  const button = (text, act, hint) =>
    h("button", { class: "cp-button", type: "button", title: hint, onclick: act }, text);
  const call = (element, name, more = {}) =>
    panel.click(element, name, { id: session.id, ...more }, said);
  const useIt = button("Use", () => call(useIt, "use"), "Run cells here from now on");
  const open = h("a", { class: "cp-button", target: "_blank", rel: "noopener noreferrer" }, "Open");
  const rename = button("Rename", () => (editing ? save() : edit()), "Give it another name");
  const pause = button("Pause", () => call(pause, "pause"));
  const key = button("Copy key", copyKey, "Make an sk_live_ key and put it on the clipboard");
  const stop = button("Stop", askToStop, "End it; variables and files go with it");
  stop.classList.add("cp-danger");
  const buttons = [useIt, open, rename, pause, key, stop];

  function edit() {
    editing = h("input", {
      class: "cp-input",
      maxlength: 100,
      "aria-label": "New name",
      onkeydown: (event) => {
        if (event.key === "Enter") save();
        if (event.key === "Escape") leave();
      },
    });
    editing.value = session.name;
    name.replaceWith(editing);
    editing.select();
    setText(rename, "Save name");
  }

  function leave() {
    editing?.replaceWith(name);
    editing = null;
    setText(rename, "Rename");
    rename.focus();
  }

  async function save() {
    const wanted = editing.value.trim();
    if (!wanted || wanted === session.name) return leave();
    const answer = await call(rename, "rename", { name: wanted });
    if (!answer.ok) return;
    setText(name, wanted);
    leave();
  }

  async function copyKey() {
    const answer = panel.ask("key", { id: session.id });
    const secret = answer.then((got) => {
      if (!got.ok) throw new Error(got.text);
      return got.secret;
    });
    await panel.during(key, said, async () => {
      const copied = await copySecret(secret);
      return {
        ok: copied,
        text: copied
          ? "A new key is on the clipboard; it is kept nowhere else."
          : "The browser does not give the clipboard away here: %clouditia key --to NAME makes one.",
      };
    });
  }

  function askToStop() {
    const lost = ["its variables", "its files"];
    if (session.run) lost.push("the cell that runs there");
    if (session.queued) lost.push(`${plural(session.queued, "cell")} waiting`);
    panel.confirm({
      title: `Stop ${session.name}?`,
      text: () =>
        `Gone will be ${listed(lost)}. It has cost ${money(costNow(session, panel.dataNow()), panel.currency)} so far.`,
      yes: "Stop it",
      no: "Keep it",
      act: () => call(stop, "stop"),
    });
  }

  const element = h(
    "section",
    { class: "cp-session" },
    h("div", { class: "cp-who" }, names, machine, doing),
    sparks,
    h("div", { class: "cp-bill" }, cost, price, age),
    h("div", { class: "cp-buttons", role: "group", "aria-label": "Actions" }, ...buttons),
    said,
  );

  function update(now) {
    session = now;
    setText(name, session.name);
    setAttribute(element, "aria-label", `Session ${session.name}`);
    setText(status, session.step ? `${session.status} · ${session.step}` : session.status);
    setAttribute(status, "data-status", session.status);
    show(current, session.current);
    const limits = session.limits ? ` · stops by itself after ${session.limits}` : "";
    setText(machine, `${session.gpu} · ${session.machine}${limits}`);
    setAttribute(machine, "title", machine.textContent);
    setText(price, session.price == null ? "" : `${money(session.price, panel.currency)}/h`);
    const live = ["pending", "creating", "running"].includes(session.status);
    useIt.disabled = session.status !== "running" || session.current;
    setAttribute(open, "href", session.url || null);
    setAttribute(open, "aria-disabled", session.url && live ? null : "true");
    rename.disabled = key.disabled = !live;
    stop.disabled = !live && session.status !== "paused";
    const cannot = panel.state.place?.pause ?? "";
    pause.disabled = Boolean(cannot) || session.status !== "running";
    setAttribute(pause, "title", cannot || "Keep its files, release its GPUs");
    draw();
    tick();
  }

  function draw() {
    const drawings = panel.state.charts[session.id] ?? [];
    while (sparks.children.length > drawings.length) sparks.lastElementChild.remove();
    drawings.forEach((drawing, index) => {
      const spark =
        sparks.children[index] ??
        sparks.appendChild(h("div", {}, h("div", { class: "cp-label" }, h("span"), h("span")), h("div")));
      setText(spark.firstChild.firstChild, drawing.label);
      setText(spark.firstChild.lastChild, drawing.text);
      setDrawing(spark.lastChild, drawing.svg);
    });
  }

  function tick() {
    const now = panel.dataNow();
    setText(cost, money(costNow(session, now), panel.currency));
    setText(age, session.started == null ? "" : duration((now - session.started) * panel.speed));
    const { run, queued } = session;
    const more = queued ? ` · ${plural(queued, "cell")} waiting` : "";
    let text = session.status === "running" && session.watched ? `idle${more}` : "";
    if (run) text = `▶ ${run.line} · ${duration(now - run.started)}${more}`;
    if (session.error) text = session.error;
    setText(doing, text || "\u00a0");
    setAttribute(doing, "title", text);
    doing.classList.toggle("clouditia-quiet", !run);
  }

  return { element, update, tick, draw };
}

function makeSessions(panel) {
  const list = h("div", { class: "cp-list" });
  const none = h(
    "p",
    { class: "clouditia-quiet cp-nothing" },
    "No session is running. The form below rents one.",
  );
  const news = h("div", { class: "cp-news clouditia-quiet", role: "status" });
  const rows = new Rows(panel.places, list, (item) => makeSession(panel, item));
  const element = h("section", { class: "cp-sessions", "aria-label": "Sessions" }, none, list, news);

  function update() {
    rows.show(panel.state.sessions);
    show(none, panel.state.account != null && !panel.state.sessions.length);
    const { news: happened } = panel.state;
    setText(news, happened ? `${clock(happened.at)}  ${happened.text}` : "");
  }

  const each = (act) => rows.rows.forEach(act);
  return {
    element,
    update,
    tick: () => each((row) => row.tick()),
    draw: () => each((row) => row.draw()),
  };
}

// To the clipboard without a detour over the page. The browser allows it in the moment of the click
// only, so it is promised what is still to come.
async function copySecret(secret) {
  if (navigator.clipboard && window.ClipboardItem) {
    try {
      const blob = secret.then((text) => new Blob([text], { type: "text/plain" }));
      await navigator.clipboard.write([new ClipboardItem({ "text/plain": blob })]);
      return true;
    } catch {
      // it may be refused, or the key not be made: the next line tells
    }
  }
  const text = await secret;
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = h("textarea", { class: "cp-offstage", "aria-hidden": "true", tabindex: -1 });
    field.value = text;
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    return copied;
  }
}
