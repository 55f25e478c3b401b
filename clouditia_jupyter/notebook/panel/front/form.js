// The form for a new session: only what there is can be chosen, and what it costs stands beside it.

function makeForm(panel) {
  const field = (label, input, hint) => {
    input.id = newId("field");
    return h("label", { class: "cp-field", for: input.id, title: hint }, h("span", {}, label), input);
  };
  const number = (value, most, attributes = {}) =>
    h("input", { class: "cp-input", type: "number", min: 1, max: most, step: 1, value, required: true, ...attributes });
  const gpu = h("select", { class: "cp-input" });
  const count = h("select", { class: "cp-input" });
  const vcpu = number(2, 256);
  const ram = number(4, 4096);
  const storage = number(20, 65536);
  const name = h("input", { class: "cp-input", maxlength: 100, placeholder: "any" });
  const limit = h("input", { class: "cp-input", type: "number", min: 0.01, step: "any", placeholder: "none" });
  const time = h("input", { class: "cp-input", placeholder: "none, or 90m, 2h" });
  const queue = h("input", { type: "checkbox", id: newId("queue") });
  const create = h("button", { class: "cp-button cp-primary", type: "submit" }, "Create");
  const price = h("output", { class: "cp-price" });
  const problem = h("div", { class: "cp-said", role: "status" });
  const outcome = makeOutcome(panel);

  const form = h(
    "form",
    { class: "cp-form", novalidate: true },
    field("GPU", gpu),
    field("How many", count),
    field("vCPU", vcpu),
    field("RAM, GB", ram),
    field("Disk, GB", storage),
    field("Name", name),
    field("Cost limit, EUR", limit, "It stops by itself when it has cost this"),
    field("Time limit", time, "It stops by itself after this time: 3600, 90m, 2h"),
    h("label", { class: "cp-check", for: queue.id }, queue, "Wait in the queue if unavailable"),
    h("div", { class: "cp-submit" }, create, price),
    problem,
  );
  let decided = false; // whether it is open: the first data decides, unless somebody has
  const element = h(
    "details",
    { class: "cp-new" },
    h("summary", { onclick: () => (decided = true) }, "New session"),
    form,
    outcome.element,
  );

  form.addEventListener("input", judge);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (create.disabled) return;
    await panel.click(create, "create", { form: wish() }, problem);
    judge();
  });
  // the list that is open must not change under the pointer
  for (const list of [gpu, count]) list.addEventListener("blur", update);

  const chosen = () => panel.state.offer.find((item) => item.id === gpu.value);
  const wish = () => ({
    gpu: gpu.value,
    count: Number(count.value),
    vcpu: vcpu.valueAsNumber,
    ram: ram.valueAsNumber,
    storage: storage.valueAsNumber,
    name: name.value.trim(),
    cost_limit: limit.value === "" ? null : limit.valueAsNumber,
    duration_limit: seconds(time.value),
    queue: queue.checked,
  });

  function options(list, wanted) {
    if (list === document.activeElement && list.options.length) return;
    const before = list.value;
    wanted.forEach(([value, text, off], index) => {
      const option = list.options[index] ?? list.appendChild(h("option"));
      if (option.value !== String(value)) option.value = value;
      setText(option, text);
      if (option.disabled !== Boolean(off)) option.disabled = Boolean(off);
    });
    while (list.options.length > wanted.length) list.lastElementChild.remove();
    // what was chosen stays chosen, even where it has just been taken by somebody else
    if (wanted.some(([value]) => String(value) === before)) list.value = before;
    else list.value = wanted.find(([, , off]) => !off)?.[0] ?? wanted[0]?.[0] ?? "";
  }

  function update() {
    const { offer, account, sessions } = panel.state;
    if (!decided && account) {
      decided = true;
      element.open = !sessions.length;
    }
    options(
      gpu,
      offer.map((item) => [
        item.id,
        `${item.name} · ${item.available} of ${item.total} free · ${money(item.price, panel.currency)}/h`,
        queue.checked ? !item.total : !item.available,
      ]),
    );
    judge();
  }

  function judge() {
    const item = chosen();
    if (item) {
      const most = Math.max(queue.checked ? item.total : item.available, 1, Number(count.value) || 1);
      const within = Math.min(most, item.total || 1);
      options(count, Array.from({ length: within }, (_, index) => [index + 1, String(index + 1)]));
    }
    for (const option of gpu.options) {
      const offered = panel.state.offer.find((one) => one.id === option.value);
      const off = !(queue.checked ? offered?.total : offered?.available);
      if (option.disabled !== off && gpu !== document.activeElement) option.disabled = off;
    }
    const wanted = wish();
    const taken = item && !wanted.queue && item.available < wanted.count;
    const why = taken ? missing(item) : objection(item, wanted);
    setText(problem, why);
    // that others were faster is nobody's mistake
    problem.toggleAttribute("data-error", Boolean(why) && !taken);
    create.disabled = Boolean(why) || outcome.underWay || !panel.state.account;
    setText(price, why || !item ? "\u00a0" : worth(item, wanted));
  }

  function missing(item) {
    const free = item.available ? `Only ${item.available} of ${item.name} free` : `No ${item.name} free`;
    return `${free} now: wait in the queue, or choose others.`;
  }

  function objection(item, wanted) {
    if (!panel.state.account) return "";
    if (!item) return "There is no GPU on offer now.";
    for (const [input, what] of [[vcpu, "vCPU"], [ram, "RAM"], [storage, "The disk"]])
      if (!input.validity.valid) return `${what}: a whole number from 1 to ${input.max}.`;
    if (!limit.validity.valid) return "The cost limit: 0.01 EUR or more, or nothing.";
    if (Number.isNaN(wanted.duration_limit) || wanted.duration_limit === 0)
      return "The time limit: a time such as 3600, 90m or 2h, or nothing.";
    return "";
  }

  function worth(item, wanted) {
    const hourly = item.price * wanted.count;
    const parts = [`${money(hourly, panel.currency)} per hour`];
    if (wanted.cost_limit) parts.push(`${money(wanted.cost_limit, panel.currency)} buys ${duration((wanted.cost_limit / hourly) * 3600)}`);
    if (wanted.duration_limit)
      parts.push(`${duration(wanted.duration_limit)} costs ${money((hourly * wanted.duration_limit) / 3600, panel.currency)}`);
    if (!wanted.cost_limit && !wanted.duration_limit) parts.push("until you stop it");
    return parts.join(" · ");
  }

  function follow() {
    outcome.update();
    judge();
  }

  return { element, update, follow, tick: outcome.tick };
}

// What comes of it: each step, or why not.
function makeOutcome(panel) {
  const text = h("div", { class: "cp-outcome-text", role: "status" });
  const steps = h("ol", { class: "cp-steps" });
  const bar = h("progress", { class: "cp-progress", "aria-label": "Progress" });
  const cancel = h("button", { class: "cp-button", type: "button" }, "Cancel");
  const close = h("button", { class: "cp-button", type: "button" }, "OK");
  const said = h("div", { class: "cp-said", role: "status" });
  cancel.addEventListener("click", () => panel.click(cancel, "cancel_creation", {}, said));
  close.addEventListener("click", () => panel.click(close, "dismiss", {}, said));
  const element = h(
    "div",
    { class: "cp-outcome clouditia-notice", hidden: true },
    h("div", { class: "cp-outcome-head" }, text, cancel, close),
    bar,
    steps,
    said,
  );
  const state = () => panel.state.creation?.state ?? "none";
  const underWay = () => ["asked", "making", "cancelling"].includes(state());

  function update() {
    const now = panel.state.creation;
    show(element, now != null);
    if (!now) return;
    const kinds = { failed: "error", cancelled: "warning", queued: "warning" };
    setAttribute(element, "data-kind", kinds[now.state] ?? "info");
    const stages = now.steps ?? [];
    while (steps.children.length > stages.length) steps.lastElementChild.remove();
    stages.forEach((stage, index) => {
      const item = steps.children[index] ?? steps.appendChild(h("li"));
      setText(item, stage);
      const done = index < now.done ? "done" : index === now.done ? "now" : "later";
      setAttribute(item, "data-step", done);
      setAttribute(item, "aria-current", done === "now" ? "step" : null);
    });
    show(steps, stages.length > 0);
    show(bar, underWay());
    if (stages.length) {
      bar.max = stages.length;
      bar.value = now.done;
    } else bar.removeAttribute("value");
    show(cancel, ["asked", "making", "queued"].includes(now.state));
    show(close, !underWay() && now.state !== "queued");
    tick();
  }

  function tick() {
    const now = panel.state.creation;
    if (!now) return;
    const since = underWay() ? ` · ${duration(panel.now() - now.began)}` : "";
    setText(text, `${now.text}${since}`);
  }

  return {
    element,
    update,
    tick,
    get underWay() {
      return underWay();
    },
  };
}
