"""Markdown of the generated tables as HTML whose tables fit a phone.

Each cell carries its column's name, so that a narrow page can show a row as a card.
"""

import re
from typing import Any

import mistune
from markupsafe import Markup

# From so many columns on, rows become cards on a tablet already, or everywhere.
WIDE, WIDEST = 7, 12
# So many letters stay on one line: "0.856 ± 0.017".
WHOLE = 14
# "0.237 (0.220 to 0.253), p 0.012": the interval has a line of its own.
_INTERVAL = re.compile(r"^([^()]+) \(([^()]+ to [^()]+)\)([^()]*)$")
_OUTSIDE = re.compile(r"(https?|mailto):", re.IGNORECASE)


class _Renderer(mistune.HTMLRenderer):
    """HTML with named cells, lower headings, and no link that would lead nowhere."""

    def __init__(self, *, depth: int):
        super().__init__(escape=True)
        self._depth = depth
        self._heads: list[str] = []
        self._column = 0

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        level = min(level + self._depth, 6)
        return f"<h{level}>{text}</h{level}>\n"

    def link(self, text: str, url: str, title: str | None = None) -> str:
        return super().link(text, url, title) if _OUTSIDE.match(url) else text

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return text

    def table(self, text: str) -> str:
        columns, self._heads = len(self._heads), []
        kind = "" if columns < WIDE else " wide" if columns < WIDEST else " always"
        return f'<table role="table" class="cards{kind}">\n{text}</table>\n'

    def table_head(self, text: str) -> str:
        self._column = 0
        return f'<thead role="rowgroup"><tr role="row">\n{text}</tr></thead>\n'

    def table_body(self, text: str) -> str:
        return f'<tbody role="rowgroup">\n{text}</tbody>\n'

    def table_row(self, text: str) -> str:
        self._column = 0
        return f'<tr role="row">\n{text}</tr>\n'

    def table_cell(self, text: str, align: str | None = None, head: bool = False) -> str:
        if head:
            self._heads.append(re.sub(r"<[^>]*>", "", text))
            return f'<th role="columnheader" scope="col">{text}</th>\n'
        column, self._column = self._column, self._column + 1
        if column == 0:
            return f'<th role="rowheader" scope="row">{text}</th>\n'
        kind = "" if len(text) > WHOLE else ' class="whole"' if text.strip() else ' class="empty"'
        shown = _INTERVAL.sub(r'\1\3 <span class="under">\2</span>', text)
        return f'<td role="cell"{kind} data-label="{self._heads[column]}">{shown}</td>\n'


def to_html(markdown: str, *, depth: int = 0) -> Markup:
    """Write markdown as HTML.

    Args:
        markdown: with tables; comments are left out. Raw HTML is shown as text, a link that does
            not lead outside as its words, a picture as its description.
        depth: by how much headings are lowered.
    """
    text = re.sub(r"<!--.*?-->", "", markdown, flags=re.DOTALL)
    renderer = _Renderer(depth=depth)
    return Markup(mistune.create_markdown(renderer=renderer, plugins=["table"])(text))


def split_page(markdown: str) -> tuple[str, str]:
    """Split a generated page into its title and the rest.

    Raises:
        ValueError: it has no title.
    """
    text = re.sub(r"<!--.*?-->", "", markdown, flags=re.DOTALL).strip()
    found = re.match(r"# (.+)\n*", text)
    if not found:
        raise ValueError(f"a page of tables begins with '# title', this one with {text[:40]!r}.")
    return found[1].strip(), text[found.end() :]


def split_sections(body: str, *, level: int = 2) -> tuple[str, list[tuple[str, str]]]:
    """Split what stands below a title into an introduction and (heading, text) of its sections.

    Args:
        body: markdown.
        level: of the sections' headings.
    """
    first, *parts = re.split(rf"^{'#' * level} (.+)$", body, flags=re.MULTILINE)
    return first, list(zip(parts[::2], parts[1::2], strict=True))
