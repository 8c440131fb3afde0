/* The challenge: five tasks, each a law to begin with and a sentence that can be checked. */

const tasks = (() => {
  "use strict";

  const { state, $, show, said, data } = app;
  const STOPPED = 1e-6;           // a gradient up to this is where descent stops
  const done = new Set();

  const chosen = () => data.tasks[Number(state.task)];

  function begin(name) {
    state.task = name;
    const task = chosen();
    if (task) {
      const { n, m, p } = task;
      Object.assign(state, app.start(n, m, p), { task: name, line: state.line, grid: state.grid,
                                                 value: state.value, kind: state.kind,
                                                 moment: state.moment, turn: state.turn });
      plane.resize(n, m, task.preset);
    }
    words();
  }

  /* A frame has this loss and slope, and is `mine` or what a search found: is the task done? */
  function check({ loss, slope }, mine) {
    const task = chosen();
    if (!task) return;
    const { n, m, p } = task;
    const lawful = state.n === n && state.m === m && state.p.every((q) => q === p)
      && state.I.every((x) => x === 1);
    const reached = task.below ? loss < task.below : loss > task.above && slope < STOPPED;
    if (mine && lawful && reached) done.add(task);
    words();
  }

  function words() {
    const task = chosen();
    $("task").hidden = !task;
    if (!task) return;
    const goal = task.below ? ` Get below ${said(task.below, 6)}.` : "";
    show("task-text", `${task.title}. ${task.text}${goal}`);
    show("task-done", done.has(task) ? "Done!" : "Not yet.");
    $("task").classList.toggle("done", done.has(task));
    show("task-count", `${done.size} of ${data.tasks.length} done`);
  }

  return { begin, check };
})();
