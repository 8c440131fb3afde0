"""Exercises on weights as geometry: shares of a dimension, interference, rotations, shapes."""

import numpy as np

from ...core.models import ReluHidden, ReluOutput
from ...geometry.measures import feature_dimensionality, gram, interference, leverage_scores, norms
from ...geometry.polytopes import cross_polytope, digon, polygon, simplex
from ...geometry.tegum import name_geometry
from ..exercise import Exercise, Mistake


def _weights(draw):
    m = draw.integer(1, 3)
    return (draw.weights(m, draw.integer(m, 4)),)


def _unit(W):
    return W / np.linalg.norm(W, axis=0)


def _off_diagonal(A):
    return A * (1 - np.eye(len(A)))


# -- 7: dimensionality

def _rows_as_features(W):
    """NaN where a row is zero."""
    return (W ** 2).sum(1) / ((W / np.linalg.norm(W, axis=1, keepdims=True) @ W.T) ** 2).sum(1)


DIMENSIONALITY = Exercise(
    name="07_dimensionality", title="a feature's share of a dimension", function="dimensionality",
    inputs=_weights, answer=feature_dimensionality,
    mistakes=(
        Mistake("the feature itself is left out of the sum below",
                lambda W: (W ** 2).sum(0) / _off_diagonal((_unit(W).T @ W) ** 2).sum(1)),
        Mistake("the norm above is not squared",
                lambda W: norms(W) / ((_unit(W).T @ W) ** 2).sum(1)),
        Mistake("all vectors are scaled to unit length, above too; or W_j is and not W_i; or the "
                "sum runs over i and not over j",
                lambda W: (W ** 2).sum(0) / ((W.T @ _unit(W)) ** 2).sum(1)),
        Mistake("both vectors are scaled to unit length below",
                lambda W: (W ** 2).sum(0) / ((_unit(W).T @ _unit(W)) ** 2).sum(1)),
        Mistake("no vector is scaled to unit length below; or 1 stands above",
                lambda W: (W ** 2).sum(0) / (gram(W) ** 2).sum(1)),
        Mistake("the norm is that of the whole matrix and not of a column: np.linalg.norm(W) "
                "without an axis", lambda W: (W ** 2).sum() ** 2 / (gram(W) ** 2).sum(1),
                also=(lambda W: (W ** 2).sum() / ((_unit(W).T @ W) ** 2).sum(1),
                      lambda W: (W ** 2).sum(0) * (W ** 2).sum() / (gram(W) ** 2).sum(1))),
        Mistake("the sum below runs over all pairs, and not over j alone",
                lambda W: (W ** 2).sum(0) / ((_unit(W).T @ W) ** 2).sum()),
        Mistake("the overlaps are not squared",
                lambda W: (W ** 2).sum(0) / abs(_unit(W).T @ W).sum(1)),
        Mistake("overlaps of opposite sign cancel: the sum is squared and not its terms",
                lambda W: (W ** 2).sum(0) / (_unit(W).T @ W).sum(1) ** 2),
        Mistake("m and n are swapped: features are columns of W", _rows_as_features)),
    hints=("Write Ŵ_i = W_i / ‖W_i‖. The overlaps Ŵ_i · W_j are one matrix product.",
           "((W / norm).T @ W) ** 2, summed over j, which is its last axis."),
    solution="geometry.measures:feature_dimensionality", line="return square / np.where",
    shown="A feature alone has a dimension, 1; one of an antipodal pair has ½, one of a triangle "
          "⅔, one of a pentagon ⅖. The paper's uniform geometry is a plot of these numbers.")


# -- 8: leverage

LEVERAGE = Exercise(
    name="08_rank", title="why the shares add up to the rank at most", function="leverage",
    inputs=_weights, answer=leverage_scores,
    mistakes=(
        Mistake("WW' is not inverted", lambda W: np.diag(W.T @ W @ W.T @ W)),
        Mistake("(WW')^+ is left out, so that ‖W_i‖² remains", lambda W: np.diag(gram(W))),
        Mistake("all of the features are summed up, which gives the rank",
                lambda W: leverage_scores(W).sum()),
        Mistake("you return the dimensionality D_i, which the leverage bounds from above",
                feature_dimensionality),
        Mistake("the pseudoinverse is that of W'W, and the middle of W' … W is (m, m)",
                lambda W: np.diag(np.linalg.pinv(W.T @ W))),
        Mistake("the score is squared", lambda W: leverage_scores(W) ** 2),
        Mistake("m and n are swapped: there is one score a feature, a column of W",
                lambda W: leverage_scores(W.T))),
    hints=("W' (WW')^+ W is a projection, and you need its diagonal. ^+ is np.linalg.pinv.",
           "np.diag(W.T @ np.linalg.pinv(W @ W.T) @ W)"),
    solution="geometry.measures:leverage_scores", line="return ((Vt * counts",
    shown="A projection's trace is its rank, so leverage scores add up to the rank of W. By "
          "Cauchy and Schwarz D_i is never above them: Σ D_i <= rank. Where it is an equality the "
          "features pack efficiently, and D_i is a share in the full sense.")


# -- 9: interference

INTERFERENCE = Exercise(
    name="09_interference", title="how far others reach into a feature's direction",
    function="interference", inputs=_weights, answer=interference,
    mistakes=(
        Mistake("the feature itself is counted among the others",
                lambda W: ((_unit(W).T @ W) ** 2).sum(1)),
        Mistake("1 is subtracted for the feature itself, whose squared overlap is ‖W_i‖²",
                lambda W: ((_unit(W).T @ W) ** 2).sum(1) - 1),
        Mistake("‖W_i‖ is subtracted for the feature itself, whose squared overlap is ‖W_i‖²",
                lambda W: ((_unit(W).T @ W) ** 2).sum(1) - norms(W)),
        Mistake("both vectors are scaled to unit length, which makes short features count",
                lambda W: _off_diagonal((_unit(W).T @ _unit(W)) ** 2).sum(1)),
        Mistake("no vector is scaled to unit length",
                lambda W: _off_diagonal(gram(W) ** 2).sum(1)),
        Mistake("W_j has unit length and not W_i, or the sum runs over i and not over j",
                lambda W: _off_diagonal((W.T @ _unit(W)) ** 2).sum(1)),
        Mistake("the overlaps are not squared",
                lambda W: _off_diagonal(abs(_unit(W).T @ W)).sum(1)),
        Mistake("overlaps of opposite sign cancel: the sum is squared and not its terms",
                lambda W: _off_diagonal(_unit(W).T @ W).sum(1) ** 2)),
    hints=("The overlaps are Ŵ_i · W_j with j ≠ i: leave the diagonal out.",
           "Subtract ‖W_i‖², which is the squared overlap of i with itself."),
    solution="geometry.measures:interference", line="return _finite(squares.sum(-1)",
    shown="This number colours the paper's bars: 0 is a feature with a dimension to itself, and "
          "1 or more one that shares its direction with others in full.")


# -- 10: rotations

def _turn(angle):
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def _outputs(W, b, x, angle, turn=_turn):
    """(outputs of the turned model, its outputs before) for either model."""
    return [(model(turn(angle) @ W, b).forward(x), model(W, b).forward(x))
            for model in (ReluOutput, ReluHidden)]


def _differences(W, b, x, angle, largest=lambda change: abs(change).max(), turn=_turn):
    return tuple(largest(new - old) for new, old in _outputs(W, b, x, angle, turn))


def _rotation(W, b, x, angle):
    return _differences(W, b, x, angle)


def _untied(encoder, decoder, b, x, W):
    h = x @ encoder.T
    return tuple(abs(np.maximum(seen @ decoder + b, 0) - model(W, b).forward(x)).max()
                 for model, seen in ((ReluOutput, h), (ReluHidden, np.maximum(h, 0))))


def _sines(sign):
    """The mistake whose matrix has the sine with this sign twice."""
    def turn(angle):
        c, s = np.cos(angle), sign * np.sin(angle)
        return np.array([[c, s], [s, c]])
    return lambda *given: _differences(*given, turn=turn)


ROTATION = Exercise(
    name="10_rotation", title="a rotation that nobody sees, and one that everybody sees",
    function="changes",
    inputs=lambda draw: (draw.weights(2, n := draw.integer(2, 3)), draw.array(n, values=(0., 0.5)),
                         draw.array(draw.integer(1, 2), n, values=(0., 1., 0.5)),
                         draw.one_of((0.5, 1.0, 2.0))),
    answer=_rotation, tolerance=1e-6,
    mistakes=(
        Mistake("only the encoder is turned: the tied decoder has to turn with it",
                lambda W, b, x, angle: _untied(_turn(angle) @ W, W, b, x, W)),
        Mistake("only the decoder is turned: the tied encoder has to turn with it",
                lambda W, b, x, angle: _untied(W, _turn(angle) @ W, b, x, W)),
        Mistake("the hidden layer of the second model has no ReLU",
                lambda W, b, x, angle: (0.0, 0.0)),
        Mistake("the matrix turns the other way: it is [[cos, -sin], [sin, cos]]",
                lambda W, b, x, angle: _rotation(W, b, x, -angle)),
        Mistake("the angle is taken for degrees",
                lambda W, b, x, angle: _rotation(W, b, x, np.radians(angle))),
        Mistake("the changes are averaged and their largest is asked for",
                lambda *given: _differences(*given, largest=lambda change: abs(change).mean())),
        Mistake("the changes are summed up and their largest is asked for",
                lambda *given: _differences(*given, largest=lambda change: abs(change).sum())),
        Mistake("changes keep their sign: the largest is meant in absolute value",
                lambda *given: _differences(*given, largest=np.max),
                also=(lambda *given: _differences(*given, largest=lambda change: -change.min()),)),
        Mistake("the largest outputs are compared, and not each output with itself",
                lambda *given: tuple(abs(new.max() - old.max()) for new, old in _outputs(*given))),
        Mistake("the bias is missing", lambda W, b, x, angle: _rotation(W, 0 * b, x, angle)),
        Mistake("the matrix is not orthogonal: its sines have the same sign", _sines(1),
                also=(_sines(-1),))),
    hints=("(QW)'(QW) = W'Q'QW = W'W, so the first change is 0 up to rounding.",
           "Write both forward passes as functions of W, call them with W and with Q @ W."),
    solution="core.models:ReluHidden._forward", line="h = _relu(a)",
    shown="A linear hidden layer has no preferred axes: W and QW are one model. A ReLU on the "
          "hidden layer breaks that, and neurons become a privileged basis that one can read.")


# -- 17: the simplex

def _simplex_view(W):
    """W but for a rotation: its triangular factor, which is one alone with a positive diagonal."""
    W = np.asarray(W).astype(float, casting="safe")         # no complex numbers
    if W.ndim != 2:
        return W
    if len(W) > W.shape[1]:
        return _simplex_view(W.T).T
    R = np.linalg.qr(W, mode="r")
    return R * np.where(np.diagonal(R) < 0, -1, 1)[:, None]


def _unscaled(k):
    return simplex(k) * np.sqrt(k / (k + 1))


def _uneven(k):
    W = np.tri(k, k + 1, 0) - np.diag(np.arange(1.0, k + 1), 1)[:k]
    return W / np.linalg.norm(W, axis=0)


def _full(k):
    centred = np.eye(k + 1) - 1 / (k + 1)
    return centred / np.linalg.norm(centred, axis=0)


SIMPLEX = Exercise(
    name="17_simplex", title="k + 1 features in k dimensions, all alike", function="simplex",
    inputs=lambda draw: (draw.integer(1, 6),), answer=simplex, view=_simplex_view,
    mistakes=(
        Mistake("the columns do not have length 1", _unscaled),
        Mistake("rows are not scaled to equal length before columns are scaled to length 1",
                _uneven),
        Mistake("the corners are left in k + 1 dimensions, of which they span k", _full),
        Mistake("there are k corners and not k + 1", lambda k: simplex(k)[:, :k]),
        Mistake("features are rows: W is (k, k + 1), with a column a feature",
                lambda k: simplex(k).T),
        Mistake("the last corner is missing its place: the first k are orthogonal",
                lambda k: np.column_stack([np.eye(k), -np.ones(k) / np.sqrt(k)]))),
    hints=("You need k rows of k + 1 entries that are orthogonal to each other, equally long, and "
           "each adds up to 0. Any such rows will do.",
           "Row j = 1, …, k: j ones, then -j, then zeros; its squared length is j (j + 1). Scale "
           "the rows to equal length, and in the end all to columns of length 1."),
    solution="geometry.polytopes:simplex", line="corners[j - 1, j] = -j",
    shown="All cosines are -1/k: the least possible for k + 1 vectors. W'W is then a multiple of "
          "the projection orthogonal to (1, …, 1). A model with one dimension less than it has "
          "features need not learn it: of three equal ones in two dimensions, a digon and a "
          "feature alone cost less (chapter 13).")


# -- 18: names

SHAPES = {"2 orthogonal": np.eye(2), "digon": digon(), "triangle": polygon(3),
          "2 digons": cross_polytope(2), "tetrahedron": simplex(3), "pentagon": polygon(5),
          "digon + dropped": np.array([[1.0, -1.0, 0.0]]), "3 digons": cross_polytope(3)}


def _name_inputs(draw):
    W = SHAPES[draw.one_of(tuple(SHAPES))]
    order = list(range(W.shape[1]))
    if draw.one_of((False, True)):
        order = order[::2] + order[1::2]                    # what was side by side no longer is
    first = draw.integer(0, len(order) - 1)
    order = order[first:] + order[:first]
    return (draw.one_of((1.0, 2.0, 0.5)) ** 2 * gram(W[:, order]),)


def _name(G):
    values, vectors = np.linalg.eigh(G)
    kept = values > 1e-9
    return name_geometry(vectors[:, kept].T * np.sqrt(values[kept])[:, None])


def _by_count(G):
    return {2: "digon", 3: "triangle", 4: "2 digons", 5: "pentagon", 6: "3 digons"}[len(G)]


def _instead(names):
    """The mistake that gives other names to some geometries."""
    return lambda G: names.get(_name(G), _name(G))


NAMING = Exercise(
    name="18_name_a_geometry", title="the name of a shape, from its Gram matrix", function="name",
    inputs=_name_inputs, answer=_name,
    mistakes=(
        Mistake("features are counted and not looked at", _by_count),
        Mistake("the scale matters: only features of length 1 are recognised",
                lambda G: _name(G) if abs(np.diag(G).max() - 1) < 1e-9 else "irregular"),
        Mistake("a dropped feature is overlooked", _instead({"digon + dropped": "digon"})),
        Mistake("four features are a tetrahedron where two pairs of them are orthogonal",
                _instead({"2 digons": "tetrahedron"})),
        Mistake("four features are 2 digons where no two of them are opposite",
                _instead({"tetrahedron": "2 digons"})),
        Mistake("three features are a triangle where one of them is dropped",
                _instead({"digon + dropped": "triangle"})),
        Mistake("signs are overlooked: an antipodal pair has the cosine -1 and is not orthogonal",
                _instead({"digon": "2 orthogonal"})),
        Mistake("shapes have no names where they split: 2 or 3 digons are orthogonal pairs",
                _instead({"2 digons": "irregular", "3 digons": "irregular"}))),
    hints=("Divide by the largest diagonal entry; then the entries are cosines. A feature with a "
           "zero on the diagonal is dropped.",
           "Off the diagonal: a triangle has -1/2, a tetrahedron -1/3, a pentagon 0.309 and "
           "-0.809, digons -1 within a pair and 0 between pairs."),
    solution="geometry.tegum:geometry_of", line="names = [_name(W, part)",
    shown="A geometry is its Gram matrix: rotations change W and leave W'W alone. What is "
          "orthogonal splits into tegum factors, each with a name of its own.")

EXERCISES = (DIMENSIONALITY, LEVERAGE, INTERFERENCE, ROTATION, SIMPLEX, NAMING)
