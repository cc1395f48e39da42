"""Measured speeds: their record in `results/benchmarks`, and tables made from it.

`make bench FLAGS=--save` writes one file a benchmark. Speeds belong to the machine that they
were measured on: every table says which.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from helpers.paths import results_root
from study.measurements import open_record
from study.measurements import save_record as save_json
from study.table import Pages, Table, column, commit_text, folded, joined, measured, page
from study.verdicts import MET, MISSED, NO_VERDICT

SCHEMA = 1
# Every benchmark, in the order in which they run and stand in tables.
BENCHMARKS = (
    "training",
    "scan",
    "augmentation",
    "stages",
    "heads",
    "prediction",
    "metrics",
    "evidence",
)
RATIO = "x"
NOT_MEASURED = "Not measured yet: `make bench FLAGS=--save`."


class SpeedError(ValueError):
    """A measured speed, or its record, is not what it should be."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """One measured figure, with all its rounds."""

    name: str  # what was measured, for tables
    unit: str  # "x" for a ratio, else "images/s", "ms" or "s"
    values: Sequence[float]  # one a round, at least one, positive; kept as a tuple
    target: float | None = None  # the least median that is wanted
    headline: bool = False  # whether the README shows it

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(float(value) for value in self.values))
        if not self.values or not all(0 < value < math.inf for value in self.values):
            raise SpeedError(
                f"{self.name}: values must be one or more positive numbers, got {self.values}; "
                "measure it again."
            )

    @property
    def median(self) -> float:
        """The figure itself."""
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the target; None where there is none."""
        return None if self.target is None else self.median >= self.target


@dataclass(frozen=True, kw_only=True)
class Record:
    """All figures of one benchmark, and where they were measured."""

    benchmark: str  # one of `BENCHMARKS`
    date: str  # ISO 8601
    settings: dict[str, Any]  # the benchmark's options
    env: dict[str, Any]  # of `environment`, and the processors that the process may use
    git: dict[str, Any]  # of `git_state`
    speeds: tuple[Speed, ...]


def record_path(benchmark: str, *, root: Path | None = None) -> Path:
    """Return the file of a benchmark's record; a `SpeedError` for an unknown one."""
    if benchmark not in BENCHMARKS:
        raise SpeedError(f"unknown benchmark {benchmark!r}; known: {', '.join(BENCHMARKS)}.")
    return (root or results_root()) / "benchmarks" / f"{benchmark}.json"


def save_record(record: Record, *, root: Path | None = None) -> Path:
    """Write a record over the one before; return its file."""
    path = record_path(record.benchmark, root=root)
    save_json(path, asdict(record), schema=SCHEMA)
    return path


def load_records(*, root: Path | None = None) -> list[Record]:
    """Read what is stored, in the order of `BENCHMARKS`; a `SpeedError` if out of order."""
    paths = [record_path(name, root=root) for name in BENCHMARKS]
    return [_read(path) for path in paths if path.exists()]


def _read(path: Path) -> Record:
    advice = f"measure again: python -m benchmarks.{path.stem} --save"
    with open_record(path, SpeedError, f"; {advice}", schema=SCHEMA) as values:
        speeds = tuple(Speed(**speed) for speed in values.pop("speeds"))
        record = Record(speeds=speeds, **values)
    if record.benchmark != path.stem:
        raise SpeedError(f"{path.name} holds the record of {record.benchmark!r}; {advice}")
    return record


# --- tables --------------------------------------------------------------------------------------

_SHOWN = (
    "measured",
    column("median", "median", "unit", write=measured),
    column("range", "least", "most", write=lambda *ends: " to ".join(map(measured, ends))),
    column("target", write="at least {:g}".format),
    "verdict",
)


def speed_table(speeds: Iterable[Speed]) -> Table:
    """Return figures with their rounds' range, and what became of their targets."""
    rows = [
        {
            "measured": speed.name,
            "median": speed.median,
            "unit": speed.unit,
            "least": min(speed.values),
            "most": max(speed.values),
            "target": speed.target,
            "verdict": {None: NO_VERDICT, True: MET, False: MISSED}[speed.met],
        }
        for speed in speeds
    ]
    return Table.of(rows, _SHOWN, "Speeds")


def speed_lines(speeds: Iterable[Speed]) -> str:
    """Return figures as aligned lines for a terminal."""
    table = speed_table(speeds)
    return pd.DataFrame(table.cells, columns=table.head).to_string(index=False)


def _machine(records: Sequence[Record]) -> str:
    """Say where, when and with what the figures were measured."""

    def all_of(values: Iterable[Any]) -> str:
        return ", ".join(sorted({str(value) for value in values}))

    # What `make` tells glibc; benchmarks that are run by themselves may do without.
    kept = (
        "kept by glibc" if "MALLOC_TRIM_THRESHOLD_" in r.env.get("malloc", {}) else "not kept"
        for r in records
    )
    env = {
        name: all_of(record.env[name] for record in records)
        for name in ("device", "processors", "python", "torch")
    }
    return (
        f"Measured by `make bench FLAGS=--save` on {env['device']}, {env['processors']} "
        f"processors, Python {env['python']}, torch {env['torch']}, a step's memory "
        f"{all_of(kept)}, on {all_of(r.date for r in records)}; code: "
        f"{all_of(commit_text(r.git) for r in records)}. Medians and ranges over interleaved "
        "rounds."
    )


def speed_pages(*, root: Path | None = None) -> Pages:
    """Return all speeds; the block has the figures that say most, and where they were measured."""
    records = load_records(root=root)
    if not records:
        return Pages({}, NOT_MEASURED)
    sections: list[str | Table] = [_machine(records)]
    for record in records:
        settings = ", ".join(f"{name} {value}" for name, value in record.settings.items())
        sections.append(f"## {record.benchmark}")
        sections.append(f"`python -m benchmarks.{record.benchmark}` ({settings})")
        sections.append(speed_table(record.speeds))
    shown = [speed for record in records for speed in record.speeds if speed.headline]
    missing = [name for name in BENCHMARKS if name not in {r.benchmark for r in records}]
    aimed = [speed.met for speed in shown if speed.target is not None]
    block = joined(
        _machine(records),
        *([f"{sum(aimed)} of {len(aimed)} targets met."] if aimed else []),
        folded("The figures that say most", speed_table(shown).markdown()),
        *([f"Not measured yet: {', '.join(missing)}."] if missing else []),
        "All figures: [speed](results/tables/speed.md).",
    )
    return Pages({"speed.md": page("Speed", *sections)}, block)
