/* The exact expected loss of ReluOutput(W, b) on independent features, its gradient and its split.

   n, m    features (at most 8), hidden dimensions     p, I  (n)  feature probability, importance
   W       m rows of n numbers       b  (n)  bias      G     W'W; row i, g, belongs to output i
   z       b + sum_j g_j x_j, what the ReLU of output i sees
   l       E[relu(z)^2 - 2 x_i relu(z)], so that output i costs I_i (p_i / 3 + l)            (4.1)
   a, k    sizes of the gains, ascending; how many     c     a corner of their cube
   H[q]    E[relu(c + t)^q] / q! at a corner, where t is the sum of the j smallest a x
   mu[s]   E[t^s] / s!
   …e      the part of a number that rides on epsilon, a change of the own gain             (4.10)

   For instance W = (1), b = 0 returns its feature exactly, and W = (0), b = 0 loses p / 3:

       exact.expectedLoss([[1]], [0], 0.3)  is 0      exact.expectedLoss([[0]], [0], 0.3)  is 0.1

   A cube is cut at its largest gain, and only where the kink of the ReLU is, so that nothing is
   divided by a small gain beside large numbers. Equations (4.k) are in
   derivations/04-exact-loss.md, (5.k) in 05-energies.md; theory/exact/corners.py does the same. */

const exact = (() => {
  "use strict";

  const MOST = 8;                         // features
  const NOTHING = 1e-30;                  // gains below this part of the largest |z| count as 0
  const ROUNDING = 32 * Number.EPSILON;   // of what the squares at work are in size
  const DOUBT = 1e-10;                    // error, as a part of the loss, that is refused
  const FLOOR = 1e-2;                     // ... or of this part of an empty model's loss
  const OFF = 0, SMOOTH = 1, SPLIT = 2;   // at a corner: relu is off, is never off, has its kink
  const SIZE = MOST + 4;                  // of an array of all orders q
  const FACTORIAL = [1];
  for (let q = 1; q <= MOST + 3; q++) FACTORIAL.push(q * FACTORIAL[q - 1]);

  const zeros = (length) => new Float64Array(length);
  const sum = (a) => a.reduce((x, y) => x + y, 0);

  // -- one output --------------------------------------------------------------------------------

  /* The cube, and the corners further below, are the same arrays again and again: to make new ones
     would take most of the time. */
  const tables = (rows) => Array.from({ length: rows }, () => zeros(SIZE));
  const cube = { a: zeros(MOST), ae: zeros(MOST), p: zeros(MOST), flip: zeros(MOST),
                 reach: zeros(MOST + 1), mu: tables(MOST + 1), mue: tables(MOST + 1),
                 law: tables(MOST), lawe: tables(MOST) };

  /* The gains g laid with the lowest corner down, z = bottom + sum a x with all a >= 0, ascending:
     a negative gain runs backwards, -a x = -a + a (1 - x). `own` is -1 where no gain is its own. */
  function lay(g, b, p, own) {
    const k = g.length, scale = Math.abs(b) + g.reduce((x, y) => x + Math.abs(y), 0) || 1;
    const order = [...g.keys()].sort((i, j) => Math.abs(g[i]) - Math.abs(g[j]));
    Object.assign(cube, { k, scale, order, top: k + 2, bottom: b / scale, bottome: 0 });
    order.forEach((from, j) => {
      const gain = g[from] / scale, flip = gain < 0 ? -1 : 1;
      cube.a[j] = Math.abs(gain) < NOTHING ? 0 : Math.abs(gain);
      cube.ae[j] = from === own ? flip : 0;
      cube.p[j] = p[from];
      cube.flip[j] = flip;
      cube.reach[j + 1] = cube.reach[j] + cube.a[j];
      if (flip < 0) {
        cube.bottom -= cube.a[j];
        cube.bottome -= cube.ae[j];
      }
    });
    moments();
  }

  /* E[(a x)^r] / a^r: an x that is off is at the low end, or the high one if it runs backwards. */
  const chance = (j, r) =>
    r === 0 ? 1 : cube.p[j] / (r + 1) + (1 - cube.p[j]) * (cube.flip[j] < 0);

  /* mu of the sums of the 0, 1, ... k smallest: with factorials they multiply like polynomials. */
  function moments() {
    const { k, top, a, ae, mu, mue, law, lawe } = cube;
    mu[0].fill(0)[0] = 1;
    for (let j = 0; j < k; j++) {
      const one = law[j], onee = lawe[j].fill(0);
      for (let r = 0, power = 1; r <= top; power *= a[j] / ++r) {       // power = a^r / r!
        one[r] = chance(j, r) * power;
        if (r < top) onee[r + 1] = chance(j, r + 1) * power * ae[j];
      }
      const before = mu[j], beforee = mue[j];
      const next = mu[j + 1].fill(0), nexte = mue[j + 1].fill(0);
      for (let r = 0; r <= top; r++)
        for (let s = 0; r + s <= top; s++) {
          next[r + s] += one[r] * before[s];
          nexte[r + s] += onee[r] * before[s] + one[r] * beforee[s];
        }
    }
  }

  const pool = [];
  let used = 0;

  function fresh(j, c, ce, highest) {
    if (used === pool.length)
      pool.push({ H: zeros(SIZE), He: zeros(SIZE), power: zeros(SIZE), slope: zeros(SIZE),
                  slopee: zeros(SIZE), low: null, high: null, idle: null });
    const at = pool[used++];
    [at.j, at.c, at.ce, at.highest] = [j, c, ce, highest];
    return at;
  }

  /* The corner c of the j smallest gains, and all corners below it that its H needs. */
  function corner(j, c, ce) {
    const { a, ae, p, flip, reach } = cube, highest = 2 + cube.k - j, at = fresh(j, c, ce, highest);
    at.kind = c + reach[j] <= 0 ? OFF : c >= 0 ? SMOOTH : SPLIT;
    if (at.kind === OFF) [at.H, at.He].forEach((all) => all.fill(0));
    if (at.kind === SMOOTH) smooth(at);
    if (at.kind !== SPLIT) return at;
    const i = j - 1, low = at.low = corner(i, c, ce), { H, He, slope, slopee } = at;
    const high = at.high = corner(i, c + a[i], ce + ae[i]);                         // (4.6)
    const idle = at.idle = flip[i] < 0 ? high : low;
    for (let q = 1; q <= highest; q++) {
      slope[q] = (high.H[q + 1] - low.H[q + 1]) / a[i];
      slopee[q] = (high.He[q + 1] - low.He[q + 1] - slope[q] * ae[i]) / a[i];
      H[q] = p[i] * slope[q] + (1 - p[i]) * idle.H[q];                                    // (4.8)
      He[q] = p[i] * slopee[q] + (1 - p[i]) * idle.He[q];
    }
    return at;
  }

  /* H where the ReLU is never off: a polynomial in c, of positive terms. (4.7) */
  function smooth(at) {
    const mu = cube.mu[at.j], mue = cube.mue[at.j], { H, He, power, highest } = at;
    power[0] = 1;                                                       // c^q / q!
    for (let q = 1; q <= highest; q++) power[q] = power[q - 1] * at.c / q;
    for (let q = 0; q <= highest; q++) {
      let h = 0, he = q ? H[q - 1] * at.ce : 0;
      for (let s = 0; s <= q; s++) {
        h += power[q - s] * mu[s];
        he += power[q - s] * mue[s];
      }
      H[q] = h;
      He[q] = he;
    }
  }

  /* The same lines backwards: w[q] is how much the result changes with H[q] at this corner. Adds to
     d.a and d.mu, and returns how the result changes with c, [part, part of epsilon]. (4.9) */
  function back(at, w, we, d) {
    if (at.kind === OFF) return [0, 0];
    if (at.kind === SMOOTH) return backSmooth(at, w, we, d);
    const { a, ae, p } = cube, i = at.j - 1, last = at.highest;
    const wLow = zeros(last + 2), wLowe = zeros(last + 2);
    const wHigh = zeros(last + 2), wHighe = zeros(last + 2);
    const [wIdle, wIdlee] = at.idle === at.low ? [wLow, wLowe] : [wHigh, wHighe];
    for (let q = 2; q <= last; q++) {
      const on = p[i] * w[q] / a[i], one = (p[i] * we[q] - on * ae[i]) / a[i];
      wHigh[q + 1] += on; wHighe[q + 1] += one;
      wLow[q + 1] -= on; wLowe[q + 1] -= one;
      wIdle[q] += (1 - p[i]) * w[q]; wIdlee[q] += (1 - p[i]) * we[q];
      d.a[i] -= on * at.slope[q];
      d.ae[i] -= one * at.slope[q] + on * at.slopee[q];
    }
    const [low, lowe] = back(at.low, wLow, wLowe, d);
    const [high, highe] = back(at.high, wHigh, wHighe, d);
    d.a[i] += high; d.ae[i] += highe;
    return [low + high, lowe + highe];
  }

  function backSmooth(at, w, we, d) {
    const mu = d.mu[at.j], mue = d.mue[at.j];
    let dc = 0, dce = 0;
    for (let q = 2; q <= at.highest; q++) {
      dc += w[q] * at.H[q - 1];
      dce += we[q] * at.H[q - 1] + w[q] * at.He[q - 1];
      for (let s = 0; s <= q; s++) {
        mu[s] += w[q] * at.power[q - s];
        mue[s] += we[q] * at.power[q - s];
        if (s < q) mue[s] += w[q] * at.power[q - s - 1] * at.ce;
      }
    }
    return [dc, dce];
  }

  /* What the moments of all sums pass on to the gains that they are made of. */
  function backMoments(d) {
    const { k, top, a, ae, mu, mue, law, lawe } = cube;
    for (let j = k; j > 0; j--) {
      const i = j - 1;
      for (let r = 0; r <= top; r++) {
        let x = 0, xe = 0;
        for (let s = 0; r + s <= top; s++) {
          const w = d.mu[j][r + s], we = d.mue[j][r + s];
          x += w * mu[i][s];
          xe += we * mu[i][s] + w * mue[i][s];
          d.mu[i][s] += w * law[i][r];
          d.mue[i][s] += we * law[i][r] + w * lawe[i][r];
        }
        if (!r) continue;
        const part = chance(i, r), power = a[i] ** (r - 1) / FACTORIAL[r - 1];
        const less = r > 1 ? a[i] ** (r - 2) / FACTORIAL[r - 2] * ae[i] : 0;
        d.a[i] += x * part * power;
        d.ae[i] += xe * part * power + x * part * less;
      }
    }
  }

  /* {l, db} of a row of gains, its derivative by b, and with `slopes` also dg, those by the gains.
     l is A - dA/dg_own, A = E[relu(z)^2], and dA/dg_own rides on epsilon. (4.10) */
  function output(g, b, p, own, slopes) {
    lay(g, b, p, own);
    used = 0;
    const { k, scale } = cube, root = corner(k, cube.bottom, cube.bottome);
    const l = scale ** 2 * 2 * root.H[2] - scale * 2 * root.He[2];
    const db = scale * 2 * root.H[1] - 2 * root.He[1];
    if (!slopes) return { l, db };
    const d = { a: zeros(k), ae: zeros(k), mu: tables(k + 1), mue: tables(k + 1) };
    const [dc, dce] = back(root, [0, 0, 2], [0, 0, 0], d), dg = zeros(k);
    backMoments(d);
    cube.order.forEach((to, j) => {
      const lifted = cube.flip[j] < 0, flip = cube.flip[j];
      const dA = d.a[j] * flip + lifted * dc, dAe = d.ae[j] * flip + lifted * dce;
      dg[to] = scale * dA - dAe;
    });
    return { l, db, dg };
  }

  /* What rounding may change in l: by the largest z that there is, or by moments of all sizes. */
  function rounding(g, b, p) {
    const some = 1 - p.reduce((off, q) => off * (1 - q), 1), size = Math.abs(b);
    const largest = Math.max(b + sum(g.map((x) => Math.max(x, 0))), 0);
    const mean = sum(g.map((x, j) => p[j] * Math.abs(x))) / 2;
    const square = mean ** 2 + sum(g.map((x, j) => p[j] * x * x)) / 3;
    const byLargest = some * largest * (size + sum(g.map(Math.abs)));
    const byMoment = 2 * (some * b * b + square);
    return ROUNDING * (Math.max(b, 0) ** 2 + Math.min(byLargest, byMoment));
  }

  // -- all outputs -------------------------------------------------------------------------------

  const gram = (W) => W[0].map((_, i) => W[0].map((_, j) => sum(W.map((row) => row[i] * row[j]))));

  /* {loss, byOutput, error, dW, db}, dW and db only with `slopes`, for arguments that were checked;
     error is what rounding may be. Throws RangeError where it could be seen in the loss. */
  function solve({ W, b, p, I }, slopes) {
    const G = gram(W), n = b.length, Gamma = [], db = [], byOutput = [];
    let error = 0;
    for (let i = 0; i < n; i++) {
      const { l, db: di, dg } = output(G[i], b[i], p, i, slopes);
      byOutput.push(I[i] * (p[i] / 3 + l));                                               // (4.1)
      error += I[i] * rounding(G[i], b[i], p);
      if (!slopes) continue;
      Gamma.push(Array.from(dg, (x) => I[i] * x));
      db.push(I[i] * di);
    }
    const loss = sum(byOutput), empty = sum(p.map((q, i) => I[i] * q / 3));
    if (!Number.isFinite(loss)) throw new RangeError("W, b or importance is too large");
    if (!(error <= DOUBT * Math.max(loss, FLOOR * empty)) && error > 0)
      throw new RangeError(`the loss is ${loss} with an error of up to ${error}: too much`);
    if (!slopes) return { loss, byOutput, error };
    const dW = W.map((row) => row.map((_, j) =>                                           // (4.3)
      sum(row.map((x, i) => x * (Gamma[i][j] + Gamma[j][i])))));
    return { loss, byOutput, error, dW, db };
  }

  /* {byCount, byOutput}: what samples with 0, 1, ... n active features cost together, over all sets
     A of active features (5.2); a mean over the cube of their values is a law whose p are all 1. */
  function split({ W, b, p, I }) {
    const G = gram(W), n = b.length, byCount = Array(n + 1).fill(0), byOutput = Array(n).fill(0);
    for (let A = 0; A < 2 ** n; A++) {
      const on = [...b.keys()].filter((j) => A >> j & 1), ones = on.map(() => 1);
      const weight = p.reduce((w, q, j) => w * (A >> j & 1 ? q : 1 - q), 1);
      if (!weight) continue;
      for (let i = 0; i < n; i++) {
        const { l } = output(on.map((j) => G[i][j]), b[i], ones, on.indexOf(i), false);
        const cost = I[i] * weight * ((A >> i & 1 ? 1 / 3 : 0) + l);                      // (5.1)
        byCount[on.length] += cost;
        byOutput[i] += cost;
      }
    }
    return { byCount, byOutput };
  }

  // -- what may be asked -------------------------------------------------------------------------

  const isNumber = (x) => typeof x === "number" && Number.isFinite(x);

  function numbers(name, value, n) {
    const all = typeof value === "number" ? Array(n).fill(value) : value;
    if (!Array.isArray(all) || all.length !== n || !all.every(isNumber))
      throw new TypeError(`${name} must be a finite number or ${n} of them, got ${said(value)}`);
    return all;
  }

  const said = (value) => String(JSON.stringify(value)).slice(0, 80);

  function checked(W, b, p, importance = 1) {
    const n = Array.isArray(W) && W.length && Array.isArray(W[0]) ? W[0].length : 0;
    if (!n || n > MOST || W.length > MOST)
      throw new TypeError(`W must be 1 to ${MOST} rows of 1 to ${MOST} numbers, got ${said(W)}`);
    W.forEach((row) => {
      if (!Array.isArray(row)) throw new TypeError(`W must be an array of rows, got ${said(W)}`);
      numbers("a row of W", row, n);
    });
    if (!Array.isArray(b)) throw new TypeError(`b must be an array, got ${said(b)}`);
    numbers("b", b, n);
    const law = { W, b, p: numbers("p", p, n), I: numbers("importance", importance, n) };
    if (!law.p.every((q) => q > 0 && q <= 1))
      throw new RangeError(`p must lie in (0, 1], got ${said(p)}`);
    if (!law.I.every((x) => x >= 0))
      throw new RangeError(`importance must not be negative, got ${said(importance)}`);
    return law;
  }

  return {
    gram, solve, split, output,
    expectedLoss: (...given) => solve(checked(...given), false).loss,
    gradient: (...given) => {
      const { dW, db } = solve(checked(...given), true);
      return { W: dW, b: db };
    },
    losses: (...given) => split(checked(...given)),
  };
})();
