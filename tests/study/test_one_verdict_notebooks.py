"""One claim and one printed accuracy have one verdict in all that is committed.

Notebooks with their outputs, the generated tables and the pages that people write.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from helpers.paths import repo_root
from study.claims.check_result import in_ledger
from study.claims.judge import STATES
from study.claims.ledger import load_claims
from study.published import lookup
from study.tables.accuracy import MEDMNIST
from study.verdicts import IN_PART, UNDERSPECIFIED

ROOT = repo_root()
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = [
    *(ROOT / name for name in ("README.md", "results/README.md")),
    *sorted((ROOT / "results" / "tables").glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
NETWORK = "MedSpectralNet"
# A verdict in a text, with the claim that it is of: "underspecified (A11): ...".
IN_A_TEXT = re.compile(r"\| (?P<verdict>[a-z][a-z ,']+) \((?P<id>[AB]\d{2,3})\)")
# "B, BreastMNIST     printed 86.5% (...), ours ...: compatible"
IN_A_LINE = re.compile(
    r"^B, \w+ +printed (?P<printed>[\d.]+)%.*: (?P<verdict>[^:\n]+)$", re.MULTILINE
)


@cache
def cells(document) -> list[tuple[str, str]]:
    """Return kind and text of a page, and of everything that a notebook shows but its code."""
    if document in PAGES:
        return [("markdown", document.read_text(encoding="utf-8"))]
    found = []
    for cell in nbformat.read(document, as_version=4).cells:
        if cell.cell_type == "markdown":
            found.append(("markdown", cell.source))
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            kind = next((k for k in ("text/html", "text/markdown") if k in data), None)
            if kind:
                found.append((kind.removeprefix("text/"), data[kind]))
            else:
                found.append(("text", output.get("text", data.get("text/plain", ""))))
    return found


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


@cache
def shown(document) -> list[dict[str, str]]:
    """Return the rows of all tables of a document that have a verdict."""
    found = (rows for kind, text in cells(document) for rows in tables(kind, text))
    return [row for rows in found for row in rows if "verdict" in row]


def test_tables_of_both_kinds_are_read():
    html = "<table><tr><th>id</th><th>verdict</th></tr><tr><td>A1</td><td>shown</td></tr></table>"
    mark = "| id | verdict |\n| --- | --- |\n| A1 \\| B | shown |\n"
    assert list(tables("html", html)) == [[{"id": "A1", "verdict": "shown"}]]
    assert list(tables("markdown", mark)) == [[{"id": "A1 \\| B", "verdict": "shown"}]]


def test_a_claim_has_one_verdict_in_the_ledger_and_wherever_it_is_told():
    ledger = pd.read_csv(ROOT / "results/tables/claims.csv").set_index("id")["verdict"].to_dict()
    told, places = defaultdict(set), defaultdict(set)
    for document in (*NOTEBOOKS, *PAGES):
        place = document.stem[:2] if document in NOTEBOOKS else document.name
        for row in shown(document):
            if re.fullmatch(r"[AB]\d{2,3}", row.get("id", "")):
                told[row["id"]].add(row["verdict"])
                places[place].add(row["id"])
        for kind, text in cells(document):
            if kind == "markdown":
                for match in IN_A_TEXT.finditer(text):
                    told[match["id"]].add(match["verdict"])
                    places[place].add(match["id"])
    assert {"02", "03", "10"} <= set(places)
    assert places["10"] == places["claims.md"] == set(ledger)
    assert set().union(*told.values()) <= set(STATES)
    assert {name: found for name, found in told.items() if found != {ledger[name]}} == {}


@pytest.mark.parametrize("dataset", MEDMNIST)
def test_a_printed_accuracy_has_one_verdict_wherever_it_is_told(dataset):
    key = {"paper": "B", "table": "Table 3", "row": NETWORK, "column": f"{dataset}/accuracy"}
    printed = lookup(**key).printed
    table = pd.read_csv(ROOT / "results/tables/medmnist_accuracy.csv", keep_default_na=False)
    own = table[(table["dataset"] == dataset) & (table["published_system"] == NETWORK)]
    (verdict,) = {found for found in own["verdict"] if found}
    told, places = [], set()
    for document in (*NOTEBOOKS, *PAGES):
        for row in shown(document):
            if "id" in row:  # a claim, which may say something else of the same number
                continue
            numbers = (row[name] for name in row if name.startswith(("printed", "published")))
            if any(re.fullmatch(rf"{printed}( %)?( \({NETWORK}\))?", n) for n in numbers):
                told.append(row["verdict"].split(" (")[0])
                places.add(document.name)
        for kind, text in cells(document):
            if kind == "text":
                told += [m["verdict"] for m in IN_A_LINE.finditer(text) if m["printed"] == printed]
    # Runs that do not judge the number stand beside it without a verdict.
    told = [found for found in told if found]
    assert {"README.md", "medmnist_accuracy.md", "08_paper_b.ipynb"} <= places
    assert set(told) == {verdict}


@pytest.mark.parametrize(
    ("claim", "layer"), [("B106", "ContextGate, depthwise path"), ("B107", "Second SpectralFlow")]
)
def test_the_maps_of_a_layer_have_one_verdict_in_the_tables_and_in_the_ledger(claim, layer):
    ledger = pd.read_csv(ROOT / "results/tables/claims.csv").set_index("id")["verdict"]
    of_layer, focuses = defaultdict(set), "focuses on the lesion"
    for page in PAGES:
        for kind, text in cells(page):
            for row in (row for rows in tables(kind, text) for row in rows if focuses in row):
                of_layer[row["layer"]].add(row[focuses])
    # "Concentrates" names no yardstick: what is shown against some controls alone is open.
    told = {UNDERSPECIFIED if found == IN_PART else found for found in of_layer[layer]}
    assert told == {ledger[claim]}


@pytest.mark.parametrize("claim", ["B102", "B103", "B104", "B105"])
def test_a_comparison_has_one_verdict_in_its_table_and_in_the_ledger(claim):
    """Of both comparisons beside a claim that which was made by the paper's own recipe."""
    ledger = pd.read_csv(ROOT / "results/tables/claims.csv").set_index("id")["verdict"]
    table = pd.read_csv(ROOT / "results/tables/table2_comparisons.csv", index_col=[0, 1])
    beside = next(one for one in load_claims() if one.id == claim).beside.values()
    rows = [table.loc[tuple(place.split(": "))] for place in beside]
    assert len(rows) == 2
    stored = [row for row in rows if row["n_seeds"] > 0]
    assert in_ledger(stored[-1]["verdict"]) == ledger[claim]
