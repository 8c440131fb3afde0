"""Learning as an animation: one HTML page that needs no network and fits any screen.

The page draws by itself: the numbers are in it, and a script paints them on two canvases, which
stand side by side or, on a narrow screen, one above the other. The solid is turned with a finger or
the mouse, and turns by itself while it plays.
"""

import html
import json

import numpy as np

from .colours import ORANGE
from .parts import SET_LOOKS

DIGITS = 4                      # of the numbers in the page
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>@HEADING@</title>
<style>
body {font: 16px/1.45 sans-serif; margin: 0 auto; padding: 0.8em; max-width: 70em; color: #111;
      background: #fff}
h1 {font-size: 1.35em; margin: 0 0 0.3em}
p {margin: 0.3em 0 0.8em; max-width: 46em}
#panels {display: flex; flex-wrap: wrap; gap: 0.8em}
#panels canvas {flex: 1 1 20em; min-width: 0; width: 100%; aspect-ratio: 4 / 3}
#space {touch-action: none; cursor: grab}
#controls {display: flex; gap: 0.8em; align-items: center; margin: 0.6em 0}
#controls button {font: inherit; padding: 0.3em 1em; min-width: 6em}
#frame {flex: 1; min-width: 4em}
</style></head><body>
<h1>@HEADING@</h1>
<p>@CAPTION@</p>
<p id="now" aria-live="polite"></p>
<div id="panels"><canvas id="loss" role="img" aria-label="The loss along training"></canvas>
<canvas id="space" role="img" aria-label="The features' directions in space"></canvas></div>
<div id="controls"><button id="play">Play</button>
<input id="frame" type="range" min="0" value="0" aria-label="Time of training"></div>
<p>Drag the solid to turn it.</p>
<noscript>A script draws this page; the row's figure shows the same at chosen times.</noscript>
<script>
const data = @DATA@;
@SCRIPT@
</script></body></html>
"""
SCRIPT = """
const byId = id => document.getElementById(id);
const slider = byId("frame"), play = byId("play"), now = byId("now");
const last = data.frames.length - 1;
let turn = 0.6, tilt = 0.35, timer = null;
slider.max = last;

function pen(id) {
  const canvas = byId(id), ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * ratio; canvas.height = height * ratio;
  const draw = canvas.getContext("2d");
  draw.scale(ratio, ratio);
  draw.clearRect(0, 0, width, height);
  return [draw, width, height];
}

function paintLoss(k) {
  const [draw, width, height] = pen("loss"), left = 62, below = 44;
  const steps = data.steps.map(s => Math.log(Math.max(s, data.steps[1] || 1)));
  const losses = data.losses.map(Math.log);
  const low = Math.min(...losses), high = Math.max(...losses), span = high - low || 1;
  const start = steps[0], wide = steps[steps.length - 1] - start || 1;
  const x = i => left + (steps[i] - start) / wide * (width - left - 14);
  const y = v => 12 + (high - v) / span * (height - below - 24);
  draw.font = "14px sans-serif"; draw.fillStyle = "#333"; draw.strokeStyle = "#ddd";
  draw.textAlign = "right";
  for (let t = 0; t < 5; t++) {
    const v = low + span * t / 4;
    draw.beginPath(); draw.moveTo(left, y(v)); draw.lineTo(width - 14, y(v)); draw.stroke();
    draw.fillText(Math.exp(v).toPrecision(2), left - 6, y(v) + 5);
  }
  draw.textAlign = "center";
  for (let s = 1; s <= data.steps[data.steps.length - 1]; s *= 10)
    if (Math.log(s) >= start)
      draw.fillText(s, left + (Math.log(s) - start) / wide * (width - left - 14), height - 24);
  draw.fillText("training step (loss at the left)", (left + width) / 2, height - 6);
  const line = (until, colour, thick) => {
    draw.beginPath(); draw.strokeStyle = colour; draw.lineWidth = thick;
    for (let i = 0; i <= until; i++)
      i ? draw.lineTo(x(i), y(losses[i])) : draw.moveTo(x(i), y(losses[i]));
    draw.stroke();
  };
  line(losses.length - 1, "#bbb", 2);
  line(data.frames[k], "#000", 3);
  draw.beginPath(); draw.fillStyle = data.dot;
  draw.arc(x(data.frames[k]), y(losses[data.frames[k]]), 7, 0, 7); draw.fill();
}

function paintSpace(k) {
  const [draw, width, height] = pen("space"), size = 0.42 * Math.min(width, height) / data.limit;
  const seen = ([a, b, c]) => {
    const u = Math.cos(turn) * a - Math.sin(turn) * b, v = Math.sin(turn) * a + Math.cos(turn) * b;
    return [width / 2 + size * u, height / 2 - size * (Math.cos(tilt) * c - Math.sin(tilt) * v),
            Math.sin(tilt) * c + Math.cos(tilt) * v];
  };
  const tips = data.W[k].map(seen), origin = seen([0, 0, 0]);
  draw.lineCap = "round";
  data.sets.forEach((members, s) => {
    draw.strokeStyle = data.colours[s]; draw.lineWidth = 2; draw.setLineDash([2, 5]);
    draw.beginPath();
    [...members, members[0]].forEach((i, j) => j ? draw.lineTo(tips[i][0], tips[i][1])
                                                 : draw.moveTo(tips[i][0], tips[i][1]));
    draw.stroke();
    draw.setLineDash([]);
  });
  const order = tips.map((_, i) => i).sort((i, j) => tips[j][2] - tips[i][2]);
  for (const i of order) {
    const s = data.sets.findIndex(members => members.includes(i));
    draw.strokeStyle = draw.fillStyle = data.colours[Math.max(s, 0)]; draw.lineWidth = 4;
    draw.beginPath(); draw.moveTo(origin[0], origin[1]); draw.lineTo(tips[i][0], tips[i][1]);
    draw.stroke();
    draw.beginPath(); draw.arc(tips[i][0], tips[i][1], 11, 0, 7); draw.fill();
    draw.fillStyle = "#fff"; draw.font = "bold 14px sans-serif"; draw.textAlign = "center";
    draw.fillText(i, tips[i][0], tips[i][1] + 5);
  }
}

function paint() {
  const k = Number(slider.value);
  paintLoss(k);
  paintSpace(k);
  now.textContent = "Step " + data.steps[data.frames[k]] + ": " + data.titles[k];
}

function stop() { clearInterval(timer); timer = null; play.textContent = "Play"; }

play.onclick = () => {
  if (timer) return stop();
  if (Number(slider.value) === last) slider.value = 0;
  play.textContent = "Pause";
  timer = setInterval(() => {
    if (Number(slider.value) >= last) return stop();
    slider.value = Number(slider.value) + 1; turn += 0.03; paint();
  }, 140);
};
slider.oninput = () => { stop(); paint(); };
byId("space").onpointerdown = event => {
  const canvas = byId("space");
  let from = [event.clientX, event.clientY];
  canvas.setPointerCapture(event.pointerId);
  canvas.onpointermove = move => {
    turn += (move.clientX - from[0]) / 120; tilt += (move.clientY - from[1]) / 120;
    tilt = Math.max(-1.5, Math.min(1.5, tilt));
    from = [move.clientX, move.clientY]; paint();
  };
  canvas.onpointerup = canvas.onpointercancel = () => { canvas.onpointermove = null; };
};
window.onresize = paint;
paint();
"""


def animate(steps, losses, chosen, directions, sets, titles, *, heading, caption):
    """Learning as a self-contained HTML page: the loss so far, and the columns of W in space.

    steps, losses : (T,)        chosen : (F,) indices of the frames
    directions : (F, 3, n) W there
    sets : of features          titles : F strings                      heading, caption : sentences
    """
    limit = float(np.linalg.norm(directions, axis=1).max()) or 1.0
    data = {"steps": np.asarray(steps).tolist(), "losses": _rounded(losses), "sets": sets,
            "frames": np.asarray(chosen).tolist(), "titles": list(titles), "limit": limit,
            "W": [_rounded(W.T) for W in directions], "dot": ORANGE,
            "colours": [colour for colour, _ in SET_LOOKS]}
    text = json.dumps(data, allow_nan=False).replace("</", "<\\/")
    parts = {"HEADING": html.escape(heading), "CAPTION": html.escape(caption), "DATA": text,
             "SCRIPT": SCRIPT}
    page = PAGE
    for name, value in parts.items():
        page = page.replace(f"@{name}@", value)
    return page


def _rounded(values):
    return [[float(f"{v:.{DIGITS}g}") for v in np.ravel(row)] if np.ndim(row) else
            float(f"{row:.{DIGITS}g}") for row in np.asarray(values)]
