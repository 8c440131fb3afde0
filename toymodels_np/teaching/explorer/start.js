/* What Bokeh tells the panels, what others may ask for, and how the page begins. */

window.toymodels = {
  expectedLoss: exact.expectedLoss,
  gradient: exact.gradient,
  losses: exact.losses,
  lastFrame: 0,                   // milliseconds that the last frame computed
  ready: false,
  open: null,                     // follow a link, "#…"

  /* A widget was used. */
  changed(name) {
    if (app.isSilent() || !window.toymodels.ready) return;
    if (name === "task") tasks.begin(app.model("task").value);
    for (const panel of [plane, energies, phases, life])
      if (name in panel.CHANGES) panel.changed(name);
  },

  /* Something happened in a figure. */
  event(name, { event_name: kind, ...at }) {
    if (!window.toymodels.ready) return;
    const what = { mousemove: "move", mouseleave: "leave" }[kind] || kind;
    if (name === "plane") plane.event(what, at);
    else if (name === "energies") energies.event(what, at);
    else if (name === "life" || name === "shape") life.event(name, what, at);
    else phases.event(what, at);
  },
};

(() => {
  "use strict";

  const { state, model, put } = app;

  function begin() {
    put("task", { options: [["none", "none"], ...app.data.tasks.map((task, k) =>
      [String(k), `${k + 1}. ${task.title}`])] });
    const controls = [plane, energies, phases, life].flatMap((panel) => Object.keys(panel.CHANGES));
    for (const name of [...controls, "task"]) {         // at once, not when a callback is awaited
      const { value, active } = model(name).properties;
      (value || active)?.change.connect(() => window.toymodels.changed(name));
    }
    for (const [name, follow] of [["plane", plane.dragged], ["energies", energies.dragged]]) {
      const points = model(name === "plane" ? "plane-points" : "energies-here");
      points.connect(points.change, follow);
      model(name).toolbar.active_multi = model(`${name}-tool`);
      model(`${name}-tool`).active = true;
    }
    app.$("plane").addEventListener("keydown", plane.pressed);
    window.toymodels.open = open;
    window.addEventListener("hashchange", () => isPart(location.hash) || open(location.hash));
    open(isPart(location.hash) ? "" : location.hash);
    name();
    window.toymodels.ready = true;
  }

  /* Whether a link leads to a part of the page, and not to a state of it. */
  const isPart = (link) => /^#panel-[a-z]+$/.test(link) && app.$(link.slice(1)) !== null;

  /* Tell screen readers what each slider is: Bokeh names the number above it alone. */
  function name() {
    for (const slider of window.Bokeh.documents[0].roots().flatMap((root) =>
      [...root.select({ type: "Slider" })])) {
      const label = () => window.Bokeh.index.find_one(slider).shadow_el
        .querySelector("[role=slider]").setAttribute("aria-label", slider.title);
      label();
      slider.properties.title.change.connect(label);
    }
  }

  /* The state that a link says; the default one, and a sentence, if it says none. */
  function open(link) {
    let said = "";
    plane.stop();
    life.stop();
    plane.forget();
    const usual = app.start(5, 2, 0.05);
    usual.W = null;
    try {
      Object.assign(state, link.length > 1 ? app.parsed(link) : usual);
    } catch (error) {
      said = `The link could not be followed, since ${error.message}; this is the beginning.`;
      Object.assign(state, usual);
    }
    if (!state.W) {
      state.W = plane.weights("pentagon");
      plane.begin("pentagon");
    }
    tasks.begin("none");
    put("task", { value: "none" });
    plane.sync();
    energies.choose(state.line);
    put("line", { value: state.line });
    put("grid", { value: state.grid });
    put("kind", { value: state.kind });
    phases.choose(state.grid);
    life.choose(state.kind);
    app.show("jump", "");
    app.$("link-said").hidden = !said;
    app.show("link-said", said);
  }

  const wait = () => window.Bokeh && window.Bokeh.documents[0] && model("plane")
    ? begin() : requestAnimationFrame(wait);
  wait();
})();
