/* Panel 2, the energies: what named geometries cost along a parameter, and where the plane is.

   line    {vary, n, m, low, high, crossings, limits, curves}: solved by the package
   v       the parameter       here  the plane's loss, if its law is on the line         */

const energies = (() => {
  "use strict";

  const { state, $, said, show, fill, put, model, range } = app;
  const STEPS = 90;               // of a sweep
  const NUDGE = 1e-4;             // what W is displaced by, so that no saddle holds it
  const TEN = 10;                 // digits of crossings and limits
  const COLOURS = ["#0072B2", "#E69F00", "#009E73"];
  const SWEPT = { down: "#000000", up: "#CC79A7" };

  let dots = [], sweeping = null, marked = [];
  const line = () => app.data.lines.find((one) => one.name === state.line);

  /* {n, m, p, I} on the line at v. */
  function lawAt({ vary, n, m, p }, v) {
    const law = { n, m, p: Array(n).fill(vary === "all" ? v : p), I: Array(n).fill(1) };
    if (vary === "probability") law.p[n - 1] *= v;
    if (vary === "importance") law.I[n - 1] = v;
    return law;
  }

  /* The value at which the plane's law is on the line, or null. */
  function valueOf({ vary, n, m, p }) {
    const last = n - 1, v = vary === "all" ? state.p[0]
      : vary === "importance" ? state.I[last] : state.p[last] / p;
    if (state.n !== n || state.m !== m) return null;
    const law = lawAt({ vary, n, m, p }, v), same = (x, y) => Math.abs(x - y) < 1e-12;
    return law.p.every((q, i) => same(q, state.p[i])) && law.I.every((x, i) => same(x, state.I[i]))
      ? v : null;
  }

  /* What an empty model costs: only constants. */
  const emptyEnergy = ({ p, I }) => p.reduce((e, q, i) => e + I[i] * (q / 3 - q * q / 4), 0);

  // -- what is drawn -----------------------------------------------------------------------------

  function choose(name) {
    state.line = name;
    const { vary, low, high, curves, title } = line(), p = vary !== "importance";
    if (!(state.value >= low && state.value <= high)) state.value = (low + high) / 2;
    const branches = Object.keys(curves), figure = model("energies");
    const ys = branches.map((one) => curves[one].values.map((v, k) =>
      curves[one].loss[k] / emptyEnergy(lawAt(line(), v))));
    fill("energies-curves", { xs: branches.map((one) => curves[one].values), ys,
                              colour: COLOURS.slice(0, branches.length) });
    figure.x_range.setv(p ? { start: high, end: low } : { start: low, end: high });
    figure.y_range.setv({ start: 0, end: 1.15 * Math.max(...ys.flat()) });
    model("energies").below[0].axis_label = title + (p ? "\n(dense to sparse)" : "");
    const marks = [...line().crossings.map((one) => [one.value, "#000000"]),
                   ...line().limits.map((one) => [one.value, "#999999"])];
    fill("energies-marks", { x: marks.map(([v]) => v), colour: marks.map(([, c]) => c) });
    put("value", { start: low, end: high, visible: !p });
    put("sparse", { start: low, end: high, visible: p });
    showValue();
    clear();
    legend([...branches.map((name, k) => [name, COLOURS[k]]),
            ...Object.entries(SWEPT).map(([way, colour]) => [`swept ${way}`, colour])]);
    points();
    follow();
  }

  /* Of two sliders for the value, one runs from dense to sparse. */
  function showValue() {
    put("value", { value: state.value });
    put("sparse", { value: state.value });
  }

  /* The names of the curves, in their colours. */
  function legend(all) {
    $("curves").replaceChildren(...all.map(([name, colour]) => {
      const item = document.createElement("li");
      item.style.setProperty("--colour", colour);
      item.textContent = name;
      return item;
    }));
  }

  /* Crossings and limits to ten digits. */
  function points() {
    const { crossings, limits } = line();
    const rows = [
      ...crossings.map(({ branches, value }) => [`${branches.join(" and ")} cost the same`, value]),
      ...limits.map(({ branch, value, kind }) => [`${branch} stops being a minimum (${kind})`,
                                                  value])];
    $("points").replaceChildren(...rows.map(([text, value]) => {
      const row = document.createElement("tr");
      for (const words of [text, said(value, TEN)]) {
        const cell = document.createElement("td");
        cell.textContent = words;
        row.append(cell);
      }
      return row;
    }));
  }

  /* The plane changed: the marker goes where it is. */
  function follow() {
    const v = valueOf(line()), last = plane.last();
    marked = [];
    if (v === null || !last) {
      fill("energies-here", { x: [], y: [] });
      show("here", last ? "The plane is not on this line: press “Bring the plane here”."
        : "–");
      return;
    }
    if (v >= line().low && v <= line().high) state.value = v;
    showValue();
    marked = [v, last.loss / emptyEnergy(app.law())];
    fill("energies-here", { x: [marked[0]], y: [marked[1]] });
    show("here", `At ${said(v, 6)} the plane, ${names.geometry(state.W)}, costs `
      + `${said(last.loss)}, ${said(last.loss / emptyEnergy(app.law()), 6)} of an empty model.`);
  }

  // -- what is pressed ---------------------------------------------------------------------------

  /* Move to v, with the plane's W as it is, if the plane is on the line. */
  function moveTo(v) {
    const { low, high } = line(), on = valueOf(line()) !== null;
    state.value = Math.min(high, Math.max(low, v));
    if (!on) return [showValue(), follow()];
    plane.stop();
    const { p, I } = lawAt(line(), state.value);
    Object.assign(state, { p, I });
    return plane.sync();
  }

  /* The plane at this value, in the branch that costs least there. */
  function bring() {
    const law = lawAt(line(), state.value), all = Object.values(line().curves);
    const found = all.map((one) => search.relax({ W: one.W, b: one.b }, law));
    const best = found.sort((x, y) => x.loss - y.loss)[0];
    plane.load({ ...law, W: best.W, b: best.b }, true);
  }

  /* Bokeh's tool moved the marker, or took it away: it stays on its curve. */
  function dragged() {
    const { x, y } = model("energies-here").data;
    if (String([...x, ...y]) === String(marked)) return;
    if (x.length === 1 && Math.abs(x[0] - marked[0]) > 1e-12) moveTo(x[0]);
    else follow();
  }

  function clear() {
    dots = [];
    fill("energies-sweep", { x: [], y: [], colour: [] });
    show("swept", "");
  }

  /* Follow descent from here to an end of the line, a step a frame. */
  function sweep(end) {
    if (valueOf(line()) === null) bring();
    plane.stop();
    const from = state.value, swept = line(), draw = search.random(state, 1);
    let name = names.geometry(state.W), step = 0;
    const mine = sweeping = {};
    show("swept", `${name} at ${said(from, 4)}`);
    const frame = () => {
      if (sweeping !== mine) return undefined;
      if (line() !== swept || valueOf(swept) === null || step > STEPS) return finish();
      const v = from + (end - from) * step++ / STEPS, law = lawAt(line(), v);
      const W = state.W.map((row, r) => row.map((w, i) => w + NUDGE * draw[r][i]));
      const found = search.relax({ W, b: state.b }, law), now = names.geometry(found.W);
      Object.assign(state, { p: law.p, I: law.I, W: found.W, b: found.b, value: v });
      if (now !== name) show("swept", `${$("swept").textContent}, ${now} from ${said(v, 4)} on`);
      name = now;
      dots.push([v, found.loss / emptyEnergy(law), SWEPT[end < from ? "down" : "up"]]);
      fill("energies-sweep", { x: dots.map(([x]) => x), y: dots.map(([, y]) => y),
                               colour: dots.map(([, , colour]) => colour) });
      plane.sync();
      return requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  /* End the sweep, if there is one. */
  function finish() {
    if (sweeping) show("swept", `${$("swept").textContent}, to ${said(state.value, 4)}.`);
    sweeping = null;
  }

  const CHANGES = {
    "line": () => choose(model("line").value),
    "value": () => moveTo(model("value").value),
    "sparse": () => moveTo(model("sparse").value),
    "bring": bring,
    "sweep-down": () => sweep(line().low),
    "sweep-up": () => sweep(line().high),
    "clear": clear,
  };

  function changed(name) {
    finish();
    CHANGES[name]();
    plane.link();
  }

  /* A tap on the figure moves the marker there. */
  const event = (kind, { x }) => moveTo(x);

  return { CHANGES, changed, choose, follow, dragged, event, finish,
           isSweeping: () => sweeping !== null };
})();
