"""Forest charts: lines of a table with the interval drawn beside the numbers.

A chart is a table, so nothing in it needs a description of its own: each track repeats what the
cells beside it say. Places along the scale are percentages, so a chart fits any width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.ticker import MaxNLocator

from study.verdicts import (
    COMPATIBLE,
    EXCLUDED,
    INCONCLUSIVE,
    NOT_RUN,
    OURS_HIGHER,
    OURS_LOWER,
    REPRODUCED,
    SHOWN,
    SHOWN_REVERSED,
)
from study.words import signed

# A mark before each verdict, so that none is told by its colour alone.
TONES = {
    REPRODUCED: ("yes", "✓"),
    SHOWN: ("yes", "✓"),
    OURS_LOWER: ("no", "✗"),
    OURS_HIGHER: ("no", "✗"),
    SHOWN_REVERSED: ("no", "✗"),
    EXCLUDED: ("no", "✗"),
    INCONCLUSIVE: ("open", "≈"),
    COMPATIBLE: ("open", "≈"),
    NOT_RUN: ("none", "○"),
}


@dataclass(frozen=True)
class Cell:
    """A cell beside a track.

    Attributes:
        text: what it says, "" leaves it out on a phone.
        under: smaller text beneath.
        verdict: whether the text is a verdict.
    """

    text: str
    under: str = ""
    verdict: bool = False

    @property
    def tone(self) -> str:
        """Class of a verdict's colour."""
        return TONES.get(self.text, ("none", ""))[0]

    @property
    def sign(self) -> str:
        """Mark before a verdict."""
        return TONES.get(self.text, ("none", "○"))[1]


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        label: its name.
        cells: what stands beside the track, one for each of the chart's heads.
        value: ours, None if there is none.
        low: lower end of its interval, None if there is none.
        high: upper end.
        printed: the published value, None if there is none.
        under: smaller text beneath the name.
        code: whether the name is one of the registry.
    """

    label: str
    cells: Sequence[Cell]
    value: float | None = None
    low: float | None = None
    high: float | None = None
    printed: float | None = None
    under: str = ""
    code: bool = False

    @property
    def ends(self) -> list[float]:
        """Everything that the scale must hold."""
        known = (self.value, self.low, self.high, self.printed)
        return [number for number in known if number is not None]


@dataclass(frozen=True)
class Chart:
    """A chart, ready for the template.

    Attributes:
        title: for those who hear the page.
        quantity: what the scale measures.
        heads: of the cells.
        lines: in order, at least one.
        ticks: the scale from end to end.
        texts: of the ticks.
        zero: whether a line marks zero.
    """

    title: str
    quantity: str
    heads: tuple[str, ...]
    lines: tuple[Line, ...]
    ticks: tuple[float, ...]
    texts: tuple[str, ...]
    zero: bool

    def place(self, value: float) -> str:
        """Return where a value lies along the scale, in percent of its length."""
        first, last = self.ticks[0], self.ticks[-1]
        return f"{100 * (value - first) / (last - first):.2f}"

    def width(self, line: Line) -> str:
        """Return the length of a line's interval, likewise."""
        return f"{float(self.place(line.high)) - float(self.place(line.low)):.2f}"

    @property
    def has_printed(self) -> bool:
        """Whether any line has a published value."""
        return any(line.printed is not None for line in self.lines)

    def described(self, line: Line) -> str:
        """Say what is drawn on a line's track."""
        text = self._number
        said = []
        if line.value is not None:
            said.append(f"ours {text(line.value)}")
        if line.low is not None and line.high is not None:
            said.append(f"interval {text(line.low)} to {text(line.high)}")
        if line.printed is not None:
            said.append(f"published {text(line.printed)}")
        return ", ".join(said) or NOT_RUN

    def _number(self, value: float) -> str:
        return signed(value) if self.zero else f"{value:.4g}"


def chart(
    title: str, quantity: str, heads: Sequence[str], lines: Sequence[Line], *, zero: bool = False
) -> Chart:
    """Lay out a chart.

    Args:
        title: for those who hear the page.
        quantity: what the scale measures.
        heads: of the cells.
        lines: at least one.
        zero: whether the scale is one of differences, around zero.

    Raises:
        ValueError: no lines, or a line with more or fewer cells than heads.
    """
    if not lines:
        raise ValueError(f"the chart {title!r} has no lines.")
    if wrong := [line.label for line in lines if len(line.cells) != len(heads)]:
        raise ValueError(f"the chart {title!r} has {len(heads)} heads; {wrong[0]!r} does not fit.")
    ends = [end for line in lines for end in line.ends] + ([0.0] if zero else [])
    ends = ends or [0.0, 1.0]
    locator = MaxNLocator(nbins=4, steps=[1, 2, 5, 10])
    ticks = tuple(float(tick) for tick in locator.tick_values(min(ends), max(ends)))
    texts = tuple(f"{tick:+g}" if zero and round(tick, 9) else f"{tick:g}" for tick in ticks)
    return Chart(title, quantity, tuple(heads), tuple(lines), ticks, texts, zero)
