"""Matplotlib pictures for the page: small, inside the page, the same bytes for the same runs."""

import base64
import io
from dataclasses import dataclass

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from helpers.plots import style

DPI = 150
# Our pictures hold a few colours and their shades; a palette takes a third of the room.
COLOURS_KEPT = 96


@dataclass(frozen=True)
class Picture:
    """A picture inside the page.

    Attributes:
        alt: what it shows, in words.
        png: base64.
        width: in pixels.
        height: likewise.
    """

    alt: str
    png: str
    width: int
    height: int


def picture(alt: str, figure: Figure) -> Picture:
    """Put a figure, drawn in `style.style()`, into a picture, and close it.

    Args:
        alt: what it shows, in words.
        figure: drawn.
    """
    drawn, kept = io.BytesIO(), io.BytesIO()
    with style.style():
        figure.savefig(drawn, format="png", dpi=DPI)
    plt.close(figure)
    with Image.open(drawn) as image:
        small = image.convert("RGB").quantize(COLOURS_KEPT, dither=Image.Dither.NONE)
    small.save(kept, format="png", optimize=True)
    return Picture(alt, base64.b64encode(kept.getvalue()).decode(), *small.size)
