"""Colours, sizes and the stamp that all figures share."""

from contextlib import AbstractContextManager

import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.figure import Figure
from matplotlib.text import Text

# Okabe & Ito (2008), "Color universal design", without yellow, which is faint on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


GREY = "#666666"


# A printed page of two columns: one column, and the whole width; in inches, as all sizes here.
HALF_WIDTH, FULL_WIDTH = 85 / 25.4, 175 / 25.4


HALF_PAGE = (HALF_WIDTH, 3.2)


_LINES = ("-", "--", ":")


SMALL = 6  # points; the smallest letters of any figure


def style() -> AbstractContextManager:
    """Return the context in which all figures of this repository are drawn."""
    return plt.rc_context(
        {
            "figure.figsize": HALF_PAGE,
            "figure.dpi": 130,
            "figure.constrained_layout.use": True,
            "savefig.dpi": 300,
            "font.size": 8,
            "axes.titlesize": 9,
            "axes.labelsize": 8,
            "legend.fontsize": 7,
            "legend.frameon": False,
            "xtick.labelsize": 7,
            "ytick.labelsize": 7,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "lines.linewidth": 1.4,
            "lines.markersize": 4,
            "axes.prop_cycle": cycler(linestyle=_LINES) * cycler(color=COLOURS),
        }
    )


def stamp(figure: Figure, text: str) -> Text:
    """Write `text` across a figure, so that a picture of phantom data cannot pass for a result."""
    return figure.text(
        *(0.5, 0.5, text),
        ha="center",
        va="center",
        rotation=30,
        fontsize=30,
        color=GREY,
        alpha=0.35,
        zorder=100,
    )
