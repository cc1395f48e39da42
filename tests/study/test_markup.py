"""Generated pages as HTML: cells that know their columns, links that lead somewhere."""

import re
from html import unescape

import pytest

from study.markup import to_html
from study.table import Table, code, column, estimate
from tests.html_pages import Page


def test_tables_name_their_cells():
    text = "<!-- no -->\n## H\n\n| a `x` | b, % | c |\n|---|---|---|\n| 1 | 2 \\| 3 |  |\n"
    html = to_html(text, depth=2)
    parsed = Page(html)
    assert "<h4>H</h4>" in html
    assert [cell.get("data-label") for cell in parsed.all("td")] == ["b, %", "c"]
    assert parsed.all("td")[1]["class"] == "empty"
    assert "2 | 3" in parsed.text and "no" not in parsed.text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0.2 (0.1 to 0.3)", '0.2 <span class="under">(0.1 to 0.3)</span>'),
        ("+0.2 (0.1 to 0.3), p 0.04", '+0.2 <span class="under">(0.1 to 0.3)</span>, p 0.04'),
        ("11.4 (11.4)", "11.4 (11.4)"),
        ("Table 4 prints 11.4 M (11.35 to 11.45).",) * 2,
        ("Ours: 87 % (one run: 80 to 93, 5 seeds). Held.",) * 2,
    ],
)
def test_an_interval_can_begin_a_line(text, shown):
    html = to_html(f"| a | b |\n|---|---|\n| x | {text} |\n")
    assert f'data-label="b">{shown}</td>' in html
    assert unescape(re.sub("<.+?>", "", shown)) == text


def test_a_table_says_in_html_what_it_says_in_markdown():
    """A notebook without a style sheet shows the text alone: "+1.8 -3.0 to +6.6" subtracts."""
    rows = [
        {"name": "a", "x": 1.8, "x_low": -3.0, "x_high": 6.6, "p": 0.04},
        {"name": "b", "x": 0.5, "x_low": None, "x_high": None, "p": None},
        {"name": "c < d", "x": None, "x_low": None, "x_high": None, "p": None},
    ]
    columns = [column("name", write=code), estimate("x", "x", "p", spec="+.1f", missing="not run")]
    table = Table.of(rows, columns)
    found = re.findall(r"<t[hd] role=\"(?:rowheader|cell)\"[^>]*>(.*?)</t[hd]>", table.html())
    shown = [unescape(re.sub("<.+?>", "", cell)) for cell in found]
    assert shown == [cell.replace("`", "") for row in table.cells for cell in row]
    assert shown[1] == "+1.8 (-3.0 to +6.6), 0.04"


def test_two_tables_do_not_share_their_heads():
    table = "| {} | b |\n|---|---|\n| 1 | 2 |\n"
    parsed = Page(to_html(table.format("a") + "\ntext\n\n" + table.format("c").replace("b", "d")))
    assert [cell["data-label"] for cell in parsed.all("td")] == ["b", "d"]


@pytest.mark.parametrize(
    ("columns", "kind"), [(3, "cards"), (7, "cards wide"), (12, "cards always")]
)
def test_many_columns_become_cards_sooner(columns, kind):
    lines = ["| " + " | ".join(["x"] * columns) + " |", "|" + "---|" * columns]
    lines.append(lines[0])
    assert Page(to_html("\n".join(lines))).all("table")[0]["class"] == kind


def test_links_lead_outside_or_nowhere():
    html = to_html("[a](https://x.org/y) [b](../z.md) ![c](d.png) [e](javascript:f) <i>g</i>")
    assert [a["href"] for a in Page(html).all("a")] == ["https://x.org/y"]
    assert Page(html).text == "a b c e <i>g</i>"
    assert not Page(html).all("img")
