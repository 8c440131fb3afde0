"""The explorer in a real browser: its mathematics, and every control, against the package."""

import re
import warnings

import numpy as np
import pytest
from browser import PATIENCE, chromium

import toymodels_np as tm
from toymodels_np.cli import parser as cli
from toymodels_np.teaching.explorer import page as made, solved
from toymodels_np.theory.phase import candidates, extra_phase

DRAWN = 500                     # configurations
LOSS, GRADIENT = 1e-10, 1e-7    # relative differences that are allowed
SHOWN = 2e-11                   # of a number with twelve digits
FEW = 1e-5                      # of one with six
# What is left of the figure of the energies, in pixels, on both sides of the labels of its axes.
ROOM = """() => {
    const { frame, bbox } = Bokeh.index.find_one(app.model("energies"));
    const { below: [x], left: [y] } = app.model("energies");
    const pen = document.createElement("canvas").getContext("2d");
    return [[x, frame.bbox.hcenter, bbox.width], [y, frame.bbox.vcenter, bbox.height]].flatMap(
        ([axis, middle, whole]) => axis.axis_label.split("\\n").flatMap((said) => {
            pen.font = `${axis.axis_label_text_font_size} ${axis.axis_label_text_font}`;
            const half = pen.measureText(said).width / 2;
            return [middle - half, whole - middle - half];
        }));
}"""
LOCAL = ("file:", "data:", "blob:", "about:")


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def address(browser, tmp_path_factory):
    path = tmp_path_factory.mktemp("explorer") / "explorer.html"
    assert cli.main(["explorer", "--out", str(path)]) == 0
    return path.as_uri()


class Window:
    """One tab with the explorer, and all that went wrong in it or left it."""

    def __init__(self, browser, address, width):
        self.wrong, self.requests, self.address = [], [], address
        self.tab = browser.new_page(viewport={"width": width, "height": 900})
        self.tab.set_default_timeout(PATIENCE)
        self.tab.on("console", lambda message: self.wrong.append(message.text)
                    if message.type == "error" else None)
        self.tab.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.tab.on("request", lambda request: self.requests.append(request.url)
                    if not request.url.startswith(LOCAL) else None)
        self.load_page("")

    def load_page(self, link):
        """The page anew, from its file."""
        self.tab.goto("about:blank")
        self.tab.goto(self.address + link)
        self.tab.wait_for_function("window.toymodels && toymodels.ready")

    def open(self, link):
        """The page as it is, following a link."""
        self("link => toymodels.open(link)", link)

    def __call__(self, script, *arguments):
        return self.tab.evaluate(script, *arguments)

    def text(self, name):
        return self.tab.locator(f"#{name}").text_content()

    def number(self, name):
        return float(self.text(name))

    def choose(self, name, value):
        label = self("([name, value]) => app.model(name).options.find(([one]) => one === value)[1]",
                     [name, str(value)])
        self.tab.locator(f"#control-{name} select").select_option(label=label)

    def press(self, name, label=None):
        buttons = self.tab.locator(f"#control-{name}").get_by_role("button")
        (buttons.filter(has_text=label) if label else buttons).first.click()

    def slide(self, name, *keys):
        handle = self.tab.locator(f"#control-{name} .noUi-handle")
        for key in keys:
            handle.press(key)

    def wait(self, condition, argument=None):
        self.tab.wait_for_function(condition, arg=argument, timeout=60_000)

    @property
    def state(self):
        return self("app.state")

    def load(self, W, p, importance=1.0, b=None):
        """A configuration, with best biases unless b is given."""
        m, n = np.shape(W)
        self("given => plane.load(given)", {
            "W": np.array(W, float).tolist(), "n": n, "m": m, "best": b is None,
            "b": [0.0] * n if b is None else b, "p": np.broadcast_to(p, n).tolist(),
            "I": np.broadcast_to(importance, n).astype(float).tolist()})

    def place(self, figure, x, y):
        """Where (x, y) of a figure is on the screen."""
        return self("""([name, x, y]) => {
            const view = Bokeh.index.find_one(app.model(name));
            view.el.scrollIntoView({ block: "center" });
            const { left, top } = view.canvas_view.el.getBoundingClientRect();
            return [left + view.frame.x_scale.compute(x), top + view.frame.y_scale.compute(y)];
        }""", [{"phases": "minima"}.get(figure, figure), x, y])


@pytest.fixture(scope="module")
def only(browser, address):
    return Window(browser, address, 1280)


@pytest.fixture
def window(only):
    """The tab at the beginning, which must not complain, ask the network, or show NaN."""
    only.open("")
    yield only
    assert (only.wrong, only.requests) == ([], [])
    assert "NaN" not in only.tab.inner_text("body")


def law_of(state):
    return tm.Features(state["n"], state["p"], state["I"])


def loss_of(state):
    return tm.expected_loss(tm.ReluOutput(np.array(state["W"]), np.array(state["b"])),
                            law_of(state))


def check_shown(window):
    """All numbers of the plane that are on the screen are the package's; returns the loss."""
    state = window.state
    W, b, features = np.array(state["W"]), np.array(state["b"]), law_of(state)
    loss, gradient = tm.expected_loss_and_grad(tm.ReluOutput(W, b), features)
    assert window.number("loss") == pytest.approx(loss, rel=SHOWN, abs=1e-15)
    blank = (features.importance * features.active_probability / 3).sum()
    slope = np.sqrt((gradient.W**2).sum() + (gradient.b**2).sum()) / blank
    assert window.number("slope") == pytest.approx(slope, rel=1e-2, abs=1e-7)
    rows = window("[...document.querySelectorAll('#features tr')].map(row => "
                  "[...row.cells].map(cell => Number(cell.textContent)))")
    table = np.array(rows).T
    known = np.arange(state["n"]), tm.norms(W), dimensionality(W), b, state["p"], state["I"]
    for mine, theirs in zip(table, known):
        assert mine == pytest.approx(np.array(theirs), rel=FEW, abs=1e-9)
    assert table[6].sum() == pytest.approx(loss, rel=FEW, abs=1e-12)
    parts = [float(x) for x in re.findall(r"on: ([^;]+)", window.text("split"))]
    assert len(parts) == state["n"] + 1 and sum(parts) == pytest.approx(loss, rel=FEW, abs=1e-12)
    return loss


def dimensionality(W):

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return tm.feature_dimensionality(W)


# -- the mathematics ------------------------------------------------------------------------------

def drawn(k, rng):
    """The k-th configuration (W, b, p, I): plain ones, and every kind that is degenerate."""
    n, m = int(rng.integers(1, 9)), int(rng.integers(1, 4))
    W = rng.normal(size=(m, n)) * rng.choice([0.3, 1, 2])
    b = rng.normal(size=n) * rng.choice([0.1, 0.5, 2])
    p, importance = rng.uniform(0.01, 1, n), rng.uniform(0.1, 3, n)
    kind = k % 8
    if kind == 1:
        W[:, rng.random(n) < 0.5] = 0                           # zero columns
    elif kind == 2:
        b[:] = 0
    elif kind == 3:
        W, b = np.round(W), np.round(2 * b) / 2                 # orthogonal pairs, kinks at corners
    elif kind == 4:
        p[:] = 1
    elif kind == 5:
        W *= 10.0 ** rng.integers(-9, 1, n)                     # tiny gains
    elif kind == 6:
        W[:, ::2] *= 1e-6
    elif kind == 7:
        p[:] = rng.choice([1e-4, 0.01, 0.05])
    return W, b, p, importance


def test_losses_and_gradients_are_the_packages(window):
    rng = np.random.default_rng(21)
    cases = [drawn(k, rng) for k in range(DRAWN)]
    found = window("""cases => cases.map(given => {
        const { W, b } = toymodels.gradient(...given), { byCount } = toymodels.losses(...given);
        return [toymodels.expectedLoss(...given), [...W.flat(), ...b], byCount];
    })""", [[a.tolist() for a in case] for case in cases])
    seen = set()
    for (W, b, p, importance), (loss, slope, counts) in zip(cases, found):
        right, gradient = tm.expected_loss_and_grad(tm.ReluOutput(W, b),
                                                    tm.Features(len(b), p, importance))
        theirs, blank = np.concatenate([gradient.W.ravel(), gradient.b]), importance @ p / 3
        assert abs(loss - right) <= LOSS * max(right, 1e-6 * blank)
        assert np.linalg.norm(theirs - slope) <= GRADIENT * max(np.linalg.norm(theirs),
                                                                1e-6 * blank)
        assert sum(counts) == pytest.approx(right, rel=1e-10, abs=1e-16)
        seen.add(W.shape)
    assert len(seen) == 24                                      # all sizes were there


def test_the_split_by_active_features_is_the_loss_of_their_sets(window):
    W, b, p = np.array([[1.0, -0.9, 0.2], [0.1, 0.4, 0.8]]), np.array([0.1, 0, -0.1]), 0.3
    counts = window("given => toymodels.losses(...given).byCount",
                    [W.tolist(), b.tolist(), p, 1])
    nothing = ((1 - p) ** 3) * (np.maximum(b, 0) ** 2).sum()
    law = lambda on: tm.Features(3, [1.0 if i in on else 1e-30 for i in range(3)])
    everything = p**3 * tm.expected_loss(tm.ReluOutput(W, b), law((0, 1, 2)))
    assert counts[0] == pytest.approx(nothing) and counts[3] == pytest.approx(everything)
    one = sum(p * (1 - p) ** 2 * tm.expected_loss(tm.ReluOutput(W, b), law((i,)))
              for i in range(3))
    assert counts[1] == pytest.approx(one)


@pytest.mark.parametrize("given, said", [
    ([[[1]], [0], 0], "p must lie in"), ([[[1]], [0], 1.5], "p must lie in"),
    ([[[1]], [0, 0], 0.5], "b must be"), ([[[1, 2], [1]], [0, 0], 0.5], "row of W"),
    ([[["x"]], [0], 0.5], "row of W"), ([[], [], 0.5], "W must be"),
    ([[[1] * 9], [0] * 9, 0.5], "W must be 1 to 8"), ([[[1]], [0], 0.5, -1], "importance must not"),
    ([[[1]], [0], [0.5, 0.5]], "p must be"), ([None, [0], 0.5], "W must be"),
    ([[[1e200]], [0], 0.5], "too large"), ([[[1]], [None], 0.5], "b must be")])
def test_bad_arguments_are_refused_in_a_sentence(window, given, said):
    assert said in window("given => { try { return String(toymodels.expectedLoss(...given)); } "
                          "catch (error) { return error.message; } }", given)


def test_shapes_are_named_as_the_package_names_them(window):
    rng, ring = np.random.default_rng(3), lambda k: 2 * np.pi * np.arange(k) / k
    gon = lambda k, r=1.0: r * np.stack([np.cos(ring(k)), np.sin(ring(k))])
    tetra = np.array([[1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]) / 3**0.5
    block = lambda *parts: np.block([[part if i == j else np.zeros((len(part), other.shape[1]))
                                      for j, other in enumerate(parts)]
                                     for i, part in enumerate(parts)])
    pair = np.array([[1.0, -1.0]])
    shapes = [*(gon(k, 1.2) for k in range(2, 9)), tetra, block(pair, pair), block(gon(3), pair),
              block(pair, pair, pair), np.eye(3), block(np.eye(2), np.zeros((0, 2)))]
    shapes += [np.hstack([W, 0.01 * rng.normal(size=(len(W), 2))]) for W in shapes
               if W.shape[1] < 7]
    shapes += [W + 0.03 * rng.normal(size=W.shape) for W in shapes]
    shapes += [rng.normal(size=(2, 5)), np.zeros((2, 3))]
    found = window("all => all.map(names.geometry)", [W.tolist() for W in shapes])
    assert found == [tm.name_geometry(W) for W in shapes]


# -- the plane ------------------------------------------------------------------------------------

def test_the_beginning_is_the_pentagon(window):
    assert check_shown(window) == pytest.approx(0.01069006486, rel=1e-9)
    assert window.text("name") == "pentagon" and not window.tab.locator("#warning").is_visible()
    best = min(tm.expected_loss(tm.ReluOutput(np.array(window.state["W"]), np.full(5, b)),
                                tm.Features(5, 0.05)) for b in np.linspace(-0.5, 0.2, 141))
    assert window.number("loss") <= best


def test_a_feature_is_dragged(window):
    W = np.array(window.state["W"])
    before, to = check_shown(window), (0.4, 0.7)
    window.tab.mouse.move(*window.place("plane", *W[:, 0]))
    window.tab.mouse.down()
    window.tab.mouse.move(*window.place("plane", *to), steps=3)
    window.tab.mouse.up()
    moved = np.array(window.state["W"])
    assert moved[:, 0] == pytest.approx(to, abs=0.02) and (moved[:, 1:] == W[:, 1:]).all()
    assert check_shown(window) > before and window.number("mine") == pytest.approx(before)


def test_the_gram_matrix_and_the_bars_follow(window):
    W = np.random.default_rng(2).normal(size=(2, 4))
    window.load(W, 0.2, [1, 2, 0.5, 1])
    check_shown(window)
    G = tm.gram(W)
    said = [float(x) for x in window("app.model('gram-cells').data.said")]
    assert np.reshape(said, (4, 4)) == pytest.approx(G, abs=0.0051)
    outputs = window("[...app.model('outputs-bars').data.top]")
    assert sum(outputs) == pytest.approx(window.number("loss"))
    assert sum(window("[...app.model('counts-bars').data.top]")) == pytest.approx(sum(outputs))


@pytest.mark.parametrize("name, keys, entry", [
    ("p", ["ArrowLeft"] * 3, "p"), ("p-one", ["ArrowLeft"] * 2, "p"),
    ("importance-one", ["ArrowLeft"] * 4, "I")])
def test_sliders_change_the_law(window, name, keys, entry):
    window.choose("chosen", 2)
    before = window.state
    window.slide(name, *keys)
    after = window.state
    changed = np.array(after[entry]) != np.array(before[entry])
    assert changed.tolist() == ([True] * 5 if name == "p" else [False, False, True, False, False])
    if entry == "p":                                    # dense is on the left
        assert after["p"][2] > before["p"][2]
    check_shown(window)


def test_biases_by_slider(window):
    best = window.number("loss")
    window.press("bias", "biases by slider")
    window.slide("bias-one", *["ArrowRight"] * 10)
    b = window.state["b"]
    assert b[0] > b[1] and not window.state["best"]
    assert check_shown(window) > best
    window.press("bias", "best biases")
    assert check_shown(window) == pytest.approx(best)


@pytest.mark.parametrize("W, p", [
    ([[-1.0189, -0.122, -0.1882]], 0.01),
    ([[0.7443, -1.1224, -1.9199, -0.2876, -0.2744, -0.4585]], 0.05),
    ([[-0.0634, 0.3159, -0.4707]], 0.01)])
def test_best_biases_are_the_best_of_all(window, W, p):
    window.load(W, p)
    law, b, grid = law_of(window.state), window.state["b"], np.linspace(-1.5, 0.5, 401)
    for i in range(len(b)):
        others = np.tile(b, (len(grid), 1))
        others[:, i] = grid
        model = tm.ReluOutput(np.tile(W, (len(grid), 1, 1)), others)
        assert window.number("loss") <= tm.expected_loss(model, law).min() * (1 + 1e-9)


@pytest.mark.parametrize("n, m", [(1, 1), (3, 1), (8, 2), (6, 3)])
def test_sizes(window, n, m):
    window.choose("n", n)
    window.choose("m", m)
    assert np.shape(window.state["W"]) == (m, n)
    window.choose("preset", "random")
    check_shown(window)


@pytest.mark.parametrize("preset, name", [
    ("pentagon", "pentagon"), ("digons", "2 digons + dropped"), ("square", "2 digons + dropped"),
    ("triangle + digon", "triangle + digon"), ("hexagon", "hexagon"), ("dropped", "5 dropped")])
def test_presets(window, preset, name):
    window.choose("preset", "random")
    window.choose("preset", preset)
    assert window.text("name") == name == tm.name_geometry(np.array(window.state["W"]))
    check_shown(window)


def test_a_random_beginning_is_all_on_the_plane(window):
    window.choose("m", 1)
    edge = window("app.model('plane').x_range.end")
    columns = np.array(window("Array.from({ length: 100 }, () => plane.weights('random')[0])"))
    assert 0.9 * edge < np.abs(columns).max() < edge


def test_a_shape_that_was_left_can_be_chosen_again(window):
    said, W = "app.model('preset').value", window.state["W"]
    assert window(said) == "pentagon"
    window.tab.locator("#plane").focus()
    window.tab.keyboard.press("Shift+ArrowRight")
    moved = np.array(window.state["W"])
    assert window(said) == "as it is"
    window.choose("m", 3)                               # which keeps what was dragged
    assert (np.array(window.state["W"]) == np.vstack([moved, np.zeros(5)])).all()
    window.choose("n", 4)
    window.choose("m", 2)
    assert (np.array(window.state["W"]) == moved[:, :4]).all() and window(said) == "as it is"
    check_shown(window)
    window.choose("preset", "pentagon")
    assert window.state["W"] == W and window(said) == "pentagon"
    window.open("#n=3&m=1&W=1,2,0")
    assert window(said) == "as it is"


def test_sliders_say_a_small_p_and_a_mean(window):
    window.load([[1.0, -1.0]], 0.0001)
    title = lambda name: window.tab.locator(f"#control-{name} .bk-slider-title").text_content()
    assert title("p") == "p of all features: 0.0001" and title("p-one") == "its p: 0.0001"
    window.load([[1.0, -1.0]], [0.0123, 0.0125])
    assert title("p") == "mean p of all features: 0.0124" and title("p-one") == "its p: 0.0123"
    named = "[role=slider]"
    assert (window.tab.locator(f"#control-p {named}").get_attribute("aria-label")
            == "mean p of all features")


def test_descent_ends_in_a_minimum(window):
    window.choose("preset", "random")
    before = window.number("loss")
    window.press("descend")
    window.wait("!plane.isRunning()")
    state = window.state
    assert check_shown(window) < before and window.number("slope") < 1e-7
    found = tm.find_minimum(law_of(state), 2, initial=tm.ReluOutput(
        np.array(state["W"])[None], np.array(state["b"])[None]))
    assert window.number("loss") == pytest.approx(found.loss, rel=1e-9)


@pytest.mark.parametrize("n, m, p, importance", [
    (5, 2, 0.06, 1), (5, 2, 0.31, 1), (5, 2, 0.05, [1, 1, 1, 1, 0.3]), (6, 3, 0.1, 1),
    (4, 2, [0.05, 0.1, 0.2, 0.4], [1, 0.8, 2, 0.5])])
def test_the_true_minimum_is_the_packages(window, n, m, p, importance):
    window.load(np.random.default_rng(0).normal(size=(m, n)), p, importance)
    mine, yours = check_shown(window), window.number("mine")
    window.press("minimum")
    window.wait("!plane.isRunning()")
    minimum = tm.find_minimum(tm.Features(n, p, importance), m, starts=4)
    assert window.number("truth") == pytest.approx(minimum.loss, rel=1e-9)
    assert check_shown(window) == pytest.approx(minimum.loss, rel=1e-9)
    above, = re.findall(r"you were (\S+) % above it", window.text("jump"))
    assert float(above) == pytest.approx(100 * (mine / minimum.loss - 1), rel=1e-3)
    assert minimum.geometry in window.text("jump")
    assert window.number("mine") == yours <= mine * (1 + 1e-9)  # what was found is not yours
    best, = re.findall(r"your best is (\S+) % above it", window.text("above"))
    assert float(best) == pytest.approx(100 * (yours / minimum.loss - 1), rel=1e-2)


@pytest.mark.parametrize("change", [
    "energies.event('tap', { x: 0.5 })", "app.state.I = [1, 1, 1, 1, 0.5]"])
def test_a_search_whose_law_changes_finds_nothing(window, change):
    window.press("bring")
    window("toymodels.changed('sweep-down')")
    before = window(f"""(() => {{               // in one turn, in which no search can end
        toymodels.changed("minimum");
        const before = [energies.isSweeping(), plane.isRunning()];
        {change};
        return before; }})()""")
    assert before == [False, "search"]
    window.wait("!plane.isRunning()")
    assert window.state["I"][4] == pytest.approx(0.5)
    assert window.text("truth") == "press “True minimum”" and window.text("above") == ""
    assert "lowest" not in window.text("jump")
    check_shown(window)


@pytest.mark.parametrize("n, m, p", [(2, 2, 0.05), (2, 3, 0.1), (3, 3, 0.9)])
def test_a_true_minimum_of_nothing_is_no_percentage(window, n, m, p):
    window.load(0.9 * np.eye(m, n) + 0.1, p)
    window.press("minimum")
    window.wait("!plane.isRunning()")
    assert window.text("truth") == window.text("loss") == "0, to rounding"
    assert re.fullmatch(r"your best loses 0\.\d+, the true minimum nothing", window.text("above"))
    assert re.search(r": it loses nothing, and you lost 0\.\d+$", window.text("jump"))
    window.press("minimum")
    window.wait("!plane.isRunning()")
    assert window.text("jump").endswith("you were there already")


def test_keys_choose_move_and_descend(window):
    window.tab.locator("#plane").focus()
    window.tab.keyboard.press("3")
    W = np.array(window.state["W"])
    window.tab.keyboard.press("ArrowRight")
    window.tab.keyboard.press("Shift+ArrowUp")
    assert window.state["chosen"] == 3
    assert np.array(window.state["W"])[:, 3] - W[:, 3] == pytest.approx([0.01, 0.1])
    check_shown(window)
    window.tab.keyboard.press("d")
    window.wait("!plane.isRunning()")
    assert check_shown(window) == pytest.approx(tm.energies.polygon(5, 0.05).loss, rel=1e-9)


def test_three_dimensions_turn_and_are_dragged(window):
    window.choose("preset", "triangle + digon")
    before, turn, W = check_shown(window), window.state["turn"], window.state["W"]
    window.tab.mouse.move(*window.place("plane", -1.4, -1.4))
    window.tab.mouse.down()
    window.tab.mouse.move(*window.place("plane", -1.0, -1.3), steps=3)
    window.tab.mouse.up()
    window.wait("turn => app.state.turn.every((angle, k) => angle !== turn[k])", turn)
    assert window.state["W"] == W
    assert check_shown(window) == pytest.approx(before, rel=1e-12)
    seen = window("[0, 1].map(k => app.model('plane-points').data['xy'[k]][1])")
    window.tab.mouse.move(*window.place("plane", *seen))
    window.tab.mouse.down()
    window.tab.mouse.move(*window.place("plane", seen[0] + 0.2, seen[1]), steps=3)
    window.tab.mouse.up()
    moved = np.array(window.state["W"]) - np.array(W)
    assert np.linalg.norm(moved[:, 1]) == pytest.approx(0.2, abs=0.02)
    check_shown(window)


# -- links, Python, challenge ---------------------------------------------------------------------

def test_a_link_reproduces_what_is_shown(window):
    W = np.random.default_rng(4).normal(size=(3, 6))
    window.load(W, [0.1, 0.2, 0.3, 0.4, 0.5, 1], [1, 0, 2, 1, 1, 0.5], b=[0.1, 0, -0.1, 0, 0, 1])
    window.choose("line", "solid")
    window.choose("grid", "3_2")
    window.choose("kind", "training")
    window.slide("moment", "End")
    window.press("link")
    shown = [window.text(name) for name in ("loss", "name", "here", "moment-said", "differ")]
    copied = window.tab.locator("#copied").input_value()
    link, state = copied[copied.index("#"):], window.state
    window.load_page(link)
    assert [window.text(name) for name in ("loss", "name", "here", "moment-said",
                                           "differ")] == shown
    assert {key: window.state[key] for key in "nmWbpI"} == {key: state[key] for key in "nmWbpI"}
    assert window("app.link()") == link
    window.slide("moment", "Home")                      # and the address follows what is shown
    window.wait("old => location.hash !== old && location.hash === app.link()", link)


@pytest.mark.parametrize("link", [
    "#", "#n=99", "#n=5&m=2&W=NaN,1", "#W=1,2;3", "#p=0", "#p=-1", "#p=1e400", "#I=0", "#b=1,2",
    "#W=<script>alert(1)</script>", "#n=2&m=1&W=1e9,1", "#%E0%A4%A", "#x=1", "#n=5&n=6&m=x",
    "#" + "n=1&" * 3000, "#line=constructor", "#grid=__proto__", "#value=Infinity", "#turn=1",
    "#chosen=7&n=2", "#moment=-1", "#W=;;;;", "#p=0.1,0.2", "#n=0x5"])
def test_hostile_links_give_the_beginning_and_a_sentence(window, link):
    window.load(np.ones((1, 2)), 0.5)
    window.open(link)
    assert window.text("name") == "pentagon"
    assert check_shown(window) == pytest.approx(0.01069006486, rel=1e-9)
    assert window.tab.locator("#link-said").is_visible() == (link != "#")
    if link != "#":
        assert "could not be followed" in window.text("link-said")


def test_copied_lines_compute_what_is_shown(window, capsys):
    window.load(np.random.default_rng(5).normal(size=(2, 7)), 0.15, [1, 2, 3, 1, 1, 0.1, 1])
    window.press("python")
    exec(window.tab.locator("#copied").input_value(), {})
    assert float(capsys.readouterr().out) == pytest.approx(window.number("loss"), rel=SHOWN)


@pytest.mark.parametrize("number", range(5))
def test_tasks_are_done_when_they_are(window, number):
    task = made.tasks()[number]
    window.choose("task", number)
    assert window.text("task-done") == "Not yet." and task["text"] in window.text("task-text")
    law = tm.Features(task["n"], task["p"])
    if "below" in task:
        model = tm.find_minimum(law, task["m"], starts=8).model
    else:
        model = solved.closed("pentagon", law)[0]
    if number == 1:                                     # the button does no task
        window.press("minimum")
        window.wait("!plane.isRunning()")
        assert window.number("loss") < task["below"] and window.text("task-done") == "Not yet."
    window.load(model.W, task["p"], 1, b=model.b.tolist())
    assert window.text("task-done") == "Done!" and " of 5 done" in window.text("task-count")


@pytest.mark.parametrize("number", [0, 1, 4])
def test_a_minimum_that_the_page_found_is_nobodys_when_nudged(window, number):
    window.load_page("")                                # where no task is done yet
    window.choose("task", number)
    window.press("minimum")
    window.wait("!plane.isRunning()")
    below, best = made.tasks()[number]["below"], window.text("mine")
    window.tab.locator("#plane").focus()
    for key in ("1", "ArrowUp", "Shift+ArrowRight"):
        window.tab.keyboard.press(key)
        assert window.text("task-done") == "Not yet." and window.text("mine") == best
    window.press("descend")
    window.wait("!plane.isRunning()")
    assert window.number("loss") < below
    assert window.text("task-done") == "Not yet." and window.text("mine") == best


def test_the_pages_own_links_move_the_reader_and_nothing_else(window):
    window.load(np.random.default_rng(2).normal(size=(2, 4)), 0.2)
    window.choose("task", 0)
    window("plane.load(app.state)")
    before = window.state, window.text("loss")
    for link in window.tab.locator("nav a").all():
        link.click()
        assert (window.state, window.text("loss")) == before
        assert not window.tab.locator("#link-said").is_visible()
    window.load_page("#panel-phases")
    assert window.text("name") == "pentagon" and not window.tab.locator("#link-said").is_visible()
    window.open("#pentagon")
    assert 'it has no "pentagon"' in window.text("link-said")


def test_a_link_takes_away_what_was_said_of_another_state(window):
    window.load(np.ones((1, 2)), 0.5)
    window.press("descend")
    window.wait("!plane.isRunning()")
    window("app.show('jump', 'said of another state')")
    window.open("#n=3&m=2")
    assert window.text("jump") == ""


def test_every_slider_has_a_name(window):
    names = window.tab.get_by_role("slider").evaluate_all(
        "all => all.map(one => one.getAttribute('aria-label'))")
    assert len(names) >= 6 and all(names)


def test_the_best_so_far_may_be_nothing(window):
    window.load([[1.0], [0.0]], 0.3)
    assert window.text("loss") == window.text("mine") == "0, to rounding"


def test_a_hostile_link_is_met_when_the_page_opens(window):
    window.load_page("#n=5&W=<img src=x onerror=alert(1)>")
    assert "could not be followed" in window.text("link-said")
    check_shown(window)


# -- energies -------------------------------------------------------------------------------------

@pytest.mark.parametrize("line", solved.KNOWN, ids=lambda line: line.name)
def test_energies_show_branches_crossings_and_the_plane(window, line):
    window.choose("line", line.name)
    kept = next(one for one in solved.kept()[1]["lines"] if one["name"] == line.name)
    numbers = window("[...document.querySelectorAll('#points td:last-child')]"
                     ".map(cell => Number(cell.textContent))")
    assert numbers == pytest.approx([one["value"] for one in kept["crossings"] + kept["limits"]],
                                    rel=1e-9)
    low, high = window("(({ start, end }) => [start, end])(app.model('energies').x_range)")
    assert (low > high) == (line.vary != "importance")          # dense on the left
    window.press("bring")
    state = window.state
    law = line.law(state["value"])
    assert state["p"] == pytest.approx(law.feature_probability.tolist())
    loss = check_shown(window)
    lowest = min(tm.find_minimum(law, line.m, starts=4).loss, loss)
    assert loss == pytest.approx(lowest, rel=1e-6)
    x, y = window("(({ x, y }) => [x[0], y[0]])(app.model('energies-here').data)")
    blank = sum(tm.energies.dropped(p, i).loss for p, i in zip(state["p"], state["I"]))
    assert (x, y) == pytest.approx((state["value"], loss / blank))
    assert f"{window.text('loss')}" in window.text("here")
    before = state["value"]
    slider = "value" if line.vary == "importance" else "sparse"
    window.slide(slider, *["ArrowRight"] * 5)
    assert (window.state["value"] > before) == (line.vary == "importance")
    check_shown(window)


def test_the_marker_is_dragged_and_tapped(window):
    window.press("bring")
    x, y = window("(({ x, y }) => [x[0], y[0]])(app.model('energies-here').data)")
    window.tab.mouse.move(*window.place("energies", x, y))
    window.tab.mouse.down()
    window.tab.mouse.move(*window.place("energies", 0.5, y), steps=4)
    window.tab.mouse.up()
    assert window.state["I"][4] == pytest.approx(0.5, abs=0.02)
    check_shown(window)
    window.tab.mouse.click(*window.place("energies", 0.8, 0.2))
    window.wait("Math.abs(app.state.I[4] - 0.8) < 0.02")
    check_shown(window)


def test_the_marker_stays_on_its_curve(window):
    window.press("bring")
    x, y = window("(({ x, y }) => [x[0], y[0]])(app.model('energies-here').data)")
    window.tab.mouse.move(*window.place("energies", x, y))
    window.tab.mouse.down()
    right, up = window.place("energies", x, 0.6 * y)
    window.tab.mouse.move(right, up, steps=4)
    window.tab.mouse.up()
    here = window("(({ x, y }) => [x[0], y[0]])(app.model('energies-here').data)")
    blank = sum(tm.energies.dropped(p, i).loss
                for p, i in zip(window.state["p"], window.state["I"]))
    assert here == pytest.approx([window.state["value"], check_shown(window) / blank])


def test_a_law_beyond_the_end_of_its_line_is_left_alone(window):
    window("() => { app.state.I = [1, 1, 1, 1, 2.5]; plane.sync(); }")
    assert window.state["I"][4] == 2.5
    assert window("app.model('energies-here').data.x[0]") == 2.5


def test_sweeps_show_hysteresis(window):
    limit = next(one["value"] for one in solved.kept()[1]["lines"][0]["limits"])
    window.press("bring")
    window.press("sweep-down")
    window.wait("energies.isSweeping()")
    window.wait("!energies.isSweeping()")
    left, = re.findall(r"2 digons \+ dropped from (\S+) on", window.text("swept"))
    assert limit - 0.02 < float(left) <= limit                  # long after the crossing
    assert check_shown(window) == pytest.approx(
        tm.energies.digons(2, 0.05, dropped=1, dropped_importance=0.1).loss, rel=1e-6)
    window.press("sweep-up")
    window.wait("energies.isSweeping()")
    window.wait("!energies.isSweeping()")
    assert window.text("swept").startswith("2 digons + dropped at 0.1, to 1.2")
    assert check_shown(window) == pytest.approx(
        tm.energies.digons(2, 0.05, dropped=1, dropped_importance=1.2).loss, rel=1e-6)
    assert window("app.model('energies-sweep').data.x.length") > 150
    assert window("app.model('value').value") == pytest.approx(1.2)
    window.press("clear")
    assert window("app.model('energies-sweep').data.x.length") == 0


def test_a_sweep_ends_where_the_plane_leaves_its_line(window):
    window.press("bring")
    window.press("sweep-down")
    window.wait("energies.isSweeping()")
    window.choose("preset", "hexagon")
    window.wait("!energies.isSweeping()")
    assert np.shape(window.state["W"]) == (2, 6)
    check_shown(window)


def test_a_second_sweep_ends_the_first(window):
    window.press("bring")
    window("toymodels.changed('sweep-down')")
    window.wait("app.model('energies-sweep').data.x.length > 9")
    first = window("(toymodels.changed('sweep-up'), app.model('energies-sweep').data.x.length)")
    window.wait("!energies.isSweeping()")
    x, colour = window("(({ x, colour }) => [[...x], [...colour]])"
                       "(app.model('energies-sweep').data)")
    assert (np.diff(x[first:]) > 0).all() and len(set(colour[first:])) == 1
    assert x[-1] == pytest.approx(1.2)


def test_a_link_ends_a_sweep_and_a_film(window):
    window.press("bring")
    window.press("play")
    window("toymodels.changed('sweep-down')")
    window.open("#n=5&m=2&I=1,1,1,1,0.5&moment=7")
    assert not window("energies.isSweeping() || life.isPlaying()")
    window("new Promise(done => setTimeout(done, 200))")
    assert window.state["I"] == [1, 1, 1, 1, 0.5] and window.state["moment"] == 7
    assert window.text("swept") == "" and window.text("name") == "pentagon"


# -- phases and a life ----------------------------------------------------------------------------

@pytest.mark.parametrize("grid", solved.GRIDS, ids=lambda grid: grid.name)
def test_the_phase_diagram_is_the_packages(window, grid):
    window.choose("grid", f"{grid.n}_{grid.m}")
    cells = window("phases.grid().all.map(({ phase, geometry, candidate }) => "
                   "[phase, geometry, candidate.phase])")
    W = solved.minima(grid).W.reshape(-1, grid.m, grid.n)
    drawn = np.random.default_rng(0).choice(len(W), 300, replace=False)
    assert [cells[i][0] for i in drawn] == [extra_phase(W[i]) for i in drawn]
    assert [cells[i][1] for i in drawn] == [tm.name_geometry(W[i]) for i in drawn]
    law, shapes = grid.features(), candidates(grid.n, grid.m)
    p, importance = law.feature_probability[drawn], law.importance[drawn]
    losses = [tm.expected_loss(tm.ReluOutput(
        np.broadcast_to(shape, (len(drawn), *shape.shape)),
        np.where(tm.norms(shape) == 0, p / 2, 0)), tm.Features(grid.n, p, importance))
        for shape, _ in shapes]                         # what is dropped is answered by its mean
    assert [cells[i][2] for i in drawn] == [shapes[k][1] for k in np.argmin(losses, axis=0)]


def test_a_cell_is_read_and_loaded(window):
    r, c, cells = 70, 40, solved.GRIDS[0].cells
    x, y = (cells - 0.5 - c) / cells * 2, (r + 0.5) / cells * 2 - 1
    window.tab.mouse.move(*window.place("phases", x, y))
    window.wait("document.getElementById('cell').textContent.includes('energy')")
    law = solved.GRIDS[0].features()[r * cells + c]
    minimum = tm.find_minimum(law, 1, starts=4)
    energy, = re.findall(r"energy (\S+)\. W", window.text("cell"))
    assert float(energy) == pytest.approx(minimum.loss, rel=1e-7)
    assert minimum.geometry in window.text("cell")
    window.tab.mouse.click(*window.place("phases", x, y))
    window.wait("app.state.n === 2")
    assert law_of(window.state).importance == pytest.approx(law.importance)
    assert check_shown(window) == pytest.approx(minimum.loss, rel=1e-7)


@pytest.mark.parametrize("kind", ["flow", "training"])
def test_moments_of_a_life(window, kind):
    arrays, _ = solved.kept()
    window.choose("kind", kind)
    features = tm.Features(6, solved.LIFE_P, correlated=solved.SETS)
    last, zeroth = window("app.model('moment').end"), kind == "training"
    for key, k in (("Home", 0), ("PageUp", None), ("End", last)):
        window.slide("moment", key)
        k = window.state["moment"] if k is None else k
        assert window.state["moment"] == k
        W = arrays[f"{kind}_W"][k + zeroth].astype(float)
        at, loss = re.match(r"\w+ (\S+): loss (\S+),", window.text("moment-said")).groups()
        assert float(at) == pytest.approx(arrays[f"{kind}_at"][k + zeroth], rel=1e-3)
        assert float(loss) == pytest.approx(arrays[f"{kind}_loss"][k + zeroth], rel=1e-5)
        assert window.text("moment-said").endswith(tm.name_geometry(W))
        best = tm.find_minimum(features, 3, initial=tm.ReluOutput(W[None], np.zeros((1, 6)))).loss
        assert float(loss) >= best * (1 - 1e-5)


def test_a_life_is_played_and_turned(window):
    window.press("play")
    window.wait("life.isPlaying()")
    window.wait("app.state.moment > 20")
    window.press("play")
    window.wait("!life.isPlaying()")
    moment = window.state["moment"]
    said = solved.kept()[0]["flow_loss"][moment]
    shown = re.search(r"loss (\S+),", window.text("moment-said"))[1]
    assert float(shown) == pytest.approx(said, rel=FEW)
    window.slide("moment", "End")                       # where columns are long
    before = np.array(window("(({ x, y }) => [[...x], [...y]])(app.model('shape-points').data)"))
    moment = window.state["moment"]
    window.tab.mouse.move(*window.place("shape", -1, -1))
    window.tab.mouse.down()
    window.tab.mouse.move(*window.place("shape", -0.5, -1), steps=3)
    window.tab.mouse.up()
    window.wait("""before => ["x", "y"].some((axis, k) => app.model("shape-points").data[axis]
        .some((value, i) => Math.abs(value - before[k][i]) > 0.05))""", before.tolist())
    assert window.state["moment"] == moment
    after = np.array(window("(({ x, y }) => [[...x], [...y]])(app.model('shape-points').data)"))
    W = solved.kept()[0]["flow_W"][moment].astype(float)
    basis = np.linalg.svd(W, full_matrices=False)[2]    # what is seen is a turned W, cut to a plane
    assert after @ basis.T @ basis == pytest.approx(after, abs=1e-6)


def test_another_life_is_chosen_while_one_is_played(window):
    window.open("#kind=flow&moment=120")
    window.press("play")
    window.wait("life.isPlaying() && app.state.moment > 205")
    window.choose("kind", "training")
    window.wait("!life.isPlaying()")
    assert window.state["moment"] == window("app.model('moment').end") == 199
    assert "undefined" not in window.text("moment-said") and "–" not in window.text("moment-said")


# -- the page -------------------------------------------------------------------------------------

def test_no_loss_is_better_than_a_doubtful_one(window):
    window("() => { app.state.W[0][0] = NaN; plane.refresh(); }")
    assert "No loss is shown" in window.text("warning") and window.text("loss") == "–"
    window.choose("preset", "digons")
    assert not window.tab.locator("#warning").is_visible()
    check_shown(window)


@pytest.mark.parametrize("W, p", [
    (np.full((2, 4), 10.0), 0.3), (np.full((3, 8), -10.0), 1e-4), (np.full((2, 5), 1e-9), 0.5),
    (np.eye(2, 8) * 1e-4, 0.9), (np.array([[1.0, -1, 1e-6, 0]]), 1)])
def test_large_and_small_columns_are_shown(window, W, p):
    window.load(W, p)
    check_shown(window)
    window.load(W, p, 1, b=[5.0] * W.shape[1])
    check_shown(window)


def test_a_loss_of_nothing_is_nothing(window):
    window.load(np.eye(3), 0.2, b=[0.0] * 3)
    assert window.text("loss") == "0, to rounding" and window.text("name") == "3 orthogonal"


def test_it_works_on_a_phone(browser, address):
    window = Window(browser, address, 390)
    assert window("document.documentElement.scrollWidth") <= 390
    check_shown(window)
    window.choose("preset", "digons")
    check_shown(window)
    turns = np.arange(5) * (2 * np.pi / 5 + 0.01)
    window.load(1.123456 * np.array([np.cos(turns), np.sin(turns)]), 0.05, [1, 1, 1, 1, 0.42])
    assert window("(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth)"
                  "(document.querySelector('.scroll'))")         # no column of the table is cut
    for line in solved.KNOWN:
        window.choose("line", line.name)
        assert min(window(ROOM)) >= 0, line.name
    assert (window.wrong, window.requests) == ([], [])
    window.tab.close()
