"""Row 6 of the paper's table: many equally important features, from dense to sparse, and the shapes that they form.

D* = m / |W|^2 says how many dimensions a represented feature has: it falls as features get sparse, and rests at 1 and
at 1/2 (digons). Each feature's share D_i gathers at the fractions of shapes: 3/4 tetrahedron, 2/3 triangle, 1/2 digon,
2/5 pentagon, 3/8 square antiprism. With few features in many dimensions all find a place when sparse, and D_i ends at
N_HIDDEN / N_FEATURES: try N_FEATURES = 40 and 160. SPARSEST = 5 with 24 points shows the digons' plateau close up.
"""

import common

N_FEATURES = 80
N_HIDDEN = 20
DENSEST, SPARSEST = 1, 100                      # 1 / p, from and to
POINTS = 24                                     # of the log grid between them
STEPS = 2000
SEEDS = 2


def main(arguments=None):
    common.experiment("uniform-geometry", __doc__, arguments, n_features=N_FEATURES, n_hidden=N_HIDDEN, densest=DENSEST,
                      sparsest=SPARSEST, points=POINTS, steps=STEPS, seeds=SEEDS)


if __name__ == "__main__":
    main()
