"""Measure how often the 95 % intervals of `helpers.metrics.intervals` hold the true value.

Usage: python -m benchmarks.coverage [--replicates 1000] [--quick] [--save]

Test sets and seeds are simulated (`benchmarks.simulation`), and the true value is known exactly.

With --save the figures go to `results/benchmarks/coverage.json` and into `docs/methods.md`. One
process; cells come in order of their cost, and with --save a run that was stopped goes on where it
was (raise `VERSION` where what is measured changes).
--quick takes few cells.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.simulation import (
    N_IMAGES,
    N_SEEDS,
    RUNS,
    SHARES,
    Cell,
    cells,
    image_sets,
    simulate_cell,
)
from helpers.metrics.variance import critical_t, welch_critical
from helpers.paths import repo_root, results_root, write_text
from helpers.terminal import command, count_argument
from helpers.training.seeds import git_state
from study.table import markdown_table

# What is measured, and between what it should be.
FIGURES = {
    "coverage": (0.935, 0.965),
    "same_images": (0.935, 0.965),
    "one_more_run": (0.935, 0.965),
    "type_1": (0.04, 0.06),
}
MARKERS = ("<!-- coverage: begin -->", "<!-- coverage: end -->")
# Raised when the simulation or the intervals change, so that figures of both never mix.
VERSION = 4


def record_path() -> Path:
    """Return the file of the figures."""
    return results_root() / "benchmarks" / "coverage.json"


def load_rows(*, replicates: int | None = None) -> list[dict]:
    """Return the stored figures of this version; none where nothing is stored.

    If a number of replicates is given, figures of another number count as none.
    """
    if not record_path().exists():
        return []
    record = json.loads(record_path().read_text())
    if replicates not in (None, record["replicates"]) or record["version"] != VERSION:
        return []
    return record["cells"]


def save_rows(rows: Sequence[dict], replicates: int) -> None:
    """Write the figures over those before."""
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "version": VERSION,
        "replicates": replicates,
        "numpy": np.__version__,
        "git": git_state(),
        "cells": [
            {k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()} for row in rows
        ],
    }
    write_text(record_path(), json.dumps(record, indent=1) + "\n")


# --- the tables ----------------------------------------------------------------------------------


def figures_of(rows: Sequence[dict]) -> pd.DataFrame:
    """Return a line for each of `FIGURES` in each row, with the row's own columns.

    Columns figure, value, low and high (its goal), miss (by how much it lies outside, negative
    inside) and error (its standard error at the goal's middle).
    """
    lines = []
    for row in rows:
        for figure, (low, high) in FIGURES.items():
            if figure in row:
                value, error = row[figure], _error(figure, row)
                miss = max(low - value, value - high)
                found = {"value": value, "low": low, "high": high, "miss": miss, "error": error}
                lines.append(row | {"figure": figure} | found)
    return pd.DataFrame(lines)


def _error(figure: str, row: dict) -> float:
    middle, trials = sum(FIGURES[figure]) / 2, row["replicates"]
    if figure in ("same_images", "one_more_run"):
        trials = image_sets(trials) * (RUNS // (row["seeds"] + 1))
    return math.sqrt(middle * (1 - middle) / trials)


def outside(figures: pd.DataFrame, *, errors: float = 2) -> pd.DataFrame:
    """Return the figures that miss their goal by more than some errors, the furthest first."""
    missing = figures[figures["miss"] > errors * figures["error"]]
    return missing.sort_values("miss", ascending=False, kind="stable")


def by_chance(figures: pd.DataFrame) -> float:
    """Return how many figures would lie outside, were each true one in the middle of its goal."""
    half = (figures["high"] - figures["low"]) / 2
    return float((2 * stats.norm.sf(half / figures["error"])).sum())


def range_table(rows: Sequence[dict]) -> str:
    """Return the ranges over seeds, their relations and classes, as a markdown table.

    Beside a range stands how many of its figures miss their goal by more than two standard errors.
    """
    columns = {
        "coverage": "mean: coverage",
        "width": "width",
        "same_images": "same images: mean",
        "one_more_run": "one more run",
        "type_1": "difference: type I error",
    }
    setting = ["measure", "level", "images"]
    out = outside(figures_of(rows)).groupby([*setting, "figure"]).size()
    lines = []
    for key, members in pd.DataFrame(rows).groupby(setting):
        ranges = [_range(members.get(name), out.get((*key, name), 0)) for name in columns]
        lines.append([*_setting(*key), *ranges])
    return markdown_table(("measure", "true value", "images", *columns.values()), lines)


def _setting(measure: str, level: float, images: int) -> tuple[str, str, str]:
    return "AUC" if measure == "auc" else measure, f"{level:g}", f"{images:,}"


def _range(values: pd.Series | None, out: int) -> str:
    if values is None or values.isna().all():
        return ""
    text = f"{100 * values.min():.1f} to {100 * values.max():.1f}"
    return text + (f"; {out} of {values.count()} out" if out else "")


def verdict_table(figures: pd.DataFrame) -> str:
    """Return how many of each figure lie in their goal, and how clearly the others miss it."""
    lines = []
    for name, (low, high) in FIGURES.items():
        own = figures[figures["figure"] == name]
        every, clear = outside(own, errors=0), outside(own)
        too_low = (clear["value"] < low).sum()
        counts = (len(own) - len(every), len(every) - len(clear), too_low, len(clear) - too_low)
        goal = f"{100 * low:g} to {100 * high:g}"
        lines.append([name.replace("_", " "), goal, *map(str, (len(own), *counts))])
    head = ("figure", "goal", "measured", "in", "outside, within two errors", "too low", "too high")
    return markdown_table(head, lines)


def misses(figures: pd.DataFrame) -> str:
    """Return the dozen that miss their goal furthest as a markdown table."""
    lines = [
        [
            line.figure.replace("_", " "),
            f"{100 * line.value:.1f}",
            f"{100 * line.error:.1f}",
            *_setting(line.measure, line.level, line.images),
            str(line.classes),
            str(line.seeds),
            line.relation,
        ]
        for line in outside(figures).head(12).itertuples()
    ]
    setting = ("measure", "true value", "images", "classes", "seeds", "relation")
    return markdown_table(("figure", "%", "error", *setting), lines)


def normal_coverage(
    rule: Callable[[np.ndarray, float], np.ndarray], seeds: int, share: float
) -> float:
    """Return the coverage of value +- rule(share, df) sqrt(variance), under normal theory.

    By quadrature: the images' part of the variance is known; that of the seeds, `share` of the
    whole, is estimated with seeds - 1 degrees of freedom, and with it the share that the rule sees.
    """
    df, points = seeds - 1, 20_000
    estimated = stats.chi2.ppf((np.arange(points) + 0.5) / points, df) / df * share
    variance = 1 - share + estimated
    critical = rule(estimated / variance, df)
    return float(np.mean(2 * stats.norm.cdf(critical * np.sqrt(variance)) - 1))


def satterthwaite_critical(share: np.ndarray, df: float) -> np.ndarray:
    """Return Student's critical value with Hillis's (2007) degrees of freedom."""
    return critical_t(df / share**2)


def df_table() -> str:
    """Return the coverage of two rules for the critical value, as a markdown table."""
    shares = (0.1, 0.3, 0.5, 0.7, 0.85, 0.95, 1)
    rules = {"Hillis": satterthwaite_critical, "Welch and Aspin": welch_critical}
    lines = [
        [
            str(seeds),
            name,
            *(f"{100 * normal_coverage(rule, seeds, share):.1f}" for share in shares),
        ]
        for seeds in N_SEEDS
        for name, rule in rules.items()
    ]
    return markdown_table(("seeds", "rule", *(f"share {s:g}" for s in shares)), lines)


def methods_block(rows: Sequence[dict], replicates: int) -> str:
    """Return what stands between the markers in `docs/methods.md`."""
    rows = [{"replicates": replicates} | row for row in rows]
    settings = {tuple(row[field.name] for field in fields(Cell)) for row in rows}
    planned = len(list(cells()))
    figures = figures_of(rows)
    return "\n\n".join(
        [
            MARKERS[0],
            f"{len(settings)} of {planned} settings measured, {replicates:,} replicates or more of "
            f"each; a cell holds the lowest and highest of its settings, in percent, and how many "
            'miss their goal by more than two standard errors ("out"). With '
            f"{max(N_IMAGES):,} images and {max(SHARES)} classes, the dearest, only the lowest and "
            "highest true values were measured, and of them the interval of the mean alone.",
            range_table(rows),
            verdict_table(figures),
            f"Chance alone would put {by_chance(figures):.0f} of {len(figures):,} figures outside, "
            "were each true figure in the middle of its goal. The furthest of those that lie more "
            "than two standard errors outside:",
            misses(figures),
            "Coverage by rule for the critical value, under normal theory, by the true share that "
            "seeds have in the variance:",
            df_table(),
            MARKERS[1],
        ]
    )


def write_methods(rows: Sequence[dict], replicates: int) -> None:
    """Put the figures into `docs/methods.md`."""
    path = repo_root() / "docs" / "methods.md"
    before, rest = path.read_text().split(MARKERS[0])
    after = rest.split(MARKERS[1])[1]
    write_text(path, before + methods_block(rows, replicates) + after)


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, print the table; store it where asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=count_argument, default=1000)
    parser.add_argument("--quick", action="store_true", help="few cells")
    parser.add_argument("--save", action="store_true", help="write results/benchmarks; go on there")
    options = parser.parse_args(arguments)
    rows = load_rows(replicates=options.replicates) if options.save else []
    for cell in sorted(cells(quick=options.quick), key=lambda c: c.images * c.columns):
        wanted = options.replicates * cell.repeats
        stored = [row for row in rows if asdict(cell).items() <= row.items()]
        if any(row.get("replicates", options.replicates) >= wanted for row in stored):
            continue
        start = time.process_time()
        rows = [row for row in rows if row not in stored] + simulate_cell(cell, wanted)
        print(f"{cell}: {time.process_time() - start:.1f} s", flush=True)
        if options.save:
            save_rows(rows, options.replicates)
            write_methods(load_rows(), options.replicates)  # rounded, as they are stored
    print(methods_block(rows, options.replicates))


if __name__ == "__main__":
    sys.exit(main())
