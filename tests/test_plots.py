"""tm.plots: what is drawn are the numbers, on the Axes that were given, and a notebook shows it."""

import struct
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from axes_of_p import dense_to_sparse
from hypothesis import given, strategies as st
from matplotlib import colormaps
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import proj3d

import toymodels_np as tm
from toymodels_np.plots.parts import hull_edges
from toymodels_np.teaching import figures

PENTAGON = np.stack([np.cos(t := 2 * np.pi * np.arange(5) / 5), np.sin(t)])
OCTAHEDRON = np.hstack([np.eye(3), -np.eye(3)])


def neurons():
    """The paper's asymmetric motif as a model of four neurons, all rescaled."""
    W1, W2 = [[2, -0.5], [1, 0], [-1, 0], [0, 1]], [[0.5, 0, 1, 0], [2, -4, 0, 1]]
    return tm.AbsoluteValue(3 * np.array(W1), np.array(W2) / 3, np.zeros(2))


@cache
def trained():
    features = tm.Features(5, 0.1)
    return tm.train(tm.ReluOutput.init(5, 2, 3), features, steps=40, batch_size=32, record_every=10,
                    progress=False)


@cache
def diagram():
    return tm.phase_diagram(2, 1, importance=np.geomspace(0.1, 10, 4),
                            feature_probability=np.geomspace(0.02, 1, 3))


@cache
def gradient_flow():
    W = 0.01 * np.random.default_rng(0).normal(size=(1, 2))
    return tm.gradient_flow(tm.ReluOutput(W, np.zeros(2)), tm.Features(2, 0.2), t_final=1e4)


CURVES = {"low": (np.array([0.0, 1, 2]), np.array([1.0, 2, 3])),
          "high": (np.array([0.5, 2]), np.array([2.5, 2.0]))}
POINT = tm.CriticalPoint(1.5, 2.25, (1.0, -0.3), (None, None))
LIMIT = tm.StabilityLimit(0.5, 2.5, None, "fold")

DRAWINGS = {
    "geometry 1": lambda ax=None: tm.plots.geometry([[1.0, -1, 0]], ax=ax),
    "geometry 2": lambda ax=None: tm.plots.geometry(PENTAGON, ax=ax),
    "gram": lambda ax=None: tm.plots.gram(PENTAGON, ax=ax),
    "norms": lambda ax=None: tm.plots.norms(PENTAGON, ax=ax),
    "dimensionality": lambda ax=None: tm.plots.dimensionality(PENTAGON, ax=ax),
    "stack": lambda ax=None: tm.plots.stack(neurons(), ax=ax),
    "motif": lambda ax=None: tm.plots.motif(neurons(), tm.asymmetric_motifs(neurons())[0], ax=ax),
    "history": lambda ax=None: tm.plots.history(trained(), ax=ax),
    "phase": lambda ax=None: tm.plots.phase(diagram(), ax=ax),
    "flow": lambda ax=None: tm.plots.flow(gradient_flow(), ax=ax),
    "branches": lambda ax=None: tm.plots.branches(CURVES, point=POINT, limits={"high": LIMIT},
                                                  ax=ax),
}


def lines_of(axes):
    """{label: (x, y)} of the lines that have a label."""
    return {line.get_label(): line.get_data() for line in axes.lines
            if not line.get_label().startswith("_")}


# -- how a figure is shown ------------------------------------------------------------------------

@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
def test_a_new_figure_shows_itself(draw, tmp_path):
    axes = draw()
    for shown in (axes, axes.figure):
        png = shown._repr_png_()
        assert png.startswith(b"\x89PNG\r\n\x1a\n") and len(png) > 3000
        width, height = struct.unpack(">II", png[16:24])
        assert 300 < width < 2000 and 300 < height < 1500
    axes.figure.savefig(tmp_path / "figure.pdf")
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
def test_axes_that_are_given_are_used_and_no_others(draw):
    figure = Figure()
    mine, other = figure.subplots(1, 2)
    assert draw(mine) is mine
    assert len(mine.get_children()) > len(other.get_children())
    assert not (other.lines or other.patches or other.images or other.collections)


def test_space_needs_axes_in_space():
    figure = Figure()
    mine = figure.add_subplot(projection="3d")
    assert tm.plots.geometry(OCTAHEDRON, ax=mine) is mine
    with pytest.raises(ValueError, match="ax must have three dimensions.*projection='3d'"):
        tm.plots.geometry(OCTAHEDRON, ax=figure.add_subplot())
    with pytest.raises(ValueError, match="ax must be flat"):
        tm.plots.geometry(PENTAGON, ax=mine)
    assert tm.plots.geometry(OCTAHEDRON)._repr_png_().startswith(b"\x89PNG")


def test_no_figure_is_left_with_pyplot_and_matplotlib_comes_with_the_first_drawing():
    code = ("import sys, toymodels_np as tm, toymodels_np.cli.parser\n"
            "for name in tm.experiments: tm.experiments[name]\n"
            "assert 'plots' in dir(tm) and 'geometry' in dir(tm.plots)\n"
            "late = {'matplotlib', 'scipy.optimize', 'scipy.stats', 'scipy.integrate'}\n"
            "assert not late & {*sys.modules}, late & {*sys.modules}\n"
            "tm.plots.geometry([[1.0, 0], [0, 1]])\n"
            "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_name_of_the_folder_is_there():
    names = {}
    exec("from toymodels_np.plots import *", names)
    assert {*dir(tm.plots)} <= {*names}
    with pytest.raises(AttributeError, match="has no attribute 'geometri'"):
        tm.plots.geometri                                                           # noqa: B018
    for name in tm.experiments:
        assert callable(getattr(tm.plots.rows, tm.experiments[name].draw.__module__.split(".")[-1])
                        .figure)


# -- what is drawn are the numbers ----------------------------------------------------------------

@given(st.integers(1, 3), st.integers(1, 12), st.integers(0, 2**20))
def test_every_direction_is_a_line_from_the_origin(m, n, seed):
    W = np.random.default_rng(seed).normal(size=(m, n))
    axes = tm.plots.geometry(W)
    drawn = {}
    for line in axes.lines:
        if not line.get_label().startswith("_"):
            data = line.get_data_3d() if m == 3 else line.get_data()
            drawn[line.get_label()] = np.array(data), to_hex(line.get_color())
    assert set(drawn) == {f"feature {i}" for i in range(n)}
    for i in range(n):
        points, colour = drawn[f"feature {i}"]
        np.testing.assert_allclose(points[:m, 1], W[:, i])
        np.testing.assert_allclose(points[:m, 0], 0)
        assert colour.upper() == tm.plots.feature_colour(i)


def test_dropped_features_are_named_and_the_others_numbered():
    W = np.hstack([PENTAGON, np.zeros((2, 1))])
    words = [text.get_text() for text in tm.plots.geometry(W).texts]
    assert words == ["0", "1", "2", "3", "4", "at 0: 5"]


@pytest.mark.parametrize("space", [2, 3])
def test_features_with_one_direction_have_one_label(space):
    """Two numbers at one tip lie over each other."""
    W = np.vstack([PENTAGON, np.full((space - 2, 5), 0.5)])[:, [0, 1, 0, 2, 0]] * [1, 1, 1, 1, 0.97]
    texts = tm.plots.geometry(W).texts
    assert [text.get_text() for text in texts] == ["0, 2, 4", "1", "3"]
    assert [to_hex(text.get_color()).upper() for text in texts] == [
        "#000000", *map(tm.plots.feature_colour, (1, 3))]
    assert [text.get_text() for text in tm.plots.geometry(W[:, [0] * 24]).texts] == ["×24"]


@given(st.integers(1, 4), st.integers(1, 9), st.integers(0, 2**20))
def test_the_gram_matrix_is_the_image_and_its_colours_are_fair(m, n, seed):
    W = np.random.default_rng(seed).normal(size=(m, n))
    image, = tm.plots.gram(W).images
    np.testing.assert_allclose(image.get_array(), W.T @ W)
    low, high = image.get_clim()
    assert low == -high and high == max(1, abs(W.T @ W).max())


def test_rows_of_gram_matrices_have_room_for_the_longest_column():
    models = [PENTAGON, PENTAGON * [1, 1, 1, 1, 3]]
    heats = [axes for axes in tm.plots.gram_rows(models, ["a", "b"]).axes if axes.images]
    assert [axes.images[0].get_clim() for axes in heats[:2]] == [(-9, 9)] * 2
    bars = [axes for axes in heats[0].figure.axes if len(axes.patches) == 5]
    assert all(axes.get_xlim()[1] >= 3 for axes in bars) and len(bars) == 2


def test_bars_are_norms_and_their_colours_the_interference():
    """Feature 0 meets 0.6² of feature 1, which meets 1.5² of feature 0: that is shown as 1."""
    axes = tm.plots.norms(np.array([[1.5, -0.6, 0], [0, 0, 2]]))
    bars = axes.patches
    np.testing.assert_allclose([bar.get_width() for bar in bars], [1.5, 0.6, 2])
    colours = colormaps["viridis"]([0.6**2, 1.0, 0.0])
    np.testing.assert_allclose([bar.get_facecolor() for bar in bars], colours)
    assert axes.get_ylim() == (2.5, -0.5)                       # feature 0 is on top


def test_bars_of_many_features_are_seen_in_the_colour_of_each():
    """400 bars on 350 pixels: there is no room for outlines and gaps."""
    axes = tm.plots.norms(np.eye(400))
    axes.figure.canvas.draw()
    box = axes.transData.transform([(0.1, 399), (0.9, 0)]).round().astype(int)
    image = np.asarray(axes.figure.canvas.buffer_rgba())[::-1]
    (left, low), (right, high) = box
    seen = np.unique(image[low:high, left:right, :3].reshape(-1, 3), axis=0)
    np.testing.assert_allclose(seen / 255, [colormaps["viridis"](0.0)[:3]], atol=0.01)


def test_dimensionalities_stand_at_their_height():
    points, = tm.plots.dimensionality(PENTAGON).collections
    np.testing.assert_allclose(points.get_offsets(), [(i, 0.4) for i in range(5)])
    colours = [to_rgba(tm.plots.feature_colour(i)) for i in range(5)]
    np.testing.assert_allclose(points.get_facecolors(), colours)
    two = np.stack([PENTAGON, np.hstack([np.eye(2), np.zeros((2, 3))])])
    points, = tm.plots.dimensionality(two, at=[7, 9]).collections
    expected = [(7, 0.4)] * 5 + [(9, 1)] * 2 + [(9, 0)] * 3
    np.testing.assert_allclose(points.get_offsets(), expected)


def test_a_trained_triangle_in_a_wrong_phase_is_marked_as_wrong():
    p, r, no = np.array([0.5, 0.05]), np.array([0.5, 2.0]), np.zeros((2, 2), bool)
    phase = np.array([["superposed", "superposed"], ["superposed", "own dimension"]])
    found, joint = np.array([[True, False]] * 2), np.array([[True, True], [False, False]])
    d = {"n": 3, "m": 2, "importance": r, "feature_probability": p, "phase": phase,
         "candidate_phase": phase, "differs": no, "joint": no, "trained_importance": r,
         "trained_probability": p, "trained_phase": phase, "trained_joint": joint, "found": found}
    figure = tm.plots.phases.phase_diagram([d, d], d)
    marks = {line.get_marker(): line.get_xydata().tolist() for line in figure.axes[2].lines}
    assert marks["o"] == [[0.05, 0.5], [0.05, 2.0]] and marks["^"] == [[0.5, 0.5]]


def test_rectangles_of_a_stack_plot_are_the_weights():
    axes = tm.plots.stack(neurons())
    boxes = [(bar.get_x() + bar.get_width() / 2, bar.get_y(), bar.get_height())
             for bar in axes.patches]
    np.testing.assert_allclose(boxes, [(0, 0, 1), (0, 0, -0.25), (1, 0, 1), (2, 0, -1), (3, 0, 1)],
                               atol=1e-12)
    tall = tm.plots.stack(neurons(), weights="output").patches
    np.testing.assert_allclose(sorted(bar.get_height() for bar in tall), [-4, 1, 1, 1, 4])


@pytest.mark.parametrize("count, ticks", [(1, [0]), (3, [0, 1, 2]), (20, [*range(0, 20, 2)])])
def test_models_have_their_numbers_on_the_axis_of_dimensionalities(count, ticks):
    axes = tm.plots.dimensionality(np.stack([PENTAGON] * count))
    assert axes.get_xlabel() == "model" and axes.get_xticks().tolist() == ticks
    assert axes.get_xlim() == (-0.6, count - 0.4)
    assert tm.plots.dimensionality(PENTAGON).get_xlabel() == "feature"
    given = tm.plots.dimensionality(np.stack([PENTAGON] * 2), at=[0.3, 7])
    assert given.get_xlabel() == "" and max(given.get_xlim()) > 7


@pytest.mark.parametrize("size", [0.05, 1, 1e5])
def test_numbers_in_a_stack_plot_are_those_that_have_room(size):
    """Feature 1 has a twentieth of the first bar, feature 2 a tenth."""
    W = size * np.array([[0.85, 0.05, 0.1], [0, 0, 1]])
    axes = tm.plots.stack(tm.ReluHidden(W, np.zeros(3)))
    assert sorted(text.get_text() for text in axes.texts) == ["0", "2", "2"]


def test_a_number_in_a_stack_plot_adds_nothing_to_its_rectangle():
    """What is above the topmost rectangle, almost too low for its number, is white."""
    axes = tm.plots.stack(tm.ReluHidden([[0.465, 0.465, 0.07]], np.zeros(3)))
    axes.figure.set_size_inches(4, 3)
    axes.figure.canvas.draw()
    x, top = axes.transData.transform((0, 1)).round().astype(int)
    image = np.asarray(axes.figure.canvas.buffer_rgba())[::-1]
    assert axes.texts[-1].get_text() == "2" and (image[top + 1:top + 5, x - 5:x + 5] == 255).all()


def test_a_stack_plot_of_nothing_has_no_numbers():
    assert not tm.plots.stack(tm.ReluHidden(np.zeros((2, 3)), np.zeros(3))).texts


def test_the_motif_shows_its_weights_with_the_largest_input_at_one():
    model = neurons()
    motif = tm.asymmetric_motifs(model)[0]
    words = [text.get_text() for text in tm.plots.motif(model, motif).texts]
    for number in ("+1.00", "−0.25", "+4.00", "−4.00", "neuron 0", "inhibitor 1"):
        assert number in words
    assert any("1.00 × 4.00 = 4.00;" in text for text in words)


def test_losses_of_a_history_are_its_lines():
    history = trained()
    axes = tm.plots.history(history)
    assert len(axes.lines) == 3 and axes.get_yscale() == "log"
    for k, line in enumerate(axes.lines):
        np.testing.assert_allclose(line.get_xydata().T, [history.steps, history.losses[:, k]])


def test_cells_of_a_phase_diagram_are_its_phases_from_dense_to_sparse():
    axes, solved = tm.plots.phase(diagram()), diagram()
    mesh, = axes.collections
    names = np.array(list(tm.plots.PHASE_COLOURS))
    assert (names[mesh.get_array().astype(int)] == solved.phase).all()
    dense_to_sparse(axes.figure)
    assert axes.get_xscale() == "log"
    dots = next(line for line in axes.lines if line.get_marker() == "o")
    assert len(dots.get_xdata()) == solved.differs.sum()
    mesh, = tm.plots.phase(diagram(), candidates=True).collections
    assert (names[mesh.get_array().astype(int)] == solved.candidate_phase).all()


CHANGE = {"vary": "all", "title": "all", "from": 0.05, "to": 0.5, "critical": 0.2, "loss": 0.4,
          "coexistence": (0.1, 0.3), "branches": [
              {"geometry": name, "values": [0.05, 0.2, 0.5], "energy": [0.1, 0.4, energy],
               "limit": None, "kind": None} for name, energy in (("flat", 0.6), ("steep", 0.9))]}


@pytest.mark.parametrize("draw", [
    lambda: tm.plots.sweep_map(["p"], [[0.5, 0.02, 1.0]], [3, 1, 2], "geometry",
                               np.array(["a", "b", "a"])),
    lambda: tm.plots.sweep_map(["feature_probability"], [[0.5, 0.4]], [3, 1], "geometry",
                               np.array(["a", "b"])),
    lambda: tm.plots.sweep_map(["extra_importance", "feature_probability"],
                               [[1, 1, 2, 2], [1.0, 0.1, 1.0, 0.1]], [4, 1, 3, 2], "phase",
                               np.array(["superposed", "not learned"] * 2)),
    lambda: tm.plots.critical_points([CHANGE], {"all": "probability p of all"}, {}),
], ids=["sweep of p", "sweep of feature_probability", "sweep of two settings", "critical points"])
def test_axes_of_p_run_from_dense_to_sparse(draw):
    dense_to_sparse(draw())


def test_the_other_way_round_is_seen():
    def figure(label, *ends, words=()):
        axes = Figure().add_subplot(xlabel=label, xlim=ends)
        if words:
            axes.set_xticks(range(len(words)), words)
        return axes.figure

    for label in ("feature probability $p = 1 - S$", "p"):
        dense_to_sparse(figure(label, 1, 0.1))
        dense_to_sparse(figure(label, -0.5, 1.5, words=("0.9", "0.1")))
        for wrong in (figure(label, 0.1, 1), figure(label, -0.5, 1.5, words=("0.1", "0.9")),
                      figure(label, 1.5, -0.5, words=("0.9", "0.1"))):
            with pytest.raises(AssertionError):
                dense_to_sparse(wrong)
    dense_to_sparse(figure("$1/p$", 1, 100))
    dense_to_sparse(figure("importance", 1, 100), expected=False)
    for label, ends in (("1 / p", (100, 1)), ("importance", (1, 100))):
        with pytest.raises(AssertionError):
            dense_to_sparse(figure(label, *ends))


def test_the_flow_is_its_loss_and_its_plateaus():
    flow = gradient_flow()
    axes = tm.plots.flow(flow)
    np.testing.assert_allclose(axes.lines[0].get_xydata().T, [flow.times[1:], flow.losses[1:]])
    saddles = [plateau.saddle_loss for plateau in flow.plateaus if plateau.model is not None]
    assert len(flow.plateaus) >= 2 and len(axes.patches) == len(flow.plateaus)
    np.testing.assert_allclose([line.get_ydata()[0] for line in axes.lines[1:]], saddles)


def test_names_of_parallel_branches_do_not_lie_over_each_other():
    x = np.linspace(0, 1, 9)
    axes = tm.plots.branches({f"branch {k}": (x, x + 0.01 * k) for k in range(6)})
    axes.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == 6
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])


def test_a_branch_of_one_point_is_seen():
    line, = tm.plots.branches({"alone": ([0.5], [2.0])}).lines
    assert line.get_marker() == "o"


def test_one_branch_has_its_name_in_the_middle():
    text, = tm.plots.branches({"alone": ([0.1, 0.2, 0.3], [1.0, 0.5, 0.2])}).texts
    assert text.xy == pytest.approx((0.2, 0.5))


@pytest.mark.parametrize("names", [["p"], ["p", "importance"]])
@pytest.mark.parametrize("geometry", ["pentagon", "square antiprism + 3 digons + 2 dropped",
                                      "7 digons in 6 dimensions + 2 square antiprisms + triangle"])
def test_the_legend_of_a_sweep_is_seen_whole(names, geometry):
    places = [np.geomspace(0.1, 1, 8)] * len(names)
    labels = np.array([f"{k} {geometry}" for k in range(8)])
    figure = tm.plots.sweep_map(names, places, np.linspace(1, 2, 8), "geometry", labels)
    figure.canvas.draw()
    legend = figure.legends[0].get_window_extent()
    assert figure.bbox.x0 <= legend.x0 and legend.x1 <= figure.bbox.x1


@pytest.mark.parametrize("dpi", [50, 80, 120])
def test_the_legend_of_a_flow_is_seen_whole(dpi):
    axes = tm.plots.flow(gradient_flow())
    axes.figure.set_dpi(dpi)
    axes.figure.canvas.draw()
    legend, page = axes.get_legend().get_window_extent(), axes.figure.bbox
    assert page.x0 <= legend.x0 and legend.x1 <= page.x1 and page.y0 <= legend.y0


def test_a_flow_that_stands_at_a_loss_of_zero_can_be_drawn():
    """A loss of zero has no place on a logarithmic axis."""
    still = tm.gradient_flow(tm.Linear(np.eye(2), np.zeros(2)), tm.Features(2, 0.2), t_final=1e2)
    axes = tm.plots.flow(still)
    assert axes.get_yscale() == "linear" and axes.get_ylim()[0] < 0 < axes.get_ylim()[1]
    axes.figure.canvas.draw()
    assert tm.plots.flow(gradient_flow()).get_yscale() == "log"


def test_numbers_in_space_stand_beside_their_dots_in_a_small_panel():
    figure = Figure((3, 3))
    W = np.array([[1, 0, 0, 0.2, 0], [0, 1, 0, 0.05, 0], [0, 0, 1, -0.2, -1]])    # one is short
    axes = tm.plots.geometry(W, ax=figure.add_subplot(projection="3d"))
    figure.canvas.draw()
    middles = np.transpose([number.get_position_3d() for number in axes.texts])

    def seen(points):
        x, y, _ = proj3d.proj_transform(*points, axes.get_proj())
        return axes.transData.transform(np.transpose([x, y]))

    apart = np.hypot(*(seen(middles) - seen(W)).T) * 72 / figure.dpi
    assert apart.min() > 9                      # points, of which a dot's radius is 4.5


def test_no_curve_of_a_rose_runs_through_a_number():
    axes = figures.directions_of_attack().axes[0]
    axes.figure.canvas.draw()
    labels = axes.get_xticklabels() + axes.get_yticklabels()
    assert [label.get_text() for label in labels] == ["0", "1", "2", "3", "4", "2", "4"]
    boxes = [label.get_window_extent() for label in labels]
    for curve in axes.lines:
        drawn = axes.transData.transform(curve.get_xydata())
        assert not any(box.contains(*point) for box in boxes for point in drawn)
    rim = axes.patch.get_window_extent()
    middle, radius = [(rim.x0 + rim.x1) / 2, (rim.y0 + rim.y1) / 2], rim.width / 2
    assert all(np.hypot(*(box.corners() - middle).T).min() > radius for box in boxes[:5])


def test_branches_are_their_curves_with_names_crossing_and_limit():
    axes = tm.plots.branches(CURVES, point=POINT, limits={"high": LIMIT}, parameter="ratio")
    for line, (x, y) in zip(axes.lines, CURVES.values()):
        np.testing.assert_allclose(line.get_data(), (x, y))
    drawn = lines_of(axes)
    assert [np.ravel(drawn["same energy: 1.5"]).tolist()] == [[1.5, 2.25]]
    assert np.ravel(drawn["its limit: 0.500000 (fold)"]).tolist() == [0.5, 2.5]
    assert {text.get_text() for text in axes.texts} == set(CURVES)
    assert axes.get_xlabel() == "ratio"


def test_features_keep_their_colour_and_have_one_each():
    colours = [tm.plots.feature_colour(i) for i in range(60)]
    assert len(set(colours)) == 60
    assert colours[:8] == list(tm.plots.FEATURE_COLOURS)


# -- hulls ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("points, edges", [
    (OCTAHEDRON.T, 12),
    (np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1.0)]), 12),
    (np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]), 6),
    (np.vstack([PENTAGON, np.zeros(5)]).T, 5),                  # flat
    (np.array([[0.0, 0, 1], [0, 0, -1], [0, 0, 0.2]]), 1),      # on a line
    (np.array([[0.0, 0, 1], [0, 0, 1]]), 0),
    (np.vstack([OCTAHEDRON.T, OCTAHEDRON.T]), 12),              # twice the same
])
def test_edges_of_the_hull(points, edges):
    for size in (1, 1e-9, 1e90):
        found = hull_edges(size * points)
        assert len(found) == len({frozenset(edge) for edge in found}) == edges


# -- bad input ------------------------------------------------------------------------------------

@pytest.mark.parametrize("call, error, words", [
    (lambda: tm.plots.geometry(np.ones((4, 5))), ValueError, r"W must have 1, 2 or 3.*\(4, 5\)"),
    (lambda: tm.plots.geometry(np.ones((3, 2, 5))), ValueError, r"W must be one matrix.*W\[0\]"),
    (lambda: tm.plots.geometry(tm.ReluOutput.init(5, 2)), TypeError, "W must be.*pass its .W"),
    (lambda: tm.plots.gram([[1, np.nan]]), ValueError, "W must be finite"),
    (lambda: tm.plots.norms("W"), TypeError, "W must be an array of real numbers"),
    (lambda: tm.plots.gram(PENTAGON, ax="left"), TypeError, "ax must be matplotlib Axes.*'left'"),
    (lambda: tm.plots.dimensionality(PENTAGON, at=[1]), ValueError, "W must be.*at"),
    (lambda: tm.plots.dimensionality(PENTAGON, at=3), ValueError, "W must be.*at"),
    (lambda: tm.plots.dimensionality(np.ones((2, 2, 3)), at=[1]), ValueError, "W must be.*at"),
    (lambda: tm.plots.stack(tm.ReluOutput.init(5, 2)), TypeError, "ReluHidden or AbsoluteValue"),
    (lambda: tm.plots.stack(tm.ReluHidden.init(5, 2, 3)), ValueError, "single.*instances"),
    (lambda: tm.plots.stack(neurons(), weights="both"), ValueError, "weights must be one of"),
    (lambda: tm.plots.motif(tm.ReluHidden.init(5, 2), None), TypeError, "single AbsoluteValue"),
    (lambda: tm.plots.motif(neurons(), 3), TypeError, "asymmetric_motifs.*3"),
    (lambda: tm.plots.motif(tm.AbsoluteValue.init(1, 2), tm.asymmetric_motifs(neurons())[0]),
     ValueError, "motif speaks of neurons"),
    (lambda: tm.plots.history([1, 2]), TypeError, "history must be the History"),
    (lambda: tm.plots.phase(3), TypeError, "diagram must be the PhaseDiagram"),
    (lambda: tm.plots.phase(diagram(), candidates="yes"), TypeError, "candidates.*'yes'"),
    (lambda: tm.plots.flow(None), TypeError, "flow must be the Flow"),
    (lambda: tm.plots.branches([1]), TypeError, "curves must be a dictionary"),
    (lambda: tm.plots.branches({}), ValueError, "curves must name 1 to 6"),
    (lambda: tm.plots.branches({"a": ([1, 0], [1, 2])}), ValueError, "'a' must have ascending"),
    (lambda: tm.plots.branches({"a": ([1, 2], [1, 2, 3])}), ValueError, "'a' must have ascending"),
    (lambda: tm.plots.branches({"a": ([1, 2],)}), ValueError, r"'a' must be a pair"),
    (lambda: tm.plots.branches(CURVES, point=3), TypeError, "point must be a CriticalPoint"),
    (lambda: tm.plots.branches(CURVES, limits={"low": 3}), TypeError, "StabilityLimits"),
    (lambda: tm.plots.branches(CURVES, parameter=[[3]]), TypeError, "parameter must be the words"),
    (lambda: tm.plots.branches(CURVES, limits={"no": LIMIT}), ValueError, "limits some of them"),
])
def test_bad_input_is_a_sentence(call, error, words):
    with pytest.raises(error, match=words):
        call()
