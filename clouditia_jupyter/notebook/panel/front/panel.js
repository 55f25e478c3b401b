// The panel: it takes the kernel's parts, shows them, and tells the kernel what was clicked.

const PARTS = [
  "place", "account", "sessions", "offer", "costs", "queue", "runs",
  "charts", "spending", "creation", "trouble", "news",
];
const ANSWER = 3000; // milliseconds after which it is said that a kernel has not answered
const STILL_HERE = 300_000; // milliseconds after which the page says again that somebody looks

function render({ model, el }) {
  const calls = new Map();
  const view = crypto.randomUUID?.() ?? String(Math.random());
  let ahead = 0; // of the kernel's clock before the browser's, in seconds
  let calling = 0;

  const root = h("div", {
    class: "clouditia cp",
    // the front end's one-letter commands are not meant for who types or clicks here
    "data-lm-suppress-shortcuts": "true",
    role: "region",
    "aria-label": "Clouditia control panel",
  });
  const panel = {
    state: {},
    places: makePlaces(root),
    now: () => Date.now() / 1000 + ahead,
    // old data must not go on growing as if it were known
    dataNow: () => panel.state.trouble?.since ?? panel.now(),
    get currency() {
      return panel.state.account?.currency ?? "EUR";
    },
    get speed() {
      return panel.state.account?.speed ?? 1;
    },
    ask,
    click: (button, name, data, said) => during(button, said, () => ask(name, data)),
    during,
    confirm,
  };

  function ask(name, data) {
    calling += 1;
    const call = `${view}:${calling}`;
    const answer = new Promise((resolve) => calls.set(call, resolve));
    model.send({ do: name, call, ...data });
    return answer;
  }

  // The answer is said where the click was; until then the button says that it works on it.
  async function during(button, said, act) {
    if (button.getAttribute("aria-busy")) return { ok: false };
    setAttribute(button, "aria-busy", "true");
    setText(said, "");
    said.removeAttribute("data-error");
    // a kernel that can do one thing at a time answers when its cell has ended
    const late = setTimeout(() => setText(said, "Waiting for the kernel …"), ANSWER);
    let answer;
    try {
      answer = await act();
    } catch (error) {
      answer = { ok: false, text: error.message };
    }
    clearTimeout(late);
    setAttribute(button, "aria-busy", null);
    setText(said, answer.text ?? "");
    said.toggleAttribute("data-error", !answer.ok);
    return answer;
  }

  function confirm({ title, text, yes, no, act }) {
    const words = h("p", {}, text());
    const ticking = setInterval(() => setText(words, text()), 1000);
    const heading = h("h3", { id: newId("title") }, title);
    const box = h(
      "dialog",
      { class: "cp-dialog", "aria-labelledby": heading.id },
      heading,
      words,
      h(
        "form",
        { method: "dialog", class: "cp-buttons" },
        h("button", { class: "cp-button", value: "no", autofocus: true }, no),
        h("button", { class: "cp-button cp-danger", value: "yes" }, yes),
      ),
    );
    box.addEventListener("close", () => {
      clearInterval(ticking);
      box.remove();
      if (box.returnValue === "yes") act();
    });
    root.append(box);
    box.showModal();
  }

  const read = (part) => {
    const text = model.get(part);
    panel.state[part] = text ? JSON.parse(text) : null;
  };
  PARTS.forEach(read);
  const account = makeAccount(panel);
  const sessions = makeSessions(panel);
  const form = makeForm(panel);
  const tables = makeTables(panel);
  const waiting = h("p", { class: "clouditia-quiet cp-nothing", role: "status" }, "Asking the platform …");
  const data = h("div", { class: "cp-data" }, waiting, sessions.element, form.element, tables.element);
  root.append(account.element, data);
  el.append(root);

  const shows = {
    place: [account.update, sessions.update],
    account: [account.update, form.update],
    sessions: [sessions.update, account.tick, form.update],
    offer: [form.update, () => tables.update("offer")],
    costs: [() => tables.update("costs")],
    queue: [() => tables.update("queue")],
    runs: [() => tables.update("runs")],
    charts: [sessions.draw],
    spending: [account.update],
    creation: [form.follow],
    trouble: [account.tick, frame, sessions.tick],
    news: [sessions.update],
  };
  function frame() {
    show(waiting, panel.state.account == null && panel.state.trouble == null);
    root.classList.toggle("cp-stale", panel.state.trouble != null);
    root.classList.toggle("cp-empty", panel.state.account == null);
  }
  for (const act of [account.update, sessions.update, form.update, form.follow, tables.update, frame]) act();

  function changed(part) {
    read(part);
    shows[part].forEach((act) => act());
    if (part === "account") frame();
  }
  const listeners = PARTS.map((part) => [`change:${part}`, () => changed(part)]);
  listeners.push(["comm_live_update", askWhetherItLives]);
  listeners.forEach(([name, listener]) => model.on(name, listener));

  // After a restart the kernel knows nothing of this panel, and will not say so.
  let heard = Date.now();
  function askWhetherItLives() {
    const asked = Date.now();
    tell(true);
    setTimeout(() => {
      if (heard >= asked) return;
      const text = "The kernel does not answer: it has restarted, or is gone. Run the cell again for a new panel.";
      panel.state.trouble = { text, since: asked / 1000 + ahead, kernel: true };
      shows.trouble.forEach((act) => act());
    }, ANSWER);
  }
  const hear = (message) => {
    heard = Date.now();
    if (panel.state.trouble?.kernel) changed("trouble");
    if ("clock" in message) {
      const took = Date.now() - message.asked;
      // an answer that came late says little about the time
      if (took < 2000) ahead = message.clock - (message.asked + took / 2) / 1000;
      return;
    }
    calls.get(message.call)?.(message);
    calls.delete(message.call);
  };
  model.on("msg:custom", hear);

  // Whether anybody can see it: the kernel looks at the platform only then.
  let onScreen = false;
  let said = null;
  let ticker = null;
  function tell(again = false) {
    const visible = onScreen && document.visibilityState === "visible";
    if (visible === said && !again) return;
    said = visible;
    try {
      model.send({ do: "seen", view, visible, now: Date.now() });
    } catch {
      return; // there is nobody left to tell
    }
    clearInterval(ticker);
    if (!visible) return;
    tick();
    ticker = setInterval(tick, 1000);
  }
  function tick() {
    account.tick();
    sessions.tick();
    form.tick();
    tables.tick();
    panel.places.settle();
  }
  const watcher = new IntersectionObserver((entries) => {
    onScreen = entries.at(-1).isIntersecting;
    tell();
  });
  watcher.observe(root);
  const onVisibility = () => tell();
  document.addEventListener("visibilitychange", onVisibility);
  const stillHere = setInterval(() => said && tell(true), STILL_HERE);

  return () => {
    onScreen = false;
    tell();
    clearInterval(ticker);
    clearInterval(stillHere);
    watcher.disconnect();
    document.removeEventListener("visibilitychange", onVisibility);
    listeners.forEach(([name, listener]) => model.off(name, listener));
    model.off("msg:custom", hear);
  };
}

export default { render };
