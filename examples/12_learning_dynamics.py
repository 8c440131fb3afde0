"""Row 12 of the paper's table: two correlated sets of three features learn their octahedron, one shape after the other.

The loss falls in steps. On the first plateau either set has one direction, its sum: the linear, PCA-like solution. Then
the members part, two together and one alone, until there are two triangles face to face, nearly a prism. At the end
these turn against each other, antipodes from different sets: an octahedron. A few routes lead there.

Open out/learning_dynamics.html in a browser to see one start move. Try a larger SCALE of the first weights (the early
plateaus vanish), or a LEARNING_RATE of 0.003 (the last turn takes so long that many starts do not finish it).
"""

import common

P = 0.1                                         # feature probability
STARTS = 20
SCALE = 0.05                                    # of the first weights
STEPS = 4000
LEARNING_RATE = 0.01
MINIMUM_STARTS = 4                              # of the search for the true minimum
FRAMES = 60                                     # of the animation


def main(arguments=None):
    common.experiment("learning-dynamics", __doc__, arguments, frames=FRAMES, p=P, starts=STARTS, scale=SCALE,
                      steps=STEPS, learning_rate=LEARNING_RATE, minimum_starts=MINIMUM_STARTS)


if __name__ == "__main__":
    main()
