"""Tables as HTML that fits a phone, and the generated markdown pages with such tables.

Each cell carries its column's name, so that a narrow page can show a row as a card.
"""

import re
from collections.abc import Sequence
from html import escape

import mistune

# From so many columns on, rows become cards on a tablet already, or everywhere.
WIDE, WIDEST = 7, 11
# So many letters stay on one line: "0.856 ± 0.017".
WHOLE = 14
# "0.237 (0.220 to 0.253), p 0.012": the interval can begin a line.
_INTERVAL = re.compile(rf"^([^()]{{1,{WHOLE}}}) (\([^()\s]+ to [^()\s]+\))([^()]*)$")
_CODE = re.compile(r"`([^`]+)`")
_TABLE = re.compile(r"(?:^\|.*\|\n?){2,}", re.MULTILINE)
_BAR = re.compile(r"(?<!\\)\|")
_OUTSIDE = re.compile(r"(https?|mailto):", re.IGNORECASE)


def html_table(
    head: Sequence[str],
    cells: Sequence[Sequence[str]],
    *,
    caption: str = "",
    tracks: tuple[str, str, Sequence[str]] | None = None,
) -> str:
    """Write lines of cells, names of the code in backticks, as a table; the first names its line.

    The caption is for those who hear the page. Tracks are a head, and the HTML of the scale and of
    what is drawn beside each line's name.
    """
    label = f' aria-label="{escape(caption)}"' if caption else ""
    heads, lines = [_inline(title) for title in head], []
    if tracks:
        scale = f"{_inline(tracks[0])}{tracks[1]}"
        heads.insert(1, scale)
        # Where rows are cards the heads are hidden, and the scale stands above the first.
        lines.append(f'<tr class="scale" aria-hidden="true"><td class="track">{scale}</td></tr>')
    for k, line in enumerate(cells):
        shown = [f'<th role="rowheader" scope="row">{_inline(line[0])}</th>']
        if tracks:
            shown.append(f'<td role="cell" class="track">{tracks[2][k]}</td>')
        shown += [_cell(text, title) for text, title in zip(line[1:], head[1:], strict=True)]
        lines.append(f'<tr role="row">{"".join(shown)}</tr>')
    titles = "".join(f'<th role="columnheader" scope="col">{title}</th>' for title in heads)
    return (
        f'<table role="table" class="{card_kind(len(head))}{" forest" if tracks else ""}"{label}>\n'
        f'<thead role="rowgroup"><tr role="row">{titles}</tr></thead>\n'
        f'<tbody role="rowgroup">\n{chr(10).join(lines)}\n</tbody>\n</table>\n'
    )


def card_kind(columns: int) -> str:
    """Return the classes of a table of so many columns: when its rows become cards."""
    return "cards" + ("" if columns < WIDE else " wide" if columns < WIDEST else " always")


def cell_kind(text: str) -> str:
    """Return the class of a cell with this text, "" if it has none."""
    return "" if len(text) > WHOLE else "whole" if text.strip() else "empty"


def _cell(text: str, title: str) -> str:
    kind = f' class="{cell_kind(text)}"' if cell_kind(text) else ""
    shown = _INTERVAL.sub(r'\1 <span class="under">\2</span>\3', _inline(text))
    return f'<td role="cell"{kind} data-label="{escape(title.replace("`", ""))}">{shown}</td>'


def _inline(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text))


class _Prose(mistune.HTMLRenderer):
    """HTML with lower headings, and no link that would lead nowhere."""

    def __init__(self, *, depth: int):
        super().__init__(escape=True)
        self._depth = depth

    def heading(self, text: str, level: int, **attrs: object) -> str:
        level = min(level + self._depth, 6)
        return f"<h{level}>{text}</h{level}>\n"

    def link(self, text: str, url: str, title: str | None = None) -> str:
        return super().link(text, url, title) if _OUTSIDE.match(url) else text

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return text


def to_html(markdown: str, *, depth: int = 0) -> str:
    """Write a generated page as HTML, its headings lowered by `depth`.

    Comments are left out. Raw HTML is shown as text, a link that does not lead outside as its
    words, a picture as its description.
    """
    markdown = re.sub(r"<!--.*?-->", "", markdown, flags=re.DOTALL)
    prose = mistune.create_markdown(renderer=_Prose(depth=depth))
    tables = [_parsed(found[0]) for found in _TABLE.finditer(markdown)]
    texts = [prose(text) for text in _TABLE.split(markdown)]
    return "".join(part for pair in zip(texts, [*tables, ""], strict=True) for part in pair if part)


def _parsed(table: str) -> str:
    head, _, *lines = (
        [cell.strip().replace("\\|", "|") for cell in _BAR.split(line.strip())[1:-1]]
        for line in table.strip().splitlines()
    )
    return html_table(head, lines)
