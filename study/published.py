"""What the papers print: one table of published values, read from `results/published/*.csv`.

Every number a paper states lives there once, as printed, with its source and a mark:

- T: stated in the text of one of the two reproduced papers,
- R: derived from such statements by arithmetic,
- S: read in another public source,
- M: quoted from memory and not verified; shown as such, and never the ground of a verdict.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

import pandas as pd

from helpers.config import without_size
from helpers.data.rebuilt import REBUILT
from helpers.files import read_csv, reading
from helpers.paths import published_dir

COLUMNS = ("paper", "table", "row", "column", "value", "unit", "mark", "source", "note")
KEY = ["paper", "table", "row", "column"]
MARKS = {
    "T": "stated in the paper",
    "R": "derived from the paper's own numbers",
    "S": "read in a public source",
    "M": "unverified, quoted from memory",
}
SHARES = ("%", "fraction", "points")
AMOUNTS = ("times", "M", "G", "s", "min")
COUNTS = ("images", "epochs", "classes", "channels", "pixels", "seeds", "steps")
UNITS = ("", "text", *SHARES, *AMOUNTS, *COUNTS)
NOT_GIVEN = "not given"
PRINTED_EPOCHS = 4  # of paper A's Table 1
# The (paper, table) pairs that hold results; the other rows with such columns are claims,
# quotations and figures.
MEDMNIST_RESULTS = (
    *(("B", "Table 3"), ("medmnist_v2", "Table 3"), ("rescience121", "replication")),
    *((paper, "results") for paper in ("medmamba", "medvit", "medvitv2", "doerrich2025")),
    ("best_known", "selection on validation data"),
)
CAG_RESULTS = (("A", "Table 4"), ("lqer", "abstract"), ("sda_qec", "abstract"))

_NUMBER = r"\d+(?:\.\d+)?(?:e-?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})-({_NUMBER})")
_BOUND = re.compile(rf"(<=|>=|<|>)({_NUMBER})")
_CHOICE = re.compile(rf"({_NUMBER}) (?:or|and) ({_NUMBER})")


class PublishedError(ValueError):
    """A published value is unknown, or the files that hold them are not in order."""


@dataclass(frozen=True)
class Published:
    """One published value."""

    value: float | None  # in `unit`; None for a range, bound, choice, words or "not given"
    printed: str  # the value as the source prints it
    mark: str  # one of `MARKS`
    source: str  # paper and table
    unit: str  # one of `UNITS`; "%" and "points" run from 0 to 100, "fraction" from 0 to 1
    low: float | None = None  # end in `unit`; `value` of a plain number, None where open or unknown
    high: float | None = None
    note: str = ""  # what else the reader should know

    @property
    def fraction(self) -> float | None:
        """The value, a share, on the scale 0 to 1, None where there is no single number."""
        if self.unit not in SHARES:
            raise PublishedError(f"{self.printed!r} has the unit {self.unit!r}, which is no share.")
        if self.value is None:
            return None
        return self.value if self.unit == "fraction" else self.value / 100

    @property
    def may_carry_verdict(self) -> bool:
        """Whether a measured value may be judged against this one: a number, and verified."""
        return self.mark != "M" and self.value is not None


def parse_printed(printed: str) -> tuple[float | None, float | None, float | None]:
    """Split a printed value into (value, low, high).

    A number ("86.5", "5.25e-4") comes three times; a range ("0.972-0.999") as (None, low, high); a
    bound ("<=10") as (None, None, high) or (None, low, None); a choice ("3 or 5") and "not given"
    as three times None. Anything else is a `PublishedError`.
    """
    if re.fullmatch(_NUMBER, printed):
        number = float(printed)
        return number, number, number
    if match := _RANGE.fullmatch(printed):
        low, high = float(match[1]), float(match[2])
        if low >= high:
            raise PublishedError(f"The range {printed!r} runs backwards; write low-high.")
        return None, low, high
    if match := _BOUND.fullmatch(printed):
        bound = float(match[2])
        return (None, None, bound) if match[1].startswith("<") else (None, bound, None)
    if printed == NOT_GIVEN or _CHOICE.fullmatch(printed):
        return None, None, None
    raise PublishedError(
        f"Cannot read the published value {printed!r}: expected a number, a range (1-2), a bound "
        f"(<=1), a choice (3 or 5) or {NOT_GIVEN!r}; for words use the unit 'text'."
    )


def last_digit(printed: Published) -> float:
    """Return the unit of the last printed digit: 0.01 of "85.00", 1e-6 of "5.25e-4"."""
    if printed.value is None:
        raise ValueError(f"{printed.printed!r} ({printed.source}) is no plain number.")
    return float(Decimal(1).scaleb(Decimal(printed.printed).as_tuple().exponent))


def rounding(printed: Published) -> tuple[float, float]:
    """Return the lowest and the highest value that a printed number may stand for."""
    half = last_digit(printed) / 2
    return printed.value - half, printed.value + half


def load_published(folder: Path | None = None) -> pd.DataFrame:
    """Load every published value of a folder's CSV files, by default `results/published`.

    One row per value: the columns of the files (strings), `file` (its name), and `number`, `low`,
    `high` (float64, NaN where undefined; see `parse_printed`). A `PublishedError` where there are
    no files, or one is out of order, or holds a key that stands in another, too.
    """
    return _load(folder or published_dir()).copy()


@lru_cache(maxsize=4)
def _load(folder: Path) -> pd.DataFrame:
    # The list of claims speaks about these values; it holds none of its own.
    files = sorted(path for path in folder.glob("*.csv") if path.name != "claims.csv")
    if not files:
        raise PublishedError(f"No published values: {folder.name}/ holds no CSV file.")
    table = pd.concat([_read(path) for path in files], ignore_index=True)
    twice = table[table.duplicated(KEY, keep=False)]
    if len(twice):
        places = "; ".join(f"{r.file}: {_key_text(r)}" for r in twice.itertuples())
        raise PublishedError(f"Published values typed more than once: {places}.")
    return table


def _read(path: Path) -> pd.DataFrame:
    with reading(path, PublishedError):
        frame = read_csv(path, dict.fromkeys(COLUMNS, str))
    numbers = []
    for line, row in enumerate(frame.itertuples(), start=2):
        where = f"{path.name}, line {line} ({_key_text(row)})"
        _check_row(row, where)
        try:
            parsed = (None,) * 3 if row.unit == "text" else parse_printed(row.value)
        except PublishedError as error:
            raise PublishedError(f"{where}: {error}") from None
        numbers.append(parsed)
    if not numbers:
        raise PublishedError(f"{path.name} holds no value.")
    frame["file"] = path.name
    frame[["number", "low", "high"]] = pd.DataFrame(numbers, index=frame.index, dtype="float64")
    return frame


def _check_row(row, where: str) -> None:
    for name in (*KEY, "value", "source"):
        if not getattr(row, name).strip():
            raise PublishedError(f"{where}: the field {name!r} is empty.")
    if row.mark not in MARKS:
        raise PublishedError(f"{where}: unknown mark {row.mark!r}; known: {', '.join(MARKS)}.")
    if row.unit not in UNITS:
        raise PublishedError(f"{where}: unknown unit {row.unit!r}; known: {', '.join(UNITS)}.")


def _key_text(row) -> str:
    return " | ".join((row.paper, row.table, row.row, row.column))


def lookup(*, paper: str, table: str, row: str, column: str) -> Published:
    """Return one published value, or a `PublishedError` that lists the nearest keys.

    The paper is "A", "B" or the name of another source ("medmnist_v2"), the table its table, figure
    or section, the column as in the files ("params", "breastmnist/accuracy").
    """
    key = (paper, table, row, column)
    if (found := find(*key)) is None:
        raise PublishedError(_no_such(key, list(_index(published_dir()))))
    return found


def find(paper: str, table: str, row: str, column: str) -> Published | None:
    """Return one published value as `lookup` does, None where there is none."""
    return _index(published_dir()).get((paper, table, row, column))


# Paper A's images are not public; an own folder of images stands for none of them.
ANGIOGRAMS = "cag:arcade_patches"


def proposed_accuracy(dataset: str) -> tuple[str, Published] | None:
    """Return whose accuracy is claimed for a data set, and which; None if there is none.

    Paper B's MedSpectralNet on the MedMNIST sets of any size, also where ours is a rebuilt one;
    paper A's hybrid on coronary angiograms, beside the patches that stand for them here.
    """
    if dataset.partition("/")[0] == ANGIOGRAMS:
        system = "paper A, Brain-Inspired Hybrid, on images that are not public"
        key = ("A", "Table 2", "test", "accuracy")
    else:
        rebuilt = REBUILT.get(dataset)
        system = "paper B, MedSpectralNet" + (", on the official set" if rebuilt else "")
        official = rebuilt.official if rebuilt else without_size(dataset)
        key = ("B", "Table 3", "MedSpectralNet", f"{official}/accuracy")
    found = find(*key)
    return None if found is None else (system, found)


@lru_cache(maxsize=4)
def _index(folder: Path) -> dict[tuple[str, ...], Published]:
    rows = _load(folder).itertuples()
    return {(r.paper, r.table, r.row, r.column): _as_published(r) for r in rows}


def _as_published(row) -> Published:
    value, low, high = (None if pd.isna(x) else float(x) for x in (row.number, row.low, row.high))
    return Published(value, row.value, row.mark, row.source, row.unit, low, high, row.note)


def _no_such(asked: tuple[str, ...], keys: list[tuple[str, ...]]) -> str:
    """Say which part of a key is unknown, and what is known at that place."""
    place = 0
    while fitting := [key for key in keys if key[place] == asked[place]]:
        keys, place = fitting, place + 1
    name, wanted = KEY[place], asked[place]
    known = list(dict.fromkeys(key[place] for key in keys))
    near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.4)
    message = f"No published value {' | '.join(asked)}: unknown {name} {wanted!r}."
    if near:
        message += f" Did you mean {_listing(near)}?"
    return f"{message} Known here: {_listing(known[:20])}{', ...' if len(known) > 20 else '.'}"


def _listing(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)


def comparators(dataset: str, metric: str) -> pd.DataFrame:
    """Return every published result on one dataset, for a comparison table.

    The dataset is "breastmnist" and so on without a size suffix, or "cag": the private angiograms
    of paper A and its sister papers; the metric "accuracy" or "auc", of "cag" also "f1". One row
    per system, highest first: paper, table, row, column, printed, unit, `value` (float, 0 to 1, NaN
    where not given), mark, source, note, `pretrained` ("imagenet", "none" or "not given"). Derived
    values, claims and quotations are left out; where nothing is left, a `PublishedError`.
    """
    published = _load(published_dir())
    tables = pd.Series(list(zip(published["paper"], published["table"], strict=True)))
    # Tables about angiograms alone do not repeat the data set in their columns.
    column = metric if dataset == "cag" else f"{dataset}/{metric}"
    wanted = CAG_RESULTS if dataset == "cag" else MEDMNIST_RESULTS
    found = published[(published["column"] == column) & tables.isin(wanted)]
    if found.empty:
        results = published[tables.isin(MEDMNIST_RESULTS) & published["column"].str.contains("/")]
        known = [c for c in dict.fromkeys(results["column"]) if not c.endswith("_sd")]
        near = difflib.get_close_matches(column, known, n=3, cutoff=0.4) or known
        raise PublishedError(
            f"Nothing is published for {dataset!r} and {metric!r}; known: {_listing(near)}."
        )
    share = found["number"].where(found["unit"] == "fraction", found["number"] / 100)
    table = found[[*KEY, "value", "unit", "mark", "source", "note"]]
    table = table.rename(columns={"value": "printed"}).assign(value=share)
    table["pretrained"] = list(map(start_of, table["paper"], table["row"]))
    return table.sort_values("value", ascending=False, kind="stable").reset_index(drop=True)


def start_of(paper: str, system: str) -> str:
    """Return how a published system was initialised: "imagenet", "none" or "not given".

    A source says it of a system ("MedViT-T"), or of all whose names begin so ("ResNet-18",
    "ResNet"); the longest name wins.
    """
    starts = _starts(published_dir())
    fitting = [name for source, name in starts if source == paper and system.startswith(name)]
    return starts[paper, max(fitting, key=len)] if fitting else NOT_GIVEN


@lru_cache(maxsize=4)
def _starts(folder: Path) -> dict[tuple[str, str], str]:
    found = _index(folder).items()
    return {(key[0], key[2]): value.printed for key, value in found if key[3] == "pretrained"}
