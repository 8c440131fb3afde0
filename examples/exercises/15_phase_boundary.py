"""15. Dropped, superposed, or alone

goal        One hidden dimension and two features: the first has importance 1, the extra one has
            `importance`. Compare three models with unit norms, and no biases but the best one
            of a dropped feature: the extra feature is dropped, both are an antipodal pair, or
            the first is dropped. Return what becomes of the extra feature in the best: "not
            learned", "superposed" or "own dimension".
read        derivations/06-phase-changes.md, (6.1); the paper, "Superposition as a Phase Change"
difficulty  2 of 5
minutes     15

Check it with: python 15_phase_boundary.py
"""

from toymodels_np.teaching import check


def phase(p, importance):
    """"not learned", "superposed" or "own dimension", for the p of both features."""
    raise NotImplementedError


check(__file__)
