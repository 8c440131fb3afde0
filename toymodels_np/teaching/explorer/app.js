/* The state of the page, what it shows in words, and the link that reproduces it.

   state    n, m, W, b, p, I as in exact.js; best, whether biases follow W; chosen, a feature;
            turn, two angles of the view; line, value, grid, kind, moment of the other panels
   $        an element by its id        model    one of Bokeh's by its name */

const app = (() => {
  "use strict";

  const data = JSON.parse(document.getElementById("data").textContent);
  const LARGEST = 10, LONGEST = 6000;     // number in W or b, letters of a link, at most
  const DIGITS = 12;                      // of a loss that is shown

  const $ = (id) => document.getElementById(id);
  const model = (name) => window.Bokeh.documents[0].get_model_by_name(name);
  const range = (n) => Array.from({ length: n }, (_, i) => i);
  const start = (n, m, p) => ({
    n, m, W: range(m).map(() => Array(n).fill(0)), b: Array(n).fill(0), p: Array(n).fill(p),
    I: Array(n).fill(1), best: true, chosen: 0, turn: [0.5, 0.35], line: "importance", value: 1,
    grid: "2_1", kind: "flow", moment: 0, task: "none",
  });
  const state = start(5, 2, 0.05);
  const law = () => ({ n: state.n, m: state.m, p: state.p, I: state.I });

  // -- words -------------------------------------------------------------------------------------

  /* A number as text; one that is none is a dash, and never NaN. */
  const said = (x, digits = DIGITS) => Number.isFinite(x) ? String(+x.toPrecision(digits)) : "–";

  const show = (id, text) => {
    if ($(id).textContent !== text) $(id).textContent = text;
  };

  /* What went wrong, in a sentence; "" for nothing. */
  const warn = (sentence) => {
    $("warning").hidden = !sentence;
    show("warning", sentence);
  };

  /* New columns for one of Bokeh's sources. */
  const fill = (name, columns) => {
    model(name).data = columns;
  };

  let silent = false;

  /* Set a widget without hearing of it. */
  function put(name, properties) {
    const before = silent;
    silent = true;
    model(name).setv(properties);
    silent = before;
  }

  // -- links -------------------------------------------------------------------------------------

  const list = (a) => a.join(",");

  function link() {
    const { n, m, W, b, p, I, best, chosen, turn, line, value, grid, kind, moment } = state;
    const alike = (a) => new Set(a).size === 1 ? String(a[0]) : list(a);
    const parts = { n, m, p: alike(p), I: alike(I), W: W.map(list).join(";"),
                    b: best ? "best" : list(b), chosen, turn: list(turn), line, value, grid, kind,
                    moment };
    return "#" + Object.entries(parts).map(([key, text]) => `${key}=${text}`).join("&");
  }

  /* The state that a link says. Throws a sentence where it says none. */
  function parsed(text) {
    if (text.length > LONGEST) throw new Error("it is too long");
    const given = new Map(decodeURIComponent(text.replace(/^#/, "")).split("&").map((part) => {
      const [key, ...value] = part.split("=");
      return [key, value.join("=")];
    }));
    const known = Object.keys(start(1, 1, 1)).filter((key) => !["best", "task"].includes(key));
    for (const key of given.keys())
      if (!known.includes(key)) throw new Error(`it has no "${key.slice(0, 20)}"`);
    const has = (key, usual) => given.get(key) ?? String(usual);
    const n = within("n", whole(has("n", 5)), 1, 8), m = within("m", whole(has("m", 2)), 1, 3);
    const numbers = (key, words, low, high, length) => {
      const all = words.split(",").map(real).map((x) => within(key, x, low, high));
      if (all.length === 1 && length > 1 && "pI".includes(key)) return Array(length).fill(all[0]);
      if (all.length !== length) throw new Error(`${key} should have ${length} numbers`);
      return all;
    };
    const made = start(n, m, 0.05), best = has("b", "best") === "best";
    made.p = numbers("p", has("p", 0.05), 1e-4, 1, n);
    made.I = numbers("I", has("I", 1), 0, 100, n);
    if (!made.I.some((x) => x > 0)) throw new Error("no feature matters");
    made.best = best;
    if (!best) made.b = numbers("b", has("b", ""), -LARGEST, LARGEST, n);
    const rows = given.has("W") ? given.get("W").split(";") : [];
    if (rows.length && rows.length !== m) throw new Error(`W should have ${m} rows`);
    made.W = rows.length ? rows.map((row) => numbers("W", row, -LARGEST, LARGEST, n)) : null;
    made.turn = numbers("turn", has("turn", "0.5,0.35"), -100, 100, 2);
    made.chosen = within("chosen", whole(has("chosen", 0)), 0, n - 1);
    made.moment = within("moment", whole(has("moment", 0)), 0, 1e4);
    made.line = among("line", has("line", "importance"), data.lines.map((one) => one.name));
    made.grid = among("grid", has("grid", "2_1"), Object.keys(data.grids));
    made.kind = among("kind", has("kind", "flow"), ["flow", "training"]);
    const { low, high } = data.lines.find((one) => one.name === made.line);
    made.value = within("value", real(has("value", (low + high) / 2)), low, high);
    return made;
  }

  function real(text) {
    if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?$/i.test(text))
      throw new Error(`"${text.slice(0, 20)}" is no number`);
    return Number(text);
  }

  function whole(text) {
    if (!/^\d{1,4}$/.test(text)) throw new Error(`"${text.slice(0, 20)}" is no whole number`);
    return Number(text);
  }

  function within(key, x, low, high) {
    if (!(x >= low && x <= high)) throw new Error(`${key} should lie between ${low} and ${high}`);
    return x;
  }

  function among(key, text, choices) {
    if (!choices.includes(text)) throw new Error(`${key} should be one of ${choices.join(", ")}`);
    return text;
  }

  // -- Python ------------------------------------------------------------------------------------

  /* The lines of Python that compute the loss that is shown. */
  const python = () => `import numpy as np
import toymodels_np as tm

W = np.array(${JSON.stringify(state.W)})
b = np.array(${JSON.stringify(state.b)})
features = tm.Features(${state.n}, ${JSON.stringify(state.p)}, ${JSON.stringify(state.I)})
print(tm.expected_loss(tm.ReluOutput(W, b), features))
`;

  /* Put a text where it can be copied from, and on the clipboard if the browser lets us. */
  function copy(text, what) {
    $("copied").value = text;
    $("copied").hidden = false;
    show("copied-said", `${what}: copied, or to be copied from here.`);
    $("copied").select();
    if (navigator.clipboard) navigator.clipboard.writeText(text).catch(() => {});
  }

  /* A base64 array of the page as nested arrays, or its flat numbers. */
  function floats({ floats: text }) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new Float32Array(bytes.buffer);
  }

  return { data, state, law, start, range, $, model, said, show, warn, fill, put, link, parsed,
           python, copy, floats, isSilent: () => silent };
})();
