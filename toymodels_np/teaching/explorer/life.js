/* Panel 4, a life: six features in three dimensions, two sets of three that are on together.

   The flow follows the exact gradient without noise, training takes batches; both from the same
   first weights. Loss, plateaus and W come from the package. */

const life = (() => {
  "use strict";

  const { state, $, said, show, fill, put, model, range } = app;
  const TURN = [0.5, 0.35], SPEED = 2;            // moments that a frame of the film goes on by

  const solved = new Map();
  let playing = null;

  /* The life that is chosen: {at, loss, shape, W (moments, 3, 6)}. */
  function chosen() {
    const { kind } = state;
    if (!solved.has(kind)) {
      const [at, loss, W] = ["at", "loss", "W"].map((part) =>
        app.floats(app.data.life[`${kind}_${part}`]));
      const first = at[0] > 0 ? 0 : 1;            // a logarithmic axis has no 0
      solved.set(kind, { at: at.slice(first), loss: loss.slice(first), W: W.slice(18 * first),
                         shape: app.data.life[`${kind}_shape`].slice(first) });
    }
    return solved.get(kind);
  }

  const weights = (k) => range(3).map((r) =>
    Array.from(chosen().W.slice(18 * k + 6 * r, 18 * k + 6 * r + 6)));

  function choose(kind) {
    state.kind = kind;
    const { at, loss } = chosen(), flow = kind === "flow", last = at.length - 1;
    const figure = model("life"), plateaus = flow ? app.data.plateaus : [];
    figure.x_range.setv({ start: at[0], end: at[last] });
    figure.below[0].axis_label = flow ? "time" : "steps of training";
    fill("life-curve", { x: Array.from(at), y: Array.from(loss) });
    fill("life-plateaus", { xs: plateaus.map((one) => [one.start, one.end]),
                            ys: plateaus.map((one) => [one.loss, one.loss]) });
    const index = ({ index: down }) => down
      ? `${down} way${down > 1 ? "s" : ""} down` : "minimum";
    fill("life-labels", { x: plateaus.map((one) => one.start), y: plateaus.map((one) => one.loss),
                          said: plateaus.map(index) });
    state.moment = Math.min(state.moment, last);
    put("moment", { end: last, value: state.moment });
    moment(state.moment);
  }

  function moment(k) {
    state.moment = k;
    const { at, loss, shape } = chosen(), W = weights(k);
    fill("life-here", { x: [at[k]], y: [loss[k]] });
    plane.drawColumns("shape", W, TURN, -1);
    show("moment-said", `${state.kind === "flow" ? "time" : "step"} ${said(at[k], 4)}: loss `
      + `${said(loss[k], 6)}, ${shape[k]}`);
  }

  function play() {
    if (playing) return stop();
    const mine = playing = {}, last = () => chosen().at.length - 1;
    put("play", { label: "Stop" });
    if (state.moment >= last()) state.moment = 0;
    const frame = () => {
      if (playing !== mine) return;
      moment(Math.min(last(), state.moment + SPEED));
      put("moment", { value: state.moment });
      if (state.moment < last()) requestAnimationFrame(frame);
      else stop();
    };
    return requestAnimationFrame(frame);
  }

  function stop() {
    playing = null;
    put("play", { label: "Play" });
  }

  function event(name, kind, at) {
    if (name === "shape") {
      plane.turn(TURN, kind, at);
      moment(state.moment);
    } else {
      const { at: times } = chosen(), far = Array.from(times, (t) => Math.abs(Math.log(t / at.x)));
      moment(far.indexOf(Math.min(...far)));
      put("moment", { value: state.moment });
    }
  }

  const CHANGES = {
    "kind": () => choose(model("kind").value),
    "moment": () => moment(model("moment").value),
    "play": play,
  };

  function changed(name) {
    CHANGES[name]();
    plane.link();
  }

  return { CHANGES, changed, choose, event, stop, isPlaying: () => playing !== null };
})();
