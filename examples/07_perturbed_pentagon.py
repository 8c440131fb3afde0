"""Row 7 of the paper's table: make one of five features rarer, or less important, and the pentagon jumps to two digons.

The two curves are exact, the circles are trained models; those on the upper curve got stuck. The paper reads off that
the fifth point collapses at 2.5 times less frequent: see where the curves cross. Try STARTS = 1.
"""

import common

P = 0.05                                        # feature probability of the other four
RATIOS = [1.5, 1.0, 0.6, 0.4, 0.35, 0.3, 0.2, 0.1]        # of the fifth feature's, to theirs
STARTS = 5                                      # trained models at each ratio
STEPS = 1500
SEEDS = 2


def main(arguments=None):
    common.experiment("perturbed-pentagon", __doc__, arguments, feature_probability=P, ratios=RATIOS, starts=STARTS,
                      steps=STEPS, seeds=SEEDS)


if __name__ == "__main__":
    main()
