"""The examples, run here at a reduced size: what they write, what the library says of it, and how
they refuse."""

import json
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from loading import EXAMPLES, assert_refused, load

import toymodels_np as tm
from toymodels_np.cli import jobs
from toymodels_np.theory import minima

NUMBERED = "02_exact_loss", "03_phase_diagram", "04_critical_points", "05_gradient_flow"
exact_loss, phase_diagram, critical_points, gradient_flow = map(load, NUMBERED)
certificates, legibility, own_model = map(load, (
    "certificates", "price_of_legibility", "your_own_model"))


def printed(module, folder, arguments=(), **constants):
    """The lines that the example prints where some of its constants have other values."""
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        for constant, value in constants.items():
            patch.setattr(module, constant, value)
        said = lambda *words: lines.extend(" ".join(map(str, words)).split("\n"))
        patch.setattr(module, "print", said, raising=False)
        module.main([*arguments, "--out", str(folder)])
    return lines


def assert_picture(path):
    png = path.read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n") and len(png) > 20_000


def run(module, name, folder, arguments=(), **constants):
    """(record, lines printed) of the example; it must write a figure, the numbers and no more."""
    lines = printed(module, folder, arguments, **constants)
    paths = [folder / f"{name}.png", folder / f"{name}.json"]
    assert sorted(folder.iterdir()) == sorted(paths)
    assert lines[-2:] == [f"wrote {path}" for path in paths]
    assert_picture(paths[0])
    return json.loads(paths[1].read_text()), lines


# -- exact loss against Monte Carlo ---------------------------------------------------------------

@pytest.fixture(scope="module")
def estimates(tmp_path_factory):
    return run(exact_loss, "exact_loss", tmp_path_factory.mktemp("out") / "new", ["--seed", "3"],
               STEPS=200, SEEDS=3, SAMPLES=(100, 1000, 30_000), QUASI=(2**10, 2**13), N=8, M=3,
               IMPORTANCE=0.7 ** np.arange(8))


def test_the_exact_line_is_the_loss_of_the_model_that_it_keeps(estimates):
    record, lines = estimates
    W, b = np.array(record["W"]), np.array(record["b"])
    assert record["seed"] == 3 and W.shape == (3, 8)
    twin = tm.energies.enumerated_loss(W, b, record["p"], np.array(record["importance"]))
    assert abs(record["exact_loss"] / twin - 1) < 1e-9
    assert any(f"exact loss {record['exact_loss']:.12f}" in line for line in lines)


def test_the_estimates_gather_on_the_exact_line(estimates):
    """Three runs of 30 000: within 4.5 standard errors, which shrink like 1/sqrt(N) to 30 %."""
    record, lines = estimates
    mean, error = np.array(record["mean"]), np.array(record["standard_error"])
    z = (mean - record["exact_loss"]) / error
    np.testing.assert_allclose(record["z"], z, rtol=1e-9)
    assert mean.shape == (3, 3) and abs(z[:, -1]).max() < 4.5 and len(set(mean[:, -1])) == 3
    shrunk = error[:, -1] * 30_000**0.5 / record["standard_deviation"]
    np.testing.assert_allclose(shrunk, 1, atol=0.3)
    quasi, quasi_error = np.array(record["quasi_mean"]), np.array(record["quasi_error"])
    assert (abs(quasi - record["exact_loss"]) < 4.5 * quasi_error).all()
    needed = (record["standard_deviation"] / (record["rtol"] * record["exact_loss"])) ** 2
    assert abs(record["samples_needed"] / needed - 1) < 1e-12
    assert any(line.startswith(f"for an error bar of {record['rtol']:g} of the loss: ")
               for line in lines)


def test_running_estimates_are_those_of_all_samples_so_far():
    """Blocks and read-off points do not change what is drawn up to the smallest block boundary."""
    features = tm.Features(4, 0.3)
    model = tm.ReluOutput.init(4, 2, seed=1).astype(np.float64)
    rows, deviation = exact_loss.monte_carlo(model, features, (50, 200), 5)
    rng = np.random.default_rng(5)
    x = np.concatenate([features.sample(rng, 50), features.sample(rng, 150)])
    losses = ((model.forward(x) - x) ** 2).sum(-1)
    np.testing.assert_allclose(rows[1], [losses.mean(), losses.std(ddof=1) / 200**0.5], rtol=1e-9)
    first = losses[:50]
    np.testing.assert_allclose(rows[0], [first.mean(), first.std(ddof=1) / 50**0.5], rtol=1e-9)
    assert abs(deviation / losses.std(ddof=1) - 1) < 1e-9


# -- phase diagrams -------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def diagrams(tmp_path_factory):
    return run(phase_diagram, "phase_diagram", tmp_path_factory.mktemp("out"), GRID=(4, 4),
               NEAR_GRID=2, STARTS=4,
               STEPS=600, BATCH=256, PROBABILITY=(0.1, 1), NEAR=((0.95, 1.05), (0.65, 0.95)))


def test_the_diagrams_are_those_of_the_library(diagrams):
    record, lines = diagrams
    assert [(d["n"], d["m"]) for d in record["diagrams"]] == [(2, 1), (3, 2)]
    d = record["diagrams"][0]
    truth = tm.phase_diagram(2, 1, importance=np.geomspace(0.1, 10, 4),
                             feature_probability=np.geomspace(0.1, 1, 4))
    np.testing.assert_allclose(d["loss"], truth.loss, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(d["candidate_loss"], truth.candidate_loss, rtol=1e-12)
    assert d["phase"] == truth.phase.tolist()
    assert d["candidate_phase"] == truth.candidate_phase.tolist()
    assert d["differs"] == truth.differs.tolist() and d["gradient_norm"] <= 1e-8
    assert abs(d["largest_gap"] - (truth.candidate_loss - truth.loss).max()) < 1e-9
    assert lines[0].startswith(f"2 features in 1: {truth.differs.sum()} of 16 cells differ")


def test_trained_models_never_cost_less_than_the_true_minima(diagrams):
    for d in diagrams[0]["diagrams"]:
        truth, trained = np.array(d["loss"])[::2, ::2, None], np.array(d["trained_losses"])
        assert trained.shape[-1] == 4 and (trained >= truth - 1e-9).all()
        same = np.array(d["trained_phase"]) == np.array(d["phase"])[::2, ::2]
        assert d["found"] == same.tolist()
    assert np.mean(diagrams[0]["diagrams"][0]["found"]) >= 0.75


def test_the_joint_solution_wins_near_equal_importance(diagrams):
    """At p = 0.65 three nearly equal features in two dimensions make a triangle, below all."""
    near = diagrams[0]["near"]
    joint, gain = np.array(near["joint"]), np.array(near["gain"])
    assert joint[:, 0].all() and (gain[:, 0] > 0.05).all()
    assert np.array(near["geometry"])[:, 0].tolist() == ["triangle"] * 2


def test_what_counts_as_joint():
    triangle = np.array([[0, -0.87, 0.87], [1, -0.5, -0.5]])
    assert phase_diagram.is_joint(triangle)
    both = np.stack([triangle, [[1, -1, 0], [0, 0, 1]]])
    assert phase_diagram.is_joint(both).tolist() == [True, False]
    assert not phase_diagram.is_joint(np.array([[1.0, 0, 0], [0, 1, 0]]))
    assert not phase_diagram.is_joint(np.array([[1.0, -1]]))


# -- critical points ------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def changes(tmp_path_factory):
    """Two of the four changes: of one probability, to a fold, and of p, to the triangle."""
    cases = [case for case in critical_points.CHANGES
             if case[0] == "probability" or case[4] == critical_points.TRIANGLE]
    return run(critical_points, "critical_points", tmp_path_factory.mktemp("out"), CHANGES=cases,
               POINTS=4, STARTS=4,
               WINNERS_AT=(0.05, 0.4, 0.8))


def energy_of(branch, value):
    return branch["energy"][branch["values"].index(value)]


def test_the_critical_points_are_those_of_the_closed_forms(changes):
    """Two witnesses: at each crossing the enumerated losses of both models agree."""
    record, lines = changes
    (one, alike), energies = record["changes"], tm.energies
    assert abs(one["critical"] - 0.2690811530) < 1e-9
    assert abs(alike["critical"] - 0.6442403645) < 1e-9
    assert any("at 0.2690811530; slopes" in line for line in lines)
    assert any(line.startswith("exact: 3.716 times less frequent") for line in lines)
    for change in (one, alike):
        law = critical_points.features(change["vary"], change["critical"])
        for branch in change["branches"]:
            W, b = np.array(branch["W"]), np.array(branch["b"])
            loss = energies.enumerated_loss(W, b, law.feature_probability, law.importance)
            assert abs(loss / change["loss"] - 1) < 1e-9
            assert abs(energy_of(branch, change["critical"]) / loss - 1) < 1e-9
            assert tm.name_geometry(W) == branch["geometry"]
    p = alike["critical"]
    triangle = energies.polygon(3, p).loss + 2 * energies.dropped(p).loss
    assert abs(energies.digons(2, p, dropped=1).loss / triangle - 1) < 1e-10


def test_the_slopes_are_those_of_the_curves_and_differ(changes):
    for change in changes[0]["changes"]:
        first, second = change["branches"]
        assert abs(first["slope"] / second["slope"] - 1) > 0.3
    p, h = changes[0]["changes"][1]["critical"], 1e-4
    above, below = (tm.energies.digons(2, q, dropped=1).loss for q in (p + h, p - h))
    digons = (above - below) / (2 * h)
    assert abs(changes[0]["changes"][1]["branches"][0]["slope"] / digons - 1) < 1e-4


def test_each_geometry_lasts_beyond_the_crossing(changes):
    one, alike = changes[0]["changes"]
    pentagon, digons = one["branches"]
    assert pentagon["kind"] == "fold" and abs(pentagon["limit"] - 0.12415046) < 1e-6
    assert digons["limit"] is None
    assert one["coexistence"] == [pentagon["limit"], one["to"]]
    digons, triangle = alike["branches"]
    assert abs(digons["limit"] - 0.65969480) < 1e-6 and abs(triangle["limit"] - 0.91829149) < 1e-6
    for change in (one, alike):
        for branch in change["branches"]:
            low, high = branch["stable"]
            assert low < change["critical"] < high
            assert [low, high] == [branch["values"][0], branch["values"][-1]]
            assert len(branch["values"]) == len(branch["energy"])
            assert np.isfinite(branch["energy"]).all()


def test_a_pentagon_is_found_before_the_fold_and_none_beyond_it(changes):
    """The fold against relaxation on the closed-form loss, a little on either side of it."""
    pentagon = changes[0]["changes"][0]["branches"][0]
    W, b = np.array(pentagon["W"]), np.array(pentagon["b"])
    for value in (0.15, 0.1245):
        law = critical_points.features("probability", value)
        _, _, b, W = tm.energies.local_minimum(W, b, law.feature_probability)
        assert tm.name_geometry(W) == "pentagon"
    law = critical_points.features("probability", pentagon["limit"] - 1e-3)
    beyond = tm.energies.local_minimum(W, b, law.feature_probability)
    assert tm.name_geometry(beyond.W) == "2 digons + dropped"


# -- the gradient flow ----------------------------------------------------------------------------

def test_the_flow_rests_at_nothing_and_then_where_each_set_is_one_direction(tmp_path):
    """The first saddle goes down wherever W moves. The second knows the mean of each set that is
    on, whose members keep two thirds of their variance of 1/12.
    """
    record, lines = run(gradient_flow, "gradient_flow", tmp_path, ["--seed", "7"], T_FINAL=100)
    p, (nothing, sets) = record["p"], record["plateaus"]
    assert nothing["groups"] == [] and nothing["words"] == "nothing" and nothing["index"] == 3 * 6
    assert nothing["saddle_loss"] == pytest.approx(6 * tm.energies.dropped(p).loss, rel=1e-9)
    assert sets["groups"] == record["sets"] and sets["words"] == "2 directions"
    assert sets["saddle_loss"] == pytest.approx(6 * p * 2 / 3 / 12, rel=1e-9)
    for plateau, letter in ((nothing, "A"), (sets, "B")):
        assert plateau["loss"] == pytest.approx(plateau["saddle_loss"], rel=1e-2)
        row, = (line for line in lines if line.startswith(f"{letter} "))
        assert f"{plateau['saddle_loss']:.6f}" in row and row.endswith(plateau["words"])
    assert (np.diff(record["losses"]) < 1e-9).all()
    assert f"at t = 100: loss {record['losses'][-1]:.9f}, 2 bundles of 3" in "\n".join(lines)


# -- certificates ---------------------------------------------------------------------------------

SAID = re.compile(r"(.+): index (\d), alone within .+, loss (.+), known to .+; checked: True")


def test_what_the_certificates_say_is_what_the_closed_forms_say(tmp_path):
    lines = printed(certificates, tmp_path)
    files = "certificate-pentagon", "certificate-2-digons-dropped", "certificate-saddle"
    paths = [tmp_path / f"{name}.json" for name in files]
    picture = tmp_path / "certificates.png"
    assert sorted(tmp_path.iterdir()) == sorted([*paths, picture])
    assert lines[-1] == f"wrote {picture}"
    assert_picture(picture)
    said = [SAID.fullmatch(line).groups() for line in lines[:-1]]
    assert [(name, index) for name, index, _ in said] == [
        ("pentagon", "0"), ("2 digons + dropped", "0"), ("saddle", "1")]
    pentagon, digons, saddle = (float(loss) for *_, loss in said)
    p, energies = certificates.P, tm.energies
    assert pentagon == pytest.approx(energies.polygon(5, p).loss, rel=1e-9)
    assert digons == pytest.approx(energies.digons(2, p, dropped=1).loss, rel=1e-9)
    assert pentagon < digons < saddle
    for path, loss in zip(paths, (pentagon, digons, saddle), strict=True):
        assert float(json.loads(path.read_text())["loss"][0]) == pytest.approx(loss, abs=1e-15)


# -- the price of legibility ----------------------------------------------------------------------

@pytest.fixture(scope="module")
def legible(tmp_path_factory):
    """(p, what is recorded) of three features in two dimensions."""
    record, _ = run(legibility, "price_of_legibility", tmp_path_factory.mktemp("out"),
                    SIZES=((3, 2),), BOUNDS=np.array([0.4, 0.5, 1]), PRICES=np.array([1e-4, 1]))
    return record["p"], record["sizes"]["3 features in 2"]


def test_legibility_costs_what_the_shape_costs_that_a_bound_allows(legible):
    """No three lines are more than 60° apart: below cos 60° one feature is dropped, from there on
    there is the triangle, and 1 allows a pair of antipodes.
    """
    p, record = legible
    energies = tm.energies
    shapes = energies.dropped(p), energies.polygon(3, p), energies.antipodal(p)
    cost = [shape.loss / energies.dropped(p).loss for shape in shapes]
    np.testing.assert_allclose(record["cost"], cost, rtol=1e-8)


def test_a_low_price_leaves_the_antipodes_and_a_high_one_nothing_but_right_angles(legible):
    p, record = legible
    antipodes = tm.energies.antipodal(p)
    low, high = record["loss"]
    price = 1e-4 * 2 * antipodes.norm**4        # of which the loss itself pays the second order
    assert antipodes.loss < low < antipodes.loss + price / 10
    assert high == pytest.approx(tm.energies.dropped(p).loss, rel=1e-9)
    assert record["coherence"] == pytest.approx([1, 0], abs=1e-9)


# -- a sweep --------------------------------------------------------------------------------------

def test_the_sweep_has_the_jobs_that_its_first_lines_say():
    path = EXAMPLES / "sweep.toml"
    found = list(jobs.read_config(path))
    assert f"{len(found)} jobs" in path.read_text().splitlines()[1]
    assert {job["seed"] for job in found} == {0, 1} and found[0]["steps"] == 1000
    for name, ends in (("extra_importance", (0.1, 10)), ("feature_probability", (0.01, 1))):
        values = [job[name] for job in found]
        assert (min(values), max(values)) == pytest.approx(ends)


# -- the command lines ----------------------------------------------------------------------------

SEEDED = [exact_loss, phase_diagram, critical_points, gradient_flow, legibility, own_model]
each_module = pytest.mark.parametrize("module", [*SEEDED, certificates],
                                      ids=lambda module: module.__name__)


@pytest.mark.parametrize("module", SEEDED, ids=lambda module: module.__name__)
@pytest.mark.parametrize("arguments, words", [
    (["--seed", "-1"], ["--seed", "0 or more", "-1"]),
    (["--seed", "half"], ["--seed", "int", "'half'"]),
])
def test_a_bad_seed_gets_one_line_and_exit_code_2(module, arguments, words, capsys):
    assert_refused(module, arguments, words, capsys)


@each_module
@pytest.mark.parametrize("arguments, words", [
    (["--out"], ["--out", "expected one argument"]),
    (["--out", __file__], ["--out", "cannot write", Path(__file__).name]),
    (["--full", "3"], ["unrecognized", "3"]),
    (["--steps", "10"], ["unrecognized", "--steps 10"]),
])
def test_a_bad_argument_gets_one_line_and_exit_code_2(module, arguments, words, capsys):
    assert_refused(module, arguments, words, capsys)


@each_module
def test_help_explains(module, capsys):
    with pytest.raises(SystemExit) as stop:
        module.main(["--help"])
    said = capsys.readouterr()
    assert stop.value.code == 0 and said.err == ""
    words = ("--out", "DIR", "example: python", module.__name__)
    assert not [word for word in words if word not in said.out]
    assert ("--seed" in said.out) == (module in SEEDED)


# -- a model of one's own -------------------------------------------------------------------------

@pytest.mark.parametrize("module", [legibility, critical_points, certificates],
                         ids=["legibility", "critical points", "certificates"])
def test_ctrl_c_in_a_search_ends_the_script(module, interrupts, tmp_path, monkeypatch):
    """Alone, `find_minimum` answers it with its best point, which would be drawn."""
    monkeypatch.setattr(minima, "newton", lambda *_, **__: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        module.main(["--out", str(tmp_path)])
    assert not list(tmp_path.iterdir())


def test_a_model_and_a_law_of_ones_own_are_trained_as_they_stand(tmp_path):
    record, lines = run(own_model, "your_own_model", tmp_path / "out", STEPS=400, INSTANCES=2)
    assert float(lines[0].removeprefix("relative error of the gradient: ")) < 1e-6
    model = own_model.Leaky(np.array(record["W"]), np.array(record["b"]))
    features = own_model.Binary(5, 0.05)
    x = features.sample(np.random.default_rng(0), 100_000)
    assert set(np.unique(x)) == {0, 1} and abs(x.mean() - 0.05) < 5 * (0.05 / x.size) ** 0.5
    best = min(record["loss"])
    assert model.loss(x, features) == pytest.approx(best, rel=1e-4)
    plain = tm.ReluOutput(model.W, model.b)                     # the slope is really there
    below = model.forward(x) < 0
    assert below.any() and not (plain.forward(x) < 0).any()
    np.testing.assert_allclose(model.forward(x)[~below], plain.forward(x)[~below], rtol=1e-4)
    constant = 5 * 0.05 * 0.95
    assert best < 0.5 * constant


def test_a_wrong_backward_pass_is_found():
    class Wrong(own_model.Leaky):
        def _backward(self, x, cache, d_output):
            dW, db = super()._backward(x, cache, d_output)
            return 1.01 * dW, db

    features = own_model.Binary(5, 0.5)
    x = features.sample(np.random.default_rng(0), 64)
    assert tm.check_gradient(Wrong.init(5, 2), x, features) > 1e-3


def test_examples_are_few_short_and_on_public_names():
    """Real code, 40 to 140 lines each, that imports nothing of the package but its public names."""
    # common.py is what scripts share, and atlas.py writes data of the package with its insides.
    others = "common", "atlas"
    scripts = [path for path in sorted(EXAMPLES.glob("*.py")) if path.stem not in others]
    assert len(scripts) <= 10 and not (EXAMPLES / "01_introduction.py").exists()
    for script in scripts:
        lines = script.read_text().split("\n")
        assert 40 <= len(lines) <= 141, script.name
        assert not [line for line in lines if "toymodels_np" in line and "import" in line
                    and line.strip() != "import toymodels_np as tm"], script.name
