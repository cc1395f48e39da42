"""The forest plot of a page: a table whose rows draw what their cells say.

Places along the scale are percentages, so it fits any width; `study.plots.forest` is for print.
"""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib.ticker import MaxNLocator

from study.markup import html_table
from study.table import Table


class Track(NamedTuple):
    """What is drawn of each row: columns of the frame, of which a missing value draws nothing.

    The scale is named by `title`, and `scale` is a factor before all values, 100 for percent. With
    `zero` they are differences, around a line at zero.
    """

    title: str
    value: str
    low: str
    high: str
    printed: str = ""
    scale: float = 1
    zero: bool = False

    @property
    def ends(self) -> tuple[str, str, str]:
        """The columns of the value and of its interval."""
        return self.value, self.low, self.high


def forest(table: Table, track: Track) -> str:
    """Return a table as HTML with a track beside the name of each row."""
    rows = [
        [
            track.scale * row[name] if pd.notna(row.get(name)) else None
            for name in (*track.ends, track.printed)
        ]
        for row in table.frame.to_dict("records")
    ]
    known = [number for row in rows for number in row if number is not None]
    known += [0.0] if track.zero else []
    known += [0.0, 1.0] if len(set(known)) < 2 else []
    locator = MaxNLocator(nbins=4, steps=[1, 2, 5, 10])
    ticks = [float(tick) for tick in locator.tick_values(min(known), max(known))]
    tracks = [_track(row, ticks, zero=track.zero) for row in rows]
    drawn = (track.title, _axis(ticks, zero=track.zero), tracks)
    return html_table(table.head, table.cells, caption=table.caption, tracks=drawn)


def _place(value: float, ticks: Sequence[float]) -> str:
    return f"{100 * (value - ticks[0]) / (ticks[-1] - ticks[0]):.2f}%"


def _track(row: Sequence[float | None], ticks: Sequence[float], *, zero: bool) -> str:
    value, low, high, printed = (None if v is None else _place(v, ticks) for v in row)
    across = [("grid", _place(tick, ticks)) for tick in ticks]
    across += [("zero", _place(0, ticks))] if zero else []
    drawn = [f'<line class="{k}" x1="{x}" x2="{x}" y1="0" y2="100%"/>' for k, x in across]
    if low and high:
        drawn.append(f'<line class="interval" x1="{low}" x2="{high}" y1="50%" y2="50%"/>')
    if value:
        drawn.append(f'<circle cx="{value}" cy="50%" r="5"/>')
    if printed:
        diamond = '<path d="M0-6 6 0 0 6-6 0Z"/>'
        drawn.append(f'<svg x="{printed}" y="50%" width="1" height="1">{diamond}</svg>')
    return f'<svg aria-hidden="true">{"".join(drawn)}</svg>'


def _axis(ticks: Sequence[float], *, zero: bool) -> str:
    texts = ((t, f"{t:+g}" if zero and round(t, 9) else f"{t:g}") for t in ticks)
    drawn = (f'<text x="{_place(tick, ticks)}" y="80%">{text}</text>' for tick, text in texts)
    return f'<svg class="axis" aria-hidden="true">{"".join(drawn)}</svg>'
