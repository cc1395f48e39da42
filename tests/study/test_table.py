"""Tables: formatters, what is missing, and the three forms of one frame."""

import io
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.markup import html_table, to_html
from study.table import (
    Table,
    code,
    column,
    deviation,
    ends,
    estimate,
    interval,
    markdown_table,
    measured,
    number,
    p_value,
    percent,
    seeds,
    span,
    text,
)
from tests.html_pages import Page


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (text("met"), "met"),
        (text("met", "n = 3"), "met (n = 3)"),
        (code("resnet18"), "`resnet18`"),
        (number(0.12345), "0.123"),
        (number(0.12345, spec="+.1f", scale=100), "+12.3"),
        (number(-0.0004, spec="+.3f"), "0.000"),
        (number(-0.0004), "0.000"),
        (number(12.3, spec=".0f", unit=" MiB"), "12 MiB"),
        (number(1e-7, spec=".0e"), "1e-07"),
        (percent(0.8651), "86.5"),
        (percent(None), ""),
        (percent(math.nan), ""),
        (deviation(0.9, 0.01), "0.900 ± 0.010"),
        (deviation(0.9, None, "n = 1", spec=".1f", scale=100), "90.0 (n = 1)"),
        (interval(0.5, 0.4, 0.6), "0.500 (0.400 to 0.600)"),
        (interval(0.5, math.nan, 0.6, "n = 3"), "0.500, n = 3"),
        (interval(-0.5, -0.6, 0.0, spec="+.1f"), "-0.5 (-0.6 to 0.0)"),
        (span(0.4, 0.6, spec=".1f", scale=100), "40.0 to 60.0"),
        (p_value(0.0004), "< 0.001"),
        (p_value(0.0123), "0.012"),
        (seeds(5), "n = 5"),
        (measured(1234.5), "1,230"),
        (measured(0.01234, "s"), "0.0123 s"),
    ],
)
def test_formatters(written, expected):
    assert written == expected


@given(st.floats(-1e6, 1e6), st.sampled_from([".3f", "+.3f", ".2g", "+.0f"]))
def test_a_sign_stands_before_what_is_not_zero(value, spec):
    written = number(value, spec=spec)
    assert float(written) == float(f"{value:{spec}}")
    if float(written) == 0:
        assert written[0] not in "+-"
    elif "+" in spec:
        assert written[0] in "+-"


def made():
    rows = [
        {"model": "resnet18", "auc": 0.8, "auc_low": 0.7, "auc_high": 0.9, "seeds": 5},
        {"model": "a|b", "auc": None, "why": "does not run"},
        {"model": "c", "auc": np.nan},
    ]
    columns = [
        column("network", "model", write=code),
        estimate("AUC (95 %)", "auc", missing="not run", reason="why"),
        column("seeds", write=seeds),
    ]
    return Table.of(rows, columns, "Networks")


def test_a_missing_value_says_why_and_is_never_a_zero():
    assert made().cells == [
        ["`resnet18`", "0.800 (0.700 to 0.900)", "n = 5"],
        ["`a|b`", "does not run", ""],
        ["`c`", "not run", ""],
    ]


def test_the_markdown_of_a_table_is_read_back_as_the_same_html():
    table = made()
    assert "`a\\|b`" in table.markdown()
    assert to_html(table.markdown()) == html_table(table.head, table.cells)
    assert table.html().replace(' aria-label="Networks"', "") == to_html(table.markdown())


def test_html_escapes_what_it_shows():
    rows = [{"model": "<script>`", "auc": "<b>&"}]
    table = Table.of(rows, [column("model"), column('A "quoted" head', "auc")])
    html = table.html()
    assert Page(html).all("script") == Page(html).all("b") == []
    assert Page(html).all("td")[0]["data-label"] == 'A "quoted" head'


def test_csv_is_the_whole_frame():
    frame = pd.DataFrame({"model": ["a"], "auc": [0.1234567891], "sd": [-1e-17], "hidden": [2]})
    table = Table(frame, [column("model")])
    assert table.csv() == "model,auc,sd,hidden\na,0.12345679,0,2\n"


def test_a_number_of_a_csv_file_is_rounded_as_that_of_its_table():
    """With four decimals .83846 became .8385 and 83.9 %, beside 83.8 % in the table."""
    shares = [*np.arange(625) / 624, -0.0215 - 1e-17, 0.0215, 0.8005, 0.8005 + 1e-16]
    frame = pd.DataFrame({"share": shares})
    read = pd.read_csv(io.StringIO(Table(frame, []).csv()))
    for write in (percent, number):
        assert [write(x) for x in read["share"]] == [write(x) for x in shares]


def test_a_table_without_rows_says_so():
    columns = [column("model")]
    assert Table.of([], columns).markdown() == markdown_table(["model"], [])
    assert Table.of([], columns, empty="Not run.").markdown() == "Not run."
    assert Table.of([], columns, empty="Not run.").html() == "<p>Not run.</p>"


def test_a_column_of_nothing_is_refused():
    with pytest.raises(ValueError, match="shows 'accuracy'; the frame has auc"):
        Table(pd.DataFrame({"auc": [1]}), [column("accuracy")])
    with pytest.raises(ValueError, match="shows 'why'; the frame has auc"):
        Table(pd.DataFrame({"auc": [1]}), [column("auc", reason="why")])


def test_the_ends_of_what_was_not_estimated_are_missing():
    assert ends("auc", None) == {"auc": None, "auc_low": None, "auc_high": None}


def test_numbers_of_a_row_keep_their_kind():
    """A whole number beside a missing one must not be shown as 5.0."""
    table = Table.of([{"n": 5}, {}], [column("n"), "n"])
    assert table.cells == [["5", "5"], ["", ""]]
    assert table.head == ["n", "n"], "a name alone shows the column as it is"
