"""Colours, sizes and the stamp that all figures share."""

import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

# Okabe & Ito (2008), "Color universal design", without yellow, which is faint on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#666666"
# A printed page of two columns: one column, and the whole width; in inches, as all sizes here.
HALF_WIDTH, FULL_WIDTH = 85 / 25.4, 175 / 25.4
HALF_PAGE = (HALF_WIDTH, 3.2)
SMALL = 6  # points; the smallest letters of any figure
_LINES = ("-", "--", ":")
# Fonts with Chinese, Japanese and Korean letters, as systems have them.
_EAST_ASIAN = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK KR", "Noto Sans JP", "Noto Sans SC"),
    *("Source Han Sans", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback"),
    *("IPAGothic", "IPAexGothic", "Hiragino Sans", "PingFang SC", "Arial Unicode MS"),
    *("Microsoft YaHei", "Yu Gothic", "MS Gothic", "Malgun Gothic", "AppleGothic"),
)
_LATIN = "DejaVu Sans"


@contextmanager
def style() -> Iterator[None]:
    """Open the context in which all figures of this repository are drawn."""
    settings = {
        "font.family": [_LATIN, *_east_asian_fonts()],
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
    with plt.rc_context(settings), warnings.catch_warnings():
        # `plain` says it once, and not for every letter of every figure.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


@cache
def _east_asian_fonts() -> tuple[str, ...]:
    """Return the installed fonts that fill the gaps of the Latin one."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return tuple(name for name in _EAST_ASIAN if name in installed)


def plain(text: str) -> str:
    """Return a name from a user as figures must be given it, to be drawn as it is.

    matplotlib reads what stands between dollars as mathematics, so they are escaped. Line feeds and
    other control characters become spaces. Of names with letters that no installed font has, which
    are drawn as boxes, a printed line speaks, once.
    """
    _say_unshown(text)
    cleared = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text)
    return cleared.replace("$", r"\$")


_SAID: list[str] = []


def _say_unshown(text: str) -> None:
    if text.isascii() or _SAID:
        return
    lacking = sorted({c for c in text if c.isprintable() and ord(c) not in _letters()})
    if lacking:
        _SAID.extend(lacking)
        print(
            f"No installed font has {' '.join(lacking[:10])}: figures show boxes in their place; "
            "install for instance Noto Sans CJK."
        )


@cache
def _letters() -> frozenset[int]:
    """Return what the fonts of `style` can draw."""
    files = [font_manager.findfont(name) for name in (_LATIN, *_east_asian_fonts())]
    return frozenset().union(*(font_manager.get_font(file).get_charmap() for file in files))


def short_names(class_names: Sequence[str], length: int = 20) -> list[str]:
    """Cut long class names, so that axes and legends keep their size; see `plain`.

    Where two names would look the same, all have their number in front.
    """
    if len({shortened(name, length) for name in class_names}) < len(class_names):
        class_names = [f"{k} {name}" for k, name in enumerate(class_names)]
    return [plain(shortened(name, length)) for name in class_names]


def shortened(name: str, length: int) -> str:
    """Return a name of at most so many characters."""
    return name if len(name) <= length else f"{name[: length - 1].rstrip()}…"


def class_line(k: int) -> dict[str, str]:
    """Return colour and dash of class k, so that a class looks the same in all pictures."""
    return {"color": COLOURS[k % len(COLOURS)], "linestyle": _LINES[k // len(COLOURS) % 3]}


def show_image(axes: Axes, image: np.ndarray, **options: Any) -> None:
    """Show an image (H, W, C): grey of 0 to 255, or colours; `options` of `imshow`."""
    pixels = image[..., 0] if image.shape[2] == 1 else image
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, **options)


def image_grid(rows: int, columns: int, *, size: tuple[float, float]) -> tuple[Figure, np.ndarray]:
    """Return a figure of a size in inches, and its bare axes (rows, columns)."""
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[], frame_on=False)
    return figure, grid


def stamp(figure: Figure, text: str) -> Text:
    """Write `text` across a figure, so that a picture of phantom data cannot pass for a result."""
    return figure.text(
        0.5,
        0.5,
        text,
        ha="center",
        va="center",
        rotation=30,
        zorder=100,
        fontsize=30,
        color=GREY,
        alpha=0.35,
    )
