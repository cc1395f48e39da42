"""One claim and one printed accuracy have one verdict: notebooks as committed, ledger, tables."""

import re
from collections import defaultdict
from collections.abc import Iterator

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from helpers.paths import repo_root
from study.claims.judge import STATES
from study.published import lookup
from study.tables.accuracy import MEDMNIST

ROOT = repo_root()
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NETWORK = "MedSpectralNet"
# A verdict in a text, with the claim that it is of: "underspecified (A11): ...".
IN_A_TEXT = re.compile(r"\| (?P<verdict>[a-z][a-z ,']+) \((?P<id>[AB]\d{2,3})\)")
# "B, BreastMNIST     printed 86.5% (...), ours ...: compatible"
IN_A_LINE = re.compile(
    r"^B, \w+ +printed (?P<printed>[\d.]+)%.*: (?P<verdict>[^:\n]+)$", re.MULTILINE
)


def cells(notebook) -> Iterator[tuple[str, str]]:
    """Return kind and text of everything that a notebook shows but its code."""
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "markdown":
            yield "markdown", cell.source
            continue
        for output in cell.outputs:
            data = output.get("data", {})
            kind = next((k for k in ("text/html", "text/markdown") if k in data), None)
            if kind:
                yield kind.removeprefix("text/"), data[kind]
            else:
                yield "text", output.get("text", data.get("text/plain", ""))


def tables(kind: str, text: str) -> Iterator[list[dict[str, str]]]:
    """Return the tables of a text, each as its rows by column."""
    if kind == "html":
        for table in BeautifulSoup(text, "html.parser").find_all("table"):
            found = [
                [cell.get_text(" ", strip=True) for cell in row.find_all(["th", "td"])]
                for row in table.find_all("tr")
            ]
            yield rows_of(found)
    elif kind == "markdown":
        for block in re.findall(r"(?:^\|.*\n?)+", text, flags=re.MULTILINE):
            found = [re.split(r"(?<!\\)\|", line)[1:-1] for line in block.strip().splitlines()]
            yield rows_of([[cell.strip() for cell in row] for row in found if "---" not in row[0]])


def rows_of(found: list[list[str]]) -> list[dict[str, str]]:
    """Return the rows under a head, those of another length left out."""
    head, *rows = found
    return [dict(zip(head, row, strict=True)) for row in rows if len(row) == len(head)]


def shown(notebook) -> Iterator[dict[str, str]]:
    """Return the rows of all tables that a notebook shows with a verdict."""
    for kind, text in cells(notebook):
        for rows in tables(kind, text):
            yield from (row for row in rows if "verdict" in row)


def test_tables_of_both_kinds_are_read():
    html = "<table><tr><th>id</th><th>verdict</th></tr><tr><td>A1</td><td>shown</td></tr></table>"
    mark = "| id | verdict |\n| --- | --- |\n| A1 \\| B | shown |\n"
    assert list(tables("html", html)) == [[{"id": "A1", "verdict": "shown"}]]
    assert list(tables("markdown", mark)) == [[{"id": "A1 \\| B", "verdict": "shown"}]]


def test_a_claim_has_one_verdict_in_the_ledger_and_in_the_notebooks():
    ledger = pd.read_csv(ROOT / "results/tables/claims.csv").set_index("id")["verdict"].to_dict()
    told, places = defaultdict(set), defaultdict(set)
    for notebook in NOTEBOOKS:
        for row in shown(notebook):
            if re.fullmatch(r"[AB]\d{2,3}", row.get("id", "")):
                told[row["id"]].add(row["verdict"])
                places[notebook.stem[:2]].add(row["id"])
        for kind, text in cells(notebook):
            if kind == "markdown":
                for match in IN_A_TEXT.finditer(text):
                    told[match["id"]].add(match["verdict"])
                    places[notebook.stem[:2]].add(match["id"])
    assert {"02", "03", "10"} <= set(places)
    assert places["10"] == set(ledger)
    assert set().union(*told.values()) <= set(STATES)
    assert {name: found for name, found in told.items() if found != {ledger[name]}} == {}


@pytest.mark.parametrize("dataset", MEDMNIST)
def test_a_printed_accuracy_has_one_verdict_in_the_tables_and_in_the_notebooks(dataset):
    key = {"paper": "B", "table": "Table 3", "row": NETWORK, "column": f"{dataset}/accuracy"}
    printed = lookup(**key).printed
    table = pd.read_csv(ROOT / "results/tables/medmnist_accuracy.csv", keep_default_na=False)
    own = table[(table["dataset"] == dataset) & (table["published_system"] == NETWORK)]
    (verdict,) = {found for found in own["verdict"] if found}
    told = []
    for notebook in NOTEBOOKS:
        for row in shown(notebook):
            if "id" in row:  # a claim, which may say something else of the same number
                continue
            numbers = (row[name] for name in row if name.startswith(("printed", "published")))
            if any(re.fullmatch(rf"{printed}( %)?( \({NETWORK}\))?", n) for n in numbers):
                told.append(row["verdict"].split(" (")[0])
        for kind, text in cells(notebook):
            if kind == "text":
                told += [m["verdict"] for m in IN_A_LINE.finditer(text) if m["printed"] == printed]
    # Runs that do not judge the number stand beside it without a verdict.
    told = [found for found in told if found]
    assert len(told) >= 2 and set(told) == {verdict}
