"""How long the explorer takes: to be made, to open, and for a frame in the page.

    python tests/benchmark/explorer.py [--rounds 15]

A frame is the best biases, the loss with its gradient, and its split by output and by active
features, of random weights; the page measures it by itself. Needs the extras `explorer` and
`browser`, and Debian's chromium.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve()
for folder in (HERE.parents[1], HERE.parents[2]):
    sys.path.insert(0, str(folder))

SIZES = ((2, 1), (5, 2), (6, 3), (8, 2), (8, 3))
WARM = 40                       # frames that are not counted: the browser compiles

FRAMES = """([n, m, rounds, warm]) => {
    toymodels.open(`#n=${n}&m=${m}`);
    const took = [];
    for (let k = 0; k < warm + rounds; k++) {
        plane.load({ ...app.state, W: search.random({ n, m }, k), best: true });
        if (k >= warm) took.push(toymodels.lastFrame);
    }
    return took.sort((x, y) => x - y);
}"""


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="frames of each size")
    rounds = parser.parse_args(arguments).rounds
    from browser import chromium

    from toymodels_np.teaching.explorer.page import explorer
    with tempfile.TemporaryDirectory() as folder:
        start, path = time.perf_counter(), Path(folder) / "explorer.html"
        path.write_text(explorer(), encoding="utf-8")
        print(f"made in {time.perf_counter() - start:.1f} s, {path.stat().st_size / 1e6:.2f} MB")
        with chromium() as browser:
            for _ in range(3):
                page = browser.new_page()
                start = time.perf_counter()
                page.goto(path.as_uri())
                page.wait_for_function("window.toymodels && toymodels.ready")
                print(f"opened in {time.perf_counter() - start:.2f} s")
            print("\nfeatures  dimensions  a frame, ms: median   largest")
            for n, m in SIZES:
                took = page.evaluate(FRAMES, [n, m, rounds, WARM])
                print(f"{n:8d}  {m:10d}  {took[len(took) // 2]:19.1f}  {took[-1]:8.1f}")


if __name__ == "__main__":
    main()
