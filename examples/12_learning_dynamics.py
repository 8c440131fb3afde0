"""Row 12 of the paper's table: two correlated sets of three features learn their octahedron, one shape after the other.

The loss falls in steps. On the first plateau either set has one direction, its sum: the linear, PCA-like solution. Then
the members part, two together and one alone, until there are two triangles face to face, nearly a prism. At the end
these turn against each other, antipodes from different sets: an octahedron. A few routes lead there.

Open out/learning_dynamics.html in a browser to see one start move. Try a larger SCALE of the first weights (the early
plateaus vanish), or a LEARNING_RATE of 0.003 (the last turn takes so long that many starts do not finish it).
"""

import common
import toymodels_np as tm
from toymodels_np.lab.experiments import learning_dynamics

P = 0.1                                         # feature probability
STARTS = 20
SCALE = 0.05                                    # of the first weights
STEPS = 4000
LEARNING_RATE = 0.01
MINIMUM_STARTS = 4                              # of the search for the true minimum
FRAMES = 60                                     # of the animation


def main(arguments=None):
    common.experiment("learning-dynamics", __doc__, arguments, p=P, starts=STARTS, scale=SCALE, steps=STEPS,
                      learning_rate=LEARNING_RATE, minimum_starts=MINIMUM_STARTS)
    out = common.parser(__doc__, "", seed=False).parse_known_args(arguments)[0].out
    table = tm.load_sweep(out / "runs" / "learning-dynamics")
    first = {key: column[0] for key, column in table.items()}
    page = out / "learning_dynamics.html"
    page.write_text(learning_dynamics.animation([first], FRAMES), encoding="utf-8")
    print("wrote", page)


if __name__ == "__main__":
    main()
