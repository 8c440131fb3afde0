/* Names of geometries, lengths and shares of dimensions, as geometry/measures.py and tegum.py.

   W  m rows of n numbers, a feature a column       D_i  feature i's share of a dimension (7.1)

   Factors are features that are not orthogonal to each other (8.9). A factor that is no polygon and
   no simplex is "irregular" here, where the package knows more names. */

const names = (() => {
  "use strict";

  const ORTHOGONAL = 0.1, CUTS = [0.15, 0.22, 0.29];      // |cos|, as in the package
  const SHORT = 0.1, NEGLIGIBLE = 0.01;                   // norms of dropped features
  const SHARED = 0.01;                                    // part of the longest norm^2
  const MERGED = 0.95, DIGON = -0.95, SPANNED = 0.5, LENGTHS = 1.5, ANGLE = 0.25, TURNED = 12;
  const POLYGONS = { 3: "triangle", 4: "square", 5: "pentagon", 6: "hexagon", 7: "heptagon",
                     8: "octagon" };

  const column = (W, i) => W.map((row) => row[i]);
  const dot = (x, y) => x.reduce((total, a, i) => total + a * y[i], 0);
  const norms = (W) => W[0].map((_, i) => Math.hypot(...column(W, i)));

  /* D_i = |W_i|^2 / sum_j (W^_i . W_j)^2. (7.1) */
  const dimensionalities = (W) => norms(W).map((length, i) => {
    if (!length) return 0;
    const unit = column(W, i).map((x) => x / length);
    return length ** 2 / W[0].reduce((total, _, j) => total + dot(unit, column(W, j)) ** 2, 0);
  });

  /* The unit columns that are kept, by index. */
  function units(W) {
    const length = norms(W), limit = Math.max(SHORT * Math.max(...length), NEGLIGIBLE);
    return new Map([...length.keys()].filter((i) => length[i] >= limit)
      .map((i) => [i, column(W, i).map((x) => x / length[i])]));
  }

  /* How many dimensions unit columns span: directions that are left when others are taken out,
     counted by the eigenvalues of their Gram matrix in m <= 3 dimensions. */
  function room(part, unit) {
    const m = unit.get(part[0]).length;
    const S = Array.from({ length: m }, (_, r) => Array.from({ length: m }, (_, c) =>
      part.reduce((total, i) => total + unit.get(i)[r] * unit.get(i)[c], 0)));
    return eigenvalues(S).filter((x) => x > SPANNED ** 2).length;
  }

  /* Of a small symmetric matrix, by Jacobi's rotations. */
  function eigenvalues(S) {
    const A = S.map((row) => [...row]), m = A.length;
    for (let sweep = 0; sweep < 30; sweep++)
      for (let r = 0; r < m; r++)
        for (let c = 0; c < r; c++) {
          if (Math.abs(A[r][c]) < 1e-14) continue;
          const turn = Math.atan2(2 * A[r][c], A[c][c] - A[r][r]) / 2;
          const cos = Math.cos(turn), sin = Math.sin(turn);
          for (let k = 0; k < m; k++)
            [A[k][c], A[k][r]] = [cos * A[k][c] + sin * A[k][r], cos * A[k][r] - sin * A[k][c]];
          for (let k = 0; k < m; k++)
            [A[c][k], A[r][k]] = [cos * A[c][k] + sin * A[r][k], cos * A[r][k] - sin * A[c][k]];
        }
    return A.map((row, i) => row[i]);
  }

  /* The parts that hang together by |cos| above `cut`. */
  function components(part, unit, cut) {
    const left = new Set(part), parts = [];
    for (const first of part) {
      if (!left.delete(first)) continue;
      const one = [first];
      for (const i of one)
        for (const j of [...left])
          if (Math.abs(dot(unit.get(i), unit.get(j))) > cut && left.delete(j)) one.push(j);
      parts.push(one.sort((i, j) => i - j));
    }
    return parts;
  }

  /* The name of a part; columns that point the same way count as one corner, if need be. (8.6) */
  function recognise(part, unit, length) {
    const name = polytope(part, unit, length);
    if (name) return name;
    const corners = merged(part, unit, length), { size } = corners.unit;
    if (size === part.length) return null;
    const one = size === 1 ? "bundle" : polytope([...corners.unit.keys()], corners.unit,
                                                 corners.length);
    return one && `${one} of ${part.length}`;
  }

  /* {unit, length} of corners: columns that point the same way together. */
  function merged(part, unit, length) {
    const left = new Set(part), corners = { unit: new Map(), length: [] };
    for (const first of part) {
      if (!left.delete(first)) continue;
      const one = [first];
      for (const i of one)
        for (const j of [...left])
          if (dot(unit.get(i), unit.get(j)) >= MERGED && left.delete(j)) one.push(j);
      const total = unit.get(first).map((_, r) =>
        one.reduce((x, i) => x + length[i] * unit.get(i)[r], 0));
      const size = Math.hypot(...total), shared = total.map((x) => x / size);
      if (one.some((i) => dot(unit.get(i), shared) < MERGED)) return { unit, length };
      corners.length[corners.unit.size] = Math.hypot(...one.map((i) => length[i]));
      corners.unit.set(corners.unit.size, shared);
    }
    return corners;
  }

  function polytope(part, unit, length) {
    const n = part.length;
    if (n === 1) return "orthogonal";
    if (n === 2) return dot(...part.map((i) => unit.get(i))) <= DIGON ? "digon" : null;
    const sizes = part.map((i) => length[i]);
    if (Math.max(...sizes) > LENGTHS * Math.min(...sizes)) return null;
    const rank = room(part, unit);
    if (rank === 2) return polygon(part, unit);
    const cosines = part.flatMap((i, s) => part.slice(0, s).map((j) =>
      dot(unit.get(i), unit.get(j))));
    const off = cosines.map((cos) => Math.abs(Math.acos(cos) - Math.acos(-1 / rank)));
    const regular = rank === n - 1 && Math.max(...off) * 180 / Math.PI <= TURNED;
    return regular ? "tetrahedron" : null;
  }

  /* The k-gon that unit columns in a plane form in some order, or null. */
  function polygon(part, unit) {
    const first = unit.get(part[0]), k = part.length;
    const other = part.map((i) => unit.get(i)).map((x) => {
      const onto = dot(first, x);
      return x.map((a, r) => a - onto * first[r]);
    }).sort((x, y) => dot(y, y) - dot(x, x))[0];
    const size = Math.sqrt(dot(other, other));
    const angles = part.map((i) =>
      Math.atan2(dot(unit.get(i), other) / size, dot(unit.get(i), first))).sort((a, b) => a - b);
    const even = 2 * Math.PI / k;
    const gaps = angles.map((a, i) => i + 1 < k ? angles[i + 1] - a : angles[0] + 2 * Math.PI - a);
    return gaps.every((gap) => Math.abs(gap - even) <= ANGLE * even) ? POLYGONS[k] : null;
  }

  /* A part without a name falls apart at the first cut that names pieces and costs no room. (8.10)
  */
  function split(part, unit, length, cuts) {
    if (recognise(part, unit, length) || !cuts.length) return [part];
    const pieces = components(part, unit, cuts[0]).flatMap((piece) =>
      split(piece, unit, length, cuts.slice(1)));
    const named = pieces.some((piece) => piece.length > 1 && recognise(piece, unit, length));
    const total = pieces.reduce((sum, piece) => sum + room(piece, unit), 0);
    return named && total === room(part, unit) ? pieces : [part];
  }

  /* The name of the geometry of W, such as "2 digons + dropped". */
  function geometry(W) {
    const unit = units(W), length = norms(W), kept = [...unit.keys()];
    const missing = W[0].length - kept.length, parts = [];
    if (kept.length) {
      const found = components(kept, unit, ORTHOGONAL).flatMap((part) =>
        split(part, unit, length, CUTS));
      const total = found.reduce((sum, part) => sum + room(part, unit), 0);
      parts.push(...(total > room(kept, unit) ? [kept] : found));
    }
    const count = new Map();
    for (const part of parts) {
      const name = recognise(part, unit, length) || "irregular";
      const [times, held] = count.get(name) || [0, 0];
      count.set(name, [times + 1, held + part.length]);
    }
    const order = ([one, [t, h]], [other, [u, i]]) =>
      i - h || i / u - h / t || (one < other ? -1 : 1);
    const said = [...count].sort(order).map(([name, [times]]) => counted(name, times));
    return [...said, ...(missing ? [counted("dropped", missing)] : [])].join(" + ");
  }

  function counted(name, times) {
    if (times === 1) return name;
    const [head, ...of] = name.split(" of ");
    const plural = ["orthogonal", "dropped", "irregular"].includes(head) ? head : `${head}s`;
    return [`${times} ${plural}`, ...of].join(" of ");
  }

  /* What becomes of the last feature, as in theory/phase.py. */
  function phase(W) {
    const unit = units(W), last = W[0].length - 1;
    if (!unit.has(last)) return "not learned";
    const shared = W[0].reduce((total, _, j) =>
      total + (j === last ? 0 : dot(unit.get(last), column(W, j)) ** 2), 0);
    return shared > SHARED * Math.max(...norms(W)) ** 2 ? "superposed" : "own dimension";
  }

  return { norms, dimensionalities, geometry, phase };
})();
