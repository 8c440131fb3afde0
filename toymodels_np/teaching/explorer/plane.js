/* Panel 1, the plane: columns of W to be dragged, and all that follows from them at once.

   R        (3, 3)  how the view is turned, for m = 3
   records  the lowest loss so far, a law      truth   the lowest minimum that is known
   theirs   W'W as the page found it: a search's minimum, and what is near it, is not yours     */

const plane = (() => {
  "use strict";

  const { state, $, said, show, fill, put, model, range } = app;
  const STEP = 0.01, NEAR = 0.12;         // of the arrow keys; of a point that is meant
  const BUDGET = 8;                       // milliseconds of descent in a frame
  const ARRIVED = 1e-5;                   // slope from which on the rest is polished
  const NOTHING = 1e-9;                   // the norm of a feature that has been dropped, at most
  const NUDGED = 0.15;                    // part of W'W up to which W is still the page's
  const AS_IT_IS = "as it is";            // among the shapes to begin with: none of them
  const AGREE = 1e-9;                     // what the two ways to the loss may differ by

  let records = new Map(), truth = new Map(), running = null, last = null;
  let begun = { name: "pentagon", W: "" };             // the shape that W began with
  let theirs = null;
  const key = () => JSON.stringify(app.law());
  const isRunning = () => running && running.what;

  /* Whether W is what the page found, but for a nudge, a descent back to it or a rotation. */
  function isTheirs() {
    const far = (A, B) => Math.hypot(...A.flatMap((row, i) => row.map((x, j) => x - B[i][j])));
    const G = exact.gram(state.W), none = G.map((row) => row.map(() => 0));
    return theirs !== null && far(G, theirs) <= NUDGED * far(theirs, none);
  }

  const forget = () => {
    theirs = null;
  };

  /* A loss as far as it is known: nothing, where rounding may be all of it. */
  const sure = ({ loss, error }) => loss > error ? loss : 0;
  const exactly = (loss) => loss ? said(loss) : "0, to rounding";

  // -- shapes to begin with ----------------------------------------------------------------------

  const ring = (k, size = 1) => range(k).map((i) =>
    [size * Math.cos(2 * Math.PI * i / k), size * Math.sin(2 * Math.PI * i / k), 0]);
  const turned = (points, angle) => points.map(([x, y, z]) =>
    [x * Math.cos(angle) - y * Math.sin(angle), x * Math.sin(angle) + y * Math.cos(angle), z]);
  const axis = (d) => [1, -1].map((sign) => range(3).map((r) => r === d ? sign : 0));
  const SHAPES = {
    "pentagon": () => turned(ring(5), Math.PI / 2),
    "digons": () => range(state.m).flatMap(axis),
    "triangle + digon": () => [...turned(ring(3), Math.PI / 2), ...axis(state.m === 3 ? 2 : 0)],
    "square": () => turned(ring(4), Math.PI / 4),
    "hexagon": () => turned(ring(6), Math.PI / 2),
    "dropped": () => [],
  };

  /* W of a shape: its corners for the first features, nothing for the others. As it is, W keeps
     what there is room for. */
  function weights(name) {
    if (name === AS_IT_IS)
      return range(state.m).map((r) => range(state.n).map((i) => state.W[r]?.[i] ?? 0));
    if (name === "random") return inside(search.random(state, Math.floor(Math.random() * 2 ** 32)));
    const corners = SHAPES[name]();
    return range(state.m).map((r) => range(state.n).map((i) => corners[i] ? corners[i][r] : 0));
  }

  /* W with columns no longer than the plane is wide: one beyond its edge could not be dragged. */
  function inside(W) {
    const room = 0.95 * model("plane").x_range.end;
    const scale = names.norms(W).map((length) => Math.min(1, room / length));
    return W.map((row) => row.map((x, i) => x * scale[i]));
  }

  const allWeights = () => Object.keys(SHAPES).map(weights);

  // -- the view ----------------------------------------------------------------------------------

  function rotation([a, b]) {
    const [ca, sa, cb, sb] = [Math.cos(a), Math.sin(a), Math.cos(b), Math.sin(b)];
    return [[ca, 0, sa], [sa * sb, cb, -ca * sb], [-sa * cb, sb, ca * cb]];
  }

  /* Columns of W (m rows) as [x, y, depth]; in one dimension they lie on a line. */
  function seen(W, turn) {
    const columns = W[0].map((_, i) => range(3).map((r) => W[r] ? W[r][i] : 0));
    if (W.length < 3) return columns;
    const R = rotation(turn);
    return columns.map((w) => R.map((row) => row.reduce((x, r, k) => x + r * w[k], 0)));
  }

  /* Draw columns into the figure `name`; the chosen one has a black edge. */
  function drawColumns(name, W, turn, chosen) {
    const points = seen(W, turn), colour = points.map((_, i) => app.data.colours[i]);
    const deep = W.length === 3 ? points.map((w) => 1 + 0.25 * Math.max(-1, Math.min(1, w[2])))
      : points.map(() => 1);
    fill(`${name}-spokes`, { xs: points.map((w) => [0, w[0]]), ys: points.map((w) => [0, w[1]]),
                             colour });
    fill(`${name}-points`, {
      x: points.map((w) => w[0]), y: points.map((w) => w[1]), colour,
      edge: points.map((_, i) => i === chosen ? "#000000" : "#ffffff"),
      size: deep.map((d) => 24 * d), number: points.map((_, i) => String(i)) });
  }

  /* A column was dragged to (x, y) on the screen: W moves in the plane of the screen. */
  function dragTo(i, x, y) {
    const was = seen(state.W, state.turn)[i], step = [x - was[0], y - was[1], 0];
    const R = rotation(state.turn);
    for (let r = 0; r < state.m; r++)
      state.W[r][i] += state.m < 3 ? step[r] : range(3).reduce((t, k) => t + R[k][r] * step[k], 0);
    clip(i);
  }

  const clip = (i) => state.W.forEach((row) => {
    row[i] = Math.max(-10, Math.min(10, row[i]));
  });

  // -- one frame ---------------------------------------------------------------------------------

  /* All numbers of a frame: loss, gradient, split, best biases. Throws a sentence in doubt. */
  function computed() {
    const began = performance.now();
    if (state.best) state.b = search.bestBiases(state.W, state.p);
    const result = exact.solve(state, true), parts = exact.split(state);
    const total = parts.byCount.reduce((x, y) => x + y, 0);
    if (!(Math.abs(total - result.loss) <= AGREE * Math.max(result.loss, search.empty(state))))
      throw new RangeError("two ways to the loss disagree here, so none is shown");
    const slope = Math.hypot(...result.dW.flat(), ...result.db) / search.empty(state);
    return { ...result, ...parts, slope, took: performance.now() - began };
  }

  function refresh() {
    try {
      last = computed();
      app.warn("");
    } catch (error) {
      last = null;
      app.warn(`No loss is shown: ${error.message}.`);
      for (const id of ["loss", "slope", "name", "above", "split"]) show(id, "–");
      $("features").replaceChildren();
      energies.follow();
      return;
    }
    const best = records.get(key()), mine = !isTheirs();
    if (mine && !(best <= sure(last))) records.set(key(), sure(last));
    draw();
    words();
    tasks.check(last, mine);
    energies.follow();
    window.toymodels.lastFrame = last.took;
  }

  function draw() {
    drawColumns("plane", state.W, state.turn, state.chosen);
    const { byOutput, byCount } = last, { n } = state;
    const high = (a) => 1.1 * Math.max(...a, 1e-300);
    const bars = (name, a, colour) => {
      fill(`${name}-bars`, { x: range(a.length), top: a.map((x) => Math.max(x, 0)), colour });
      model(name).x_range.setv({ start: -0.6, end: a.length - 0.4 });
      model(name).y_range.setv({ end: high(a) });
    };
    bars("outputs", byOutput, app.data.colours.slice(0, n));
    bars("counts", byCount, byCount.map(() => "#7F7F7F"));
    const G = exact.gram(state.W), cells = range(n * n), of = (k) => G[Math.floor(k / n)][k % n];
    fill("gram-cells", {
      x: cells.map((k) => k % n), y: cells.map((k) => Math.floor(k / n)),
      said: cells.map((k) => Math.abs(of(k)) < 0.005 ? "0" : of(k).toFixed(n > 6 ? 1 : 2)),
      colour: cells.map((k) => shade(of(k))),
      ink: cells.map((k) => Math.abs(of(k)) > 0.7 ? "white" : "black") });
    model("gram").x_range.setv({ end: n - 0.5 });
    model("gram").y_range.setv({ start: n - 0.5 });
  }

  /* White at 0, blue for what helps, vermilion for what disturbs downwards. */
  function shade(x) {
    const part = Math.min(Math.abs(x), 1), end = x > 0 ? [0, 114, 178] : [213, 94, 0];
    return `rgb(${end.map((c) => Math.round(255 + part * (c - 255))).join(",")})`;
  }

  // -- words -------------------------------------------------------------------------------------

  function words() {
    const low = truth.get(key()), mine = records.get(key());
    show("loss", exactly(sure(last)));
    show("slope", said(last.slope, 3));
    show("name", names.geometry(state.W));
    show("mine", mine === undefined ? "none yet" : exactly(mine));
    show("truth", low ? exactly(low.loss) : "press “True minimum”");
    show("above", !low || mine === undefined ? "" : mine <= low.loss * (1 + 1e-9) ? "you have it"
      : low.loss ? `your best is ${said(100 * (mine / low.loss - 1), 3)} % above it`
        : `your best loses ${said(mine, 3)}, the true minimum nothing`);
    table();
  }

  /* One row a feature: norm, share of a dimension, bias, law, loss of its output. */
  function table() {
    const length = names.norms(state.W), share = names.dimensionalities(state.W);
    const rows = range(state.n).map((i) => [i, ...(length[i] > NOTHING
      ? [length[i], share[i]] : [0, 0]), state.b[i], state.p[i], state.I[i],
    Math.max(last.byOutput[i], 0)].map((x) => said(x, 6)));
    $("features").replaceChildren(...rows.map((cells, i) => {
      const row = document.createElement("tr");
      row.style.setProperty("--colour", app.data.colours[i]);
      row.classList.toggle("chosen", i === state.chosen);
      row.append(...cells.map((text) => {
        const cell = document.createElement("td");
        cell.textContent = text;
        return cell;
      }));
      return row;
    }));
    show("split", last.byCount.map((x, k) => `${k} on: ${said(x, 6)}`).join("; "));
  }

  // -- what is pressed ---------------------------------------------------------------------------

  /* A new n, m or shape: what the law says of the first features stays. */
  function resize(n, m, name) {
    stop();
    const kept = (a) => range(n).map((i) => a[i] ?? a[a.length - 1]);
    if (n !== state.n || name !== AS_IT_IS) forget();
    Object.assign(state, { n, m, p: kept(state.p), I: kept(state.I) });
    if (!state.I.some((x) => x > 0)) state.I = Array(n).fill(1);
    state.chosen = Math.min(state.chosen, n - 1);
    state.W = weights(name);
    if (name !== AS_IT_IS) begin(name);
    if (!state.best) state.b = search.bestBiases(state.W, state.p);
    show("jump", "");
    sync();
  }

  /* The list says a shape's name for as long as W is what it was. */
  function begin(name) {
    begun = { name, W: JSON.stringify(state.W) };
  }

  /* Begin with a shape; where there is no room for it, n and m grow. */
  function preset(name) {
    if (name === AS_IT_IS) return;
    const [n, m] = { "pentagon": [5, 2], "square": [4, 2], "hexagon": [6, 2],
                     "triangle + digon": [5, 3] }[name] || [1, 1];
    resize(Math.max(n, state.n), Math.max(m, state.m), name);
  }

  /* A whole configuration: {n, m, W, b, p, I}. It counts as yours unless the page found it. */
  function load(given, found = false) {
    stop();
    theirs = found ? exact.gram(given.W) : null;
    Object.assign(state, given);
    state.W = given.W.map((row) => [...row]);
    state.b = [...given.b];
    state.chosen = Math.min(state.chosen, state.n - 1);
    show("jump", "");
    sync();
  }

  /* Let the widgets show the state, then all else. */
  function sync() {
    const { n, m, p, I, b, best, chosen } = state;
    put("n", { value: String(n) });
    put("m", { value: String(m) });
    put("preset", { value: JSON.stringify(state.W) === begun.W ? begun.name : AS_IT_IS });
    put("chosen", { options: range(n).map((i) => [String(i), `feature ${i}`]),
                    value: String(chosen) });
    const alike = p.every((q) => q === p[0]);
    put("p", { title: alike ? "p of all features" : "mean p of all features",
               value: alike ? p[0] : p.reduce((x, y) => x + y, 0) / n });
    put("p-one", { value: p[chosen] });
    put("importance-one", { value: I[chosen] });
    put("bias", { active: best ? 0 : 1 });
    put("bias-one", { value: b[chosen], disabled: best });
    refresh();
    put("bias-one", { value: state.b[chosen] });
    link();
  }

  let pending = 0;

  /* The link follows the state, but not more often than a browser likes. */
  function link() {
    clearTimeout(pending);
    pending = setTimeout(() => history.replaceState(null, "", app.link()), 150);
  }

  const CHANGES = {
    "n": () => resize(Number(model("n").value), state.m, model("preset").value),
    "m": () => resize(state.n, Number(model("m").value), model("preset").value),
    "preset": () => preset(model("preset").value),
    "p": () => { state.p = state.p.map(() => model("p").value); },
    "chosen": () => { state.chosen = Number(model("chosen").value); },
    "p-one": () => { state.p[state.chosen] = model("p-one").value; },
    "importance-one": () => importance(model("importance-one").value),
    "bias": () => { state.best = model("bias").active === 0; },
    "bias-one": () => { state.b[state.chosen] = model("bias-one").value; },
    "descend": () => isRunning() === "descent" ? stop() : descend(),
    "minimum": () => isRunning() === "search" ? stop() : lowest(),
    "link": () => app.copy(location.href.split("#")[0] + app.link(), "This link"),
    "python": () => app.copy(app.python(), "These lines of Python"),
  };

  function importance(value) {
    state.I[state.chosen] = value;
    if (!state.I.some((x) => x > 0)) state.I[state.chosen] = 0.01;
  }

  function changed(name) {
    const mover = !["link", "python", "chosen"].includes(name);
    if (mover && !["descend", "minimum"].includes(name)) stop();
    CHANGES[name]();
    if (mover || name === "chosen") sync();
  }

  // -- dragging ----------------------------------------------------------------------------------

  let turning = false;

  /* Bokeh's tool moved points, or took one away: the state follows. */
  function dragged() {
    const { x, y } = model("plane-points").data;
    if (x.length !== state.n) return refresh();             // Backspace takes a point: not here
    const points = seen(state.W, state.turn);
    const moved = range(state.n).filter((i) =>
      Math.hypot(x[i] - points[i][0], y[i] - points[i][1]) > 1e-9);
    if (!moved.length) return undefined;
    stop();
    moved.forEach((i) => dragTo(i, x[i], y[i]));
    state.chosen = moved[0];
    return sync();
  }

  const nearest = ({ x, y }) => {
    const far = seen(state.W, state.turn).map((w) => Math.hypot(w[0] - x, w[1] - y));
    const i = far.indexOf(Math.min(...far));
    return far[i] < NEAR ? i : -1;
  };

  function event(kind, at) {
    if (kind === "tap" && nearest(at) >= 0) {
      state.chosen = nearest(at);
      sync();
    }
    if (kind === "panstart") turning = state.m === 3 && nearest(at) < 0;
    if (kind === "panend") turning = false;
    if (turning) turn(state.turn, kind, at);
    if (turning) sync();
  }

  let finger = [0, 0];

  /* Turn a view by as many pixels as a finger moved since it was last heard of. */
  function turn(angles, kind, { sx, sy }) {
    if (kind !== "panstart") {
      angles[0] += 0.01 * (sx - finger[0]);
      angles[1] += 0.01 * (sy - finger[1]);
    }
    finger = [sx, sy];
  }

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const number = Number(event.key), arrow = ARROWS[event.key];
    if (event.key !== " " && number >= 0 && number < state.n) state.chosen = number;
    else if (arrow && state.m === 3 && event.shiftKey)
      state.turn = state.turn.map((x, k) => x + 0.1 * (k ? -1 : 1) * arrow[k]);
    else if (arrow) {
      const w = seen(state.W, state.turn)[state.chosen], step = STEP * (event.shiftKey ? 10 : 1);
      dragTo(state.chosen, w[0] + step * arrow[0], w[1] + step * arrow[1]);
    } else if (event.key === "d") return changed("descend");
    else if (event.key === "t") return changed("minimum");
    else return;
    event.preventDefault();
    if (arrow) stop();
    sync();
  }

  // -- descent and minima ------------------------------------------------------------------------

  /* End all that moves W by itself: a descent, a search, a sweep. */
  function stop() {
    running = null;
    energies.finish();
    put("descend", { label: "Descend" });
    put("minimum", { label: "True minimum" });
  }

  /* Call `work` once a frame until it says that it is done, or somebody stops it. */
  function run(what, name, label, work) {
    stop();
    const mine = running = { what };            // a loop that is older than the last press ends
    put(name, { label });
    const frame = () => {
      if (running !== mine) return;
      if (work()) stop();
      else requestAnimationFrame(frame);
      sync();
    };
    requestAnimationFrame(frame);
  }

  function descend() {
    let rate = 1;
    run("descent", "descend", "Stop", () => {
      const law = app.law();
      for (const began = performance.now(); performance.now() - began < BUDGET;) {
        const next = search.stepDown(state, law, rate);
        Object.assign(state, { W: next.W, b: next.b });
        rate = next.rate;
        if (!rate || next.slope < ARRIVED) {
          const { W, b } = search.relax(state, law);
          Object.assign(state, { W, b });
          return true;
        }
      }
      return false;
    });
  }

  function lowest() {
    const asked = key(), law = JSON.parse(asked), mine = last && sure(last);
    const found = search.lowest(law, [state.W.map((row) => [...row]), ...allWeights()]);
    let starts = 0;
    run("search", "minimum", "Stop", () => {
      if (key() !== asked) {
        show("jump", "The law has changed, so that this search was given up.");
        return true;
      }
      const { value, done } = found.next();
      starts += !done;
      show("jump", `${starts} starts so far`);
      if (!done) return false;
      const low = sure(exact.solve({ ...law, ...value }, false));
      truth.set(asked, { ...value, loss: low });
      const were = !(mine > low * (1 + 1e-9)) ? "you were there already"
        : low ? `you were ${said(100 * (mine / low - 1), 4)} % above it`
          : `it loses nothing, and you lost ${said(mine, 4)}`;
      Object.assign(state, { W: value.W, b: value.b });
      theirs = exact.gram(value.W);
      show("jump", `${names.geometry(value.W)}, the lowest of ${starts} starts (a search, not a `
        + `proof): ${were}`);
      return true;
    });
  }

  return { CHANGES, changed, event, dragged, pressed, refresh, resize, begin, forget, load, sync,
           weights, stop, drawColumns, turn, link, isRunning, last: () => last,
           truth: () => truth.get(key()) };
})();
