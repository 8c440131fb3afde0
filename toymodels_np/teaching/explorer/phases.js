/* Panel 3, the phase diagram: true minima on a fine grid beside the paper's candidates.

   r, c    row and column of a cell: importance of the last feature, probability of all
   u, v    where it is in the figures: -log10 p, and log10 of the importance                     */

const phases = (() => {
  "use strict";

  const { state, said, show, fill, model, range } = app;
  const DARKER = 0.45;            // of cells in which the candidates say otherwise
  const SPAN = 2;                 // decades along each axis

  const solved = new Map();

  /* The grid that is chosen, each cell with W, b and names; worked out when first asked for. */
  function grid() {
    if (!solved.has(state.grid)) solved.set(state.grid, unpacked(app.data.grids[state.grid]));
    return solved.get(state.grid);
  }

  function unpacked(given) {
    const { n, m, cells, candidates, lowest } = given;
    const W = app.floats(given.W), b = app.floats(given.b);
    const best = candidates.map((one) => ({ ...one, geometry: names.geometry(one.W) }));
    const all = range(cells * cells).map((k) => {
      const rows = range(m).map((r) => Array.from(W.slice((k * m + r) * n, (k * m + r + 1) * n)));
      const cell = { W: rows, b: Array.from(b.slice(k * n, (k + 1) * n)),
                     candidate: best[lowest[k]],
                     geometry: names.geometry(rows), phase: names.phase(rows) };
      cell.differs = cell.phase !== cell.candidate.phase
        || cell.geometry !== cell.candidate.geometry;
      return cell;
    });
    return { ...given, all };
  }

  function choose(name) {
    state.grid = name;
    const { all, cells } = grid();
    paint("minima", (cell) => [cell.phase, false]);
    paint("candidates", (cell) => [cell.candidate.phase, cell.differs]);
    const count = all.filter((cell) => cell.differs).length;
    show("differ", `The candidates say otherwise in ${count} of ${cells * cells} cells (darker).`);
    leave();
  }

  /* Colour the cells of a figure; a row of its image is an importance, p runs to the right. */
  function paint(name, look) {
    const { all, cells } = grid(), source = model(`${name}-cells`), [image] = source.data.image;
    all.forEach((cell, k) => {
      const [phase, darker] = look(cell), r = Math.floor(k / cells), c = k % cells;
      const colour = parseInt(app.data.phaseColours[phase].slice(1), 16);
      const part = [16, 8, 0].map((bits) => (colour >> bits & 255) * (darker ? 1 - DARKER : 1));
      image[r * cells + cells - 1 - c] =
        (255 << 24 | part[2] << 16 | part[1] << 8 | part[0]) >>> 0;
    });
    source.change.emit();
  }

  /* The cell at a place of the figures, {k, r, c}, or null outside. */
  function at({ x, y }) {
    const { cells } = grid(), r = Math.floor((y + 1) / SPAN * cells);
    const c = cells - 1 - Math.floor(x / SPAN * cells);
    return r >= 0 && r < cells && c >= 0 && c < cells ? { k: r * cells + c, r, c } : null;
  }

  const law = ({ r, c }) => {
    const { n, m, importance, probability } = grid();
    const I = Array(n).fill(1);
    I[n - 1] = importance[r];
    return { n, m, p: Array(n).fill(probability[c]), I };
  };

  function point(place) {
    const cell = grid().all[place.k], { p, I, n } = law(place);
    const loss = exact.expectedLoss(cell.W, cell.b, p, I), short = (x) => said(x, 4);
    show("cell", `p = ${short(p[0])}, importance ${short(I[n - 1])}: ${cell.geometry}, the last `
      + `feature ${cell.phase}; energy ${said(loss, 10)}. W = [${cell.W.map((row) =>
        row.map(short).join(", ")).join("; ")}], b = [${cell.b.map(short).join(", ")}]. The `
      + `paper's candidate: ${cell.candidate.geometry}, the last feature ${cell.candidate.phase}.`);
    const { cells } = grid(), here = { x: [(cells - 0.5 - place.c) / cells * SPAN],
                                       y: [(place.r + 0.5) / cells * SPAN - 1] };
    for (const name of ["minima-here", "candidates-here"]) fill(name, here);
  }

  function leave() {
    for (const name of ["minima-here", "candidates-here"]) fill(name, { x: [], y: [] });
    show("cell", "Point at a cell; click it, and the plane shows it.");
  }

  function event(kind, where) {
    const place = kind === "leave" ? null : at(where);
    if (!place) {
      leave();
      return;
    }
    point(place);
    if (kind !== "tap") return;
    const { W, b } = grid().all[place.k];
    plane.load({ ...law(place), W, b }, true);
    show("jump", `${names.geometry(W)}, the true minimum of the cell that was clicked`);
  }

  const CHANGES = { "grid": () => choose(model("grid").value) };

  function changed(name) {
    CHANGES[name]();
    plane.link();
  }

  return { CHANGES, changed, choose, event, grid };
})();
