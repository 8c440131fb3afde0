"""Row 3: eighty features in twenty dimensions, whose importance falls more slowly.

With four times as many features and dimensions it is the picture of row 2, rescaled; what is run
and what is measured is the same.
"""

from .base import Experiment
from .demonstration import SECTION, SETTINGS, claims, draw, run

LARGER = SETTINGS | {"n_features": 80, "n_hidden": 20, "decay": 0.9,
                     "steps": 2000, "batch_size": 256, "learning_rate": 3e-2,
                     # The 20th and the 21st feature differ by a tenth in importance: to tell them
                     # apart where one sample in a thousand has them takes so many samples.
                     "linear_steps": 2000, "linear_batch_size": 1024}

EXPERIMENT = Experiment(
    "demonstration-larger", 3, "Demonstrating superposition: eighty features in twenty dimensions",
    SECTION, "01", LARGER | {"seeds": 2},
    LARGER | {"steps": 10_000, "batch_size": 1024, "learning_rate": 1e-2, "linear_steps": 10_000,
              "linear_learning_rate": 1e-2, "seeds": 5}, run, draw, claims("larger-"))


if __name__ == "__main__":
    from .command import main
    main(EXPERIMENT.name)
