// The head: what is left, how fast it goes, how long it lasts, and what was spent; or what is wrong.

function makeAccount(panel) {
  const figure = (label) => {
    const value = h("dd", { class: "cp-figure" });
    return { value, element: h("div", {}, h("dt", { class: "clouditia-quiet" }, label), value) };
  };
  const [balance, burn, lasts] = [figure("Balance"), figure("Burn rate"), figure("Lasts")];
  const place = h("span", { class: "clouditia-quiet cp-line" });
  const drawing = h("div");
  const burning = h("div");
  const label = (text) => h("div", { class: "cp-label" }, text);
  const drawings = h("div", { class: "cp-drawings" }, label("Spent"), drawing, label("Burn rate"), burning);
  const nothing = h("p", { class: "clouditia-quiet cp-nothing" }, "Nothing spent in the last day.");
  const text = h("span");
  const again = h("button", { class: "cp-button", type: "button" }, "Look again");
  again.addEventListener("click", () => panel.click(again, "refresh", {}, text));
  const trouble = h(
    "div",
    { class: "clouditia-notice cp-trouble", role: "alert", "data-kind": "error" },
    text,
    h("div", {}, again),
  );
  const element = h(
    "header",
    { class: "cp-account" },
    h(
      "div",
      { class: "cp-title" },
      h("strong", {}, "Clouditia"),
      place,
    ),
    h("dl", { class: "cp-figures" }, balance.element, burn.element, lasts.element),
    h("div", { class: "cp-spending" }, drawings, nothing, trouble),
  );

  function update() {
    const { place: where, account, spending } = panel.state;
    const name = where == null ? "" : where.local ? "this machine" : new URL(where.url).host;
    setText(place, [name, account?.user].filter(Boolean).join(" · "));
    setAttribute(place, "title", where?.url ?? "");
    setDrawing(drawing, spending?.spent ?? "");
    setDrawing(burning, spending?.burn ?? "");
    show(drawings, spending != null);
    show(nothing, !spending && account != null);
    tick();
  }

  function tick() {
    const { account, sessions, trouble: wrong } = panel.state;
    const now = panel.dataNow();
    show(trouble, wrong != null);
    if (wrong) {
      const age = wrong.since == null ? "" : ` What you see is ${duration(panel.now() - wrong.since)} old.`;
      const hope = wrong.kernel ? "" : " The panel goes on by itself once it gets an answer.";
      setText(text, `${wrong.text}${age}${hope}`);
      show(again, !wrong.kernel);
      setText(again, wrong.start ? "Start it" : "Look again");
    }
    if (!account) return;
    const rate = sessions.reduce((sum, session) => sum + session.rate, 0);
    const spent = sessions
      .filter((session) => session.since != null)
      .reduce((sum, session) => sum + costNow(session, now), 0);
    const left = Math.max(0, account.credit - spent);
    setText(balance.value, money(left, account.currency));
    // a clock that runs faster for a demonstration makes the balance go faster too
    setText(burn.value, rate ? `${money(rate / account.speed, account.currency)}/h` : "nothing");
    setText(lasts.value, rate ? duration((left / rate) * 3600 * account.speed) : "as long as you like");
  }

  return { element, update, tick };
}
