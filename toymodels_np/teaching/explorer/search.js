/* Descent on the exact loss: best biases, one step, a minimum nearby, the lowest of many.

   law    {n, m, p, I}              theta  all of W in rows, then b
   point  {W, b}                    g      gradient at theta      H  the inverse Hessian of BFGS */

const search = (() => {
  "use strict";

  const STATIONARY = 1e-9;        // gradient norm of a minimum, for a loss of an empty model of 1
  const STEPS = 600;              // of BFGS, at most; and so many without a lower loss are enough
  const IDLE = 6, ROUNDING = 1e-15;
  const SCAN = 24;                // biases, evenly apart, at which the slope is looked at, and
  const REFINE = 60;              // steps between two of them, at most
  const RANDOM = 16;              // random starts of a search
  const SAME = 1e-9;              // part of a loss up to which another one is no improvement
  const DROPPED = 1e-5;           // of the loss: what a new start must gain to be polished

  const dot = (x, y) => x.reduce((total, a, i) => total + a * y[i], 0);
  const norm = (x) => Math.sqrt(dot(x, x));
  const pack = ({ W, b }) => [...W.flat(), ...b];
  const unpack = (theta, { n, m }) => ({
    W: Array.from({ length: m }, (_, r) => theta.slice(r * n, (r + 1) * n)),
    b: theta.slice(m * n),
  });
  const empty = ({ p, I }) => p.reduce((total, q, i) => total + I[i] * q / 3, 0) || 1;

  /* {loss, g} at theta, in units of what an empty model costs. */
  function at(theta, law) {
    const { loss, dW, db } = exact.solve({ ...unpack(theta, law), ...law }, true);
    const unit = empty(law);
    return { loss: loss / unit, g: [...dW.flat(), ...db].map((x) => x / unit) };
  }

  // -- biases ------------------------------------------------------------------------------------

  /* The bias that is best for output i, whose gains are g: the lowest of all zeros of the slope. */
  function bestBias(g, p, i) {
    const slope = (b) => exact.output(g, b, p, i, false).db;
    const low = -g.reduce((x, y) => x + Math.max(y, 0), 0) - 0.1;
    const high = 1.1 - g.reduce((x, y) => x + Math.min(y, 0), 0);
    // Where features are rare most samples have z = b or z = b + g_j x: the slope bends where these
    // reach 0, in the middle of a step as like as not.
    const even = Array.from({ length: SCAN }, (_, s) => low + (high - low) * (s + 1) / SCAN);
    const all = [...even, 0, ...g.map((x) => -x)].sort((x, y) => x - y);
    let best = p[i] / 2, lowest = Infinity, before = low, slopeBefore = slope(low);
    const consider = (b) => {
      const { l } = exact.output(g, b, p, i, false);
      if (l < lowest) [best, lowest] = [b, l];
    };
    consider(low);
    for (const b of all) {
      const here = slope(b);
      if (slopeBefore < 0 && here >= 0) consider(zero(slope, before, b, slopeBefore, here));
      [before, slopeBefore] = [b, here];
    }
    return best;
  }

  /* A zero between a and b, where the slope is sa < 0 and sb >= 0, by false position; an end that
     stays twice counts half. */
  function zero(slope, a, b, sa, sb) {
    for (let s = 0, stayed = 0; s < REFINE && b - a > 1e-15 * (1 + Math.abs(a)); s++) {
      let c = (a * sb - b * sa) / (sb - sa);
      if (!(c > a && c < b)) c = (a + b) / 2;
      const sc = slope(c);
      if (Math.abs(sc) < ROUNDING) return c;
      if (sc < 0) {
        [a, sa] = [c, sc];
        if (stayed === 1) sb /= 2;
        stayed = 1;
      } else {
        [b, sb] = [c, sc];
        if (stayed === -1) sa /= 2;
        stayed = -1;
      }
    }
    return -sa < sb ? a : b;
  }

  const bestBiases = (W, p) => exact.gram(W).map((g, i) => bestBias(g, p, i));

  // -- minima ------------------------------------------------------------------------------------

  /* The minimum that BFGS reaches from a point: {W, b, loss, slope}, slope the gradient's norm in
     units of what an empty model costs. */
  function relax(point, law, enough = STATIONARY, steps = STEPS) {
    let theta = pack(point), here = at(theta, law), H = null, idle = 0;
    for (let s = 0; s < steps && norm(here.g) > enough && idle < IDLE; s++) {
      let way = H ? H.map((row) => -dot(row, here.g)) : here.g.map((x) => -x);
      if (!(dot(way, here.g) < 0)) [H, way] = [null, here.g.map((x) => -x)];
      const next = along(theta, way, here, law);
      if (!next) {
        if (!H) break;
        H = null;
        continue;
      }
      H = updated(H, next.theta.map((x, i) => x - theta[i]), next.g.map((x, i) => x - here.g[i]));
      idle = next.loss < here.loss * (1 - 10 * ROUNDING) ? 0 : idle + 1;
      [theta, here] = [next.theta, next];
    }
    return { ...unpack(theta, law), loss: here.loss * empty(law), slope: norm(here.g) };
  }

  /* The first of ever shorter steps along `way` that goes down as it should; null if none does. */
  function along(theta, way, here, law) {
    const fall = dot(way, here.g), longest = Math.min(1, 1 / norm(way));
    for (let step = longest; step > 1e-8 * longest; step /= 3) {
      const there = theta.map((x, i) => x + step * way[i]), next = at(there, law);
      const rounding = ROUNDING * Math.abs(here.loss);
      if (next.loss <= here.loss + 1e-4 * step * fall
          || next.loss <= here.loss + rounding && norm(next.g) < norm(here.g))
        return { ...next, theta: there };
    }
    return null;
  }

  /* The inverse Hessian after a step s along which the gradient changed by y. */
  function updated(H, s, y) {
    const sy = dot(s, y);
    if (!(sy > 1e-14 * norm(s) * norm(y))) return H;
    const Hy = H ? H.map((row) => dot(row, y)) : y.map((x) => x * sy / dot(y, y));
    const yHy = dot(y, Hy), unit = sy / dot(y, y);
    return s.map((si, i) => s.map((sj, j) =>
      (H ? H[i][j] : (i === j) * unit) - (Hy[i] * sj + si * Hy[j]) / sy
      + (1 + yHy / sy) * si * sj / sy));
  }

  /* One step against the gradient, its length adapted so that the loss falls: {W, b, loss, slope,
     rate}, rate 0 where it cannot fall any more. */
  function stepDown(point, law, rate) {
    const theta = pack(point), here = at(theta, law), length = norm(here.g);
    for (let r = Math.min(rate, 0.2 / length); r > 1e-9; r /= 2) {
      const next = unpack(theta.map((x, i) => x - r * here.g[i]), law);
      const loss = exact.solve({ ...next, ...law }, false).loss / empty(law);
      if (loss <= here.loss - 0.3 * r * length ** 2)
        return { ...next, loss: loss * empty(law), slope: length, rate: 1.3 * r };
    }
    return { ...point, loss: here.loss * empty(law), slope: length, rate: 0 };
  }

  /* Random numbers from a seed, and from it alone, with the bell's shape. */
  function normal(seed) {
    let state = seed >>> 0;
    const uniform = () => {
      state = state + 0x6D2B79F5 >>> 0;
      let t = Math.imul(state ^ state >>> 15, 1 | state);
      t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
      return ((t ^ t >>> 14) >>> 0) / 2 ** 32;
    };
    return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  }

  const random = ({ n, m }, seed) => {
    const draw = normal(seed);
    return Array.from({ length: m }, () => Array.from({ length: n }, () => draw() / Math.sqrt(m)));
  };

  /* A generator of the lowest minima so far: from the given weights, named shapes and random
     weights; then, where features are not all alike, with two of them exchanged or one left out. */
  function* lowest(law, weights) {
    let best = null;
    const better = (W) => {
      const start = { W, b: bestBiases(W, law.p) };
      const rough = relax(start, law, 1e-5, 150);
      if (best && rough.loss > best.loss * (1 + 100 * DROPPED)) return false;
      const found = relax(rough, law);
      if (best && found.loss > best.loss * (1 - SAME)) return false;
      best = found;
      return true;
    };
    for (let s = 0; s < RANDOM; s++) weights.push(random(law, s));
    for (const W of weights) {
      better(W);
      yield best;
    }
    const alike = new Set(law.p).size === 1 && new Set(law.I).size === 1;
    for (let again = !alike; again;) {
      again = false;
      for (const W of changed(best.W)) {
        again = better(W) || again;
        yield best;
      }
    }
    return best;
  }

  /* W with two columns exchanged, or one set to 0, in all ways. */
  function* changed(W) {
    for (let i = 0; i < W[0].length; i++) {
      yield W.map((row) => row.map((x, k) => k === i ? 0 : x));
      for (let j = 0; j < i; j++)
        yield W.map((row) => row.map((x, k) => k === i ? row[j] : k === j ? row[i] : x));
    }
  }

  return { bestBiases, relax, stepDown, lowest, random, empty };
})();
