"""The colours of all figures, the explorer's too; without matplotlib.

The first ones are Okabe and Ito's, which colour-blind readers can tell apart. A feature has one
colour in all figures, `feature_colour(i)`.
"""

import colorsys

BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#7F7F7F")
BROWN, BLACK = "#7A4B1F", "#000000"
FEATURE_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY, BROWN, BLACK)
PHASE_COLOURS = {"not learned": "#DDDDDD", "superposed": ORANGE, "own dimension": BLUE}
GOLDEN = 0.6180339887               # steps of hue that never come close to an earlier one


def feature_colour(i):
    """The colour of feature i, the same in all figures; 8 are far apart, further ones less so."""
    if i < len(FEATURE_COLOURS):
        return FEATURE_COLOURS[i]
    red, green, blue = colorsys.hls_to_rgb(i * GOLDEN % 1, (0.35, 0.62)[i % 2], 0.6)
    return f"#{round(255 * red):02X}{round(255 * green):02X}{round(255 * blue):02X}"
