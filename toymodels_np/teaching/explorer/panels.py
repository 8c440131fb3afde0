"""The figures and widgets of the explorer, empty: `models` gives them by name.

Sources of figures have the name of their figure and what they hold, such as "plane-points". The
scripts fill them, hear of widgets, and are told of buttons and of events in figures by
`toymodels.changed(name)` and `toymodels.event(name, event)`.
"""

import numpy as np
from bokeh.events import MouseLeave, MouseMove, Pan, PanEnd, PanStart, Tap
from bokeh.models import (
    BasicTickFormatter,
    Button,
    ColumnDataSource,
    CustomJS,
    CustomJSTickFormatter,
    PointDrawTool,
    RadioButtonGroup,
    Range1d,
    Select,
    Slider,
)
from bokeh.plotting import figure

from ...plots.colours import BLACK, BLUE, GREY, VERMILION
from . import solved

EDGE = 1.6                      # of the plane: columns are about 1 long
PRESETS = ("pentagon", "digons", "triangle + digon", "square", "hexagon", "dropped", "random",
           "as it is")
EVENTS = {"pan": Pan, "panstart": PanStart, "panend": PanEnd, "tap": Tap, "move": MouseMove,
          "leave": MouseLeave}
DIGITS = "return String(+tick.toPrecision(4))"     # of a slider's number
LOSSES = [0.01, 0.02, 0.05, 0.1, 0.2]            # labelled in a life
STYLE = ".bk-input, .bk-btn, label, .bk-slider-title { font-size: 15px; }"
LOG_TICKS = {-2: "0.01", -1: "0.1", 0: "1", 1: "10"}


def models():
    """All figures and widgets, {name: model}."""
    figures = {"plane": plane(), "outputs": bars("outputs", "loss by output", "output"),
               "counts": bars("counts", "loss by active features", "active features"),
               "gram": gram(), "energies": energies(), "minima": phases("minima", "true minima"),
               "candidates": phases("candidates", "the paper's candidates"),
               "life": life(), "shape": shape()}
    return figures | widgets()


def widgets():
    """Sliders, lists and buttons. A slider of p runs from dense, on the left, to sparse."""
    p = {"start": 0.005, "end": 1, "step": 0.005, "direction": "rtl"}
    return {each.name: each for each in (
        listed("n", "features n", range(1, 9), 5), listed("m", "dimensions m", range(1, 4), 2),
        listed("preset", "begin with", PRESETS, "pentagon"),
        slider("p", "p of all features", 0.05, **p),
        listed("chosen", "chosen feature", range(5), 0),
        slider("p-one", "its p", 0.05, **p),
        slider("importance-one", "its importance", 1, start=0, end=3, step=0.01),
        RadioButtonGroup(labels=["best biases", "biases by slider"], active=0, name="bias",
                         sizing_mode="stretch_width", stylesheets=[STYLE]),
        slider("bias-one", "its bias", 0, start=-1.5, end=1, step=0.01),
        *(button(name, label) for name, label in (
            ("descend", "Descend"), ("minimum", "True minimum"), ("link", "Copy link"),
            ("python", "Copy as Python"), ("bring", "Bring the plane here"),
            ("sweep-down", "Sweep down"), ("sweep-up", "Sweep up"), ("clear", "Clear the sweep"),
            ("play", "Play"))),
        listed("task", "challenge", ["none"], "none"),
        listed("line", "parameter", [(line.name, line.title) for line in solved.KNOWN],
               "importance"),
        slider("value", "its value", 1, start=0.1, end=1.2, step=0.001),
        slider("sparse", "its value", 1, start=0.1, end=1.2, step=0.001, direction="rtl",
               visible=False),
        listed("grid", "diagram", [("2_1", "2 features, 1 dimension"),
                                   ("3_2", "3 features, 2 dimensions")], "2_1"),
        listed("kind", "a life of", [("flow", "exact gradient flow"),
                                     ("training", "training, in batches")], "flow"),
        slider("moment", "moment", 0, start=0, end=299, step=1))}


def listed(name, title, options, value):
    options = [one if isinstance(one, tuple) else (str(one), str(one)) for one in options]
    return Select(name=name, title=title, options=options, value=str(value),
                  sizing_mode="stretch_width", stylesheets=[STYLE])


def slider(name, title, value, **options):
    return Slider(name=name, title=title, value=value, sizing_mode="stretch_width",
                  format=CustomJSTickFormatter(code=DIGITS), stylesheets=[STYLE], **options)


def button(name, label):
    model = Button(name=name, label=label, sizing_mode="stretch_width", stylesheets=[STYLE])
    model.js_on_event("button_click", CustomJS(code=f"toymodels.changed('{name}')"))
    return model


# -- figures --------------------------------------------------------------------------------------

def chart(name, *, height=300, events=(), **options):
    """An empty figure without a toolbar that fills its place in width."""
    made = figure(name=name, height=height, sizing_mode="stretch_width", toolbar_location=None,
                  tools="", min_border=8, min_border_right=20, **options)
    for event in events:
        made.js_on_event(EVENTS[event], CustomJS(code=f"toymodels.event('{name}', cb_obj)"))
    made.title.text_font_size = made.axis.axis_label_text_font_size = "14px"
    made.axis.axis_label_text_font_style = "normal"
    made.axis.major_label_text_font_size = "13px"
    made.grid.grid_line_alpha = 0.4
    return made


def source(name, *columns):
    return ColumnDataSource({column: [] for column in columns}, name=name)


def space(name, **options):
    """A square figure for columns of W: spokes, corners with their numbers, and a unit circle."""
    made = chart(name, height=None, x_range=Range1d(-EDGE, EDGE), y_range=Range1d(-EDGE, EDGE),
                 aspect_ratio=1, **options)
    made.min_border_right = made.min_border_left
    made.axis.visible = made.grid.visible = False
    made.outline_line_color = "#dddddd"
    made.ellipse(0, 0, 2, 2, fill_color=None, line_color="#cccccc", line_dash="dashed")
    made.multi_line("xs", "ys", color="colour", line_width=3, alpha=0.75,
                    source=source(f"{name}-spokes", "xs", "ys", "colour"))
    points = source(f"{name}-points", "x", "y", "colour", "edge", "size", "number")
    corners = made.scatter("x", "y", color="colour", size="size", line_color="edge", line_width=2,
                           source=points, level="overlay")
    corners.nonselection_glyph = corners.selection_glyph = None
    made.text("x", "y", text="number", color="white", text_align="center", text_baseline="middle",
              text_font_size="12px", text_font_style="bold", source=points, level="overlay")
    return made, corners


def plane():
    made, corners = space("plane", events=("panstart", "pan", "panend", "tap"))
    tool = PointDrawTool(renderers=[corners], add=False, name="plane-tool")
    made.add_tools(tool)
    return made


def shape():
    made, _ = space("shape", events=("panstart", "pan", "panend"))
    return made


def bars(name, title, label):
    made = chart(name, height=200, title=title, x_range=Range1d(-0.6, 4.6),
                 y_range=Range1d(0, 1))
    made.xaxis.axis_label = label
    made.xaxis.ticker = list(range(9))
    made.yaxis.ticker.desired_num_ticks = 3
    made.yaxis.formatter = BasicTickFormatter(use_scientific=False)
    made.yaxis.minor_tick_line_color = None
    made.vbar("x", top="top", width=0.8, color="colour",
              source=source(f"{name}-bars", "x", "top", "colour"))
    return made


def gram():
    made = chart("gram", height=None, title="G = W'W: what feature j does to output i",
                 x_range=Range1d(-0.5, 4.5), y_range=Range1d(4.5, -0.5), aspect_ratio=1)
    made.axis.ticker = list(range(8))
    made.xaxis.axis_label, made.yaxis.axis_label = "feature j", "output i"
    made.grid.visible = False
    cells = source("gram-cells", "x", "y", "colour", "said", "ink")
    made.rect("x", "y", 1, 1, color="colour", line_color="white", source=cells)
    made.text("x", "y", text="said", color="ink", text_align="center", text_baseline="middle",
              text_font_size="12px", source=cells)
    return made


def energies():
    made = chart("energies", height=400, x_range=Range1d(0.1, 1.2), y_range=Range1d(0, 1),
                 events=("tap",))
    made.yaxis.axis_label = "energy, as a part of what an empty model costs"
    made.multi_line("xs", "ys", color="colour", line_width=3,
                    source=source("energies-curves", "xs", "ys", "colour"))
    made.vspan("x", line_color="colour", line_dash="dashed", line_width=1.5,
               source=source("energies-marks", "x", "colour"))
    made.scatter("x", "y", size=5, color="colour",
                 source=source("energies-sweep", "x", "y", "colour"))
    here = made.scatter("x", "y", size=18, color=VERMILION, line_color=BLACK, line_width=2,
                        source=source("energies-here", "x", "y"), level="overlay")
    here.nonselection_glyph = here.selection_glyph = None
    made.add_tools(PointDrawTool(renderers=[here], add=False, name="energies-tool"))
    return made


def phases(name, title):
    """A phase diagram: p from dense (left) to sparse, importance upwards, both logarithmic."""
    made = chart(name, height=360, title=title, x_range=Range1d(0, 2), y_range=Range1d(-1, 1),
                 events=("tap", "move", "leave"))
    made.xaxis.axis_label = "feature probability p"
    made.yaxis.axis_label = "importance of the last feature"
    made.xaxis.ticker, made.yaxis.ticker = [0, 1, 2], [-1, 0, 1]
    made.xaxis.major_label_overrides = {-at: said for at, said in LOG_TICKS.items() if at <= 0}
    made.yaxis.major_label_overrides = {at: said for at, said in LOG_TICKS.items() if at >= -1}
    made.grid.visible = False
    cells = np.zeros(2 * (solved.GRIDS[0].cells,), np.uint32)
    made.image_rgba("image", x=0, y=-1, dw=2, dh=2,
                    source=ColumnDataSource({"image": [cells]}, name=f"{name}-cells"))
    made.scatter("x", "y", size=16, fill_color=None, line_color=BLACK, line_width=2,
                 marker="circle_cross", source=source(f"{name}-here", "x", "y"))
    return made


def life():
    made = chart("life", height=340, x_axis_type="log", y_axis_type="log",
                 x_range=Range1d(0.1, 1e5), y_range=Range1d(0.008, 0.3), events=("tap",))
    made.xaxis.axis_label, made.yaxis.axis_label = "time", "exact loss"
    made.yaxis.ticker = LOSSES
    made.yaxis.major_label_overrides = {loss: str(loss) for loss in LOSSES}
    made.multi_line("xs", "ys", color="#DDDDDD", line_width=14, line_cap="round",
                    source=source("life-plateaus", "xs", "ys"))
    made.line("x", "y", color=BLUE, line_width=3, source=source("life-curve", "x", "y"))
    made.text("x", "y", text="said", color=GREY, text_font_size="13px", text_baseline="bottom",
              y_offset=-8, source=source("life-labels", "x", "y", "said"))
    made.scatter("x", "y", size=14, color=VERMILION, line_color=BLACK, line_width=2,
                 source=source("life-here", "x", "y"))
    return made
