"""The matrix of `params/evidence.yaml`: what is stored and missing of it, what test curves say."""

from collections.abc import Iterable, Sequence
from typing import Any

from helpers.config import RunConfig
from helpers.runs.groups import Group
from helpers.runs.matrix import load_matrix
from helpers.runs.store import is_stored
from study.epoch_choice import curve_rows, longest
from study.table import Table, column, estimate, number, page
from study.tables.comparisons import POINTS
from study.tables.speed import load_records

INTRO = (
    "The matrix of `params/evidence.yaml`: both papers at their own length, or a tenth of it on "
    "the larger sets. What is not stored is not run, and nothing here speaks for it; nothing but "
    "the hours of its row stands in its way. A run resumes where it stopped: `make sweep "
    "PROFILE=evidence` trains what is missing."
)
HOURS = (
    "Hours are those of one processor core, for the runs that are missing, from the time of a few "
    "steps (`python -m benchmarks.evidence`)."
)
CURVES = (
    "The papers draw test curves and name no validation split. Here the epoch is chosen on "
    "validation data; each run of paper B's own recipe also keeps its test accuracy after every "
    "epoch, which nothing selects by. The difference is what choosing the best test epoch would "
    "have added to the same run: a number that no other image will show. Mean over seeds, with "
    "Student's interval, which seeds that all agree do not have; of several protocols of a network "
    "the one that is nearest to the paper's."
)


def protocols(matrix: Iterable[RunConfig]) -> dict[str, list[RunConfig]]:
    """Return the runs of each protocol of a matrix, by what tells it from the others, in words."""
    found: dict[str, list[RunConfig]] = {}
    for config in matrix:
        name = f"{config.recipe}, {config.dataset}, {network_name(config)} from {config.pretrained}"
        found.setdefault(name, []).append(config)
    return found


def network_name(config: RunConfig) -> str:
    """Return the network, and where the matrix has it twice how it is trained."""
    how = {"staged": " in stages", "all": ", all layers trained"}[config.plasticity]
    return config.model + (how if config.recipe == "brain_inspired" else "")


def matrix_rows(matrix: Sequence[RunConfig]) -> list[dict[str, Any]]:
    """Return a row for each protocol: how many of its seeds are stored, hours of the others."""
    hours = {
        s.name: s.median for r in load_records() for s in r.speeds if r.benchmark == "evidence"
    }
    rows = []
    for name, runs in protocols(matrix).items():
        stored = sum(map(is_stored, runs))
        missing = len(runs) - stored
        rows.append(
            {key: getattr(runs[0], key) for key in ("recipe", "dataset", "pretrained", "epochs")}
            | {"model": network_name(runs[0]), "stored": stored, "planned": len(runs)}
            | {"hours": missing * hours[name] if name in hours else None}
        )
    return rows


_NETWORK = (column("data", "dataset"), column("network", "model"), column("start", "pretrained"))


def curve_table(groups: Iterable[Group]) -> Table:
    """Return what choosing the epoch on the test split is worth, see `longest`, `curve_rows`."""
    gain = estimate("best test epoch less selected one, points", "gain", **POINTS)
    columns = [*_NETWORK, "epochs", "seeds", gain]
    recorded = (g for g in groups if any(run.test_curve() is not None for run in g.runs))
    rows = curve_rows(longest(recorded))
    return Table.of(rows, columns, empty="No run with a test curve is stored yet.")


def evidence_files(groups: Sequence[Group]) -> dict[str, str]:
    """Return the generated page and its tables: name -> content."""
    rows = matrix_rows(load_matrix("evidence"))
    stored, planned = (sum(row[key] for row in rows) for key in ("stored", "planned"))
    left = [row["hours"] for row in rows]
    total = f"{stored} of {planned} runs are stored."
    if None not in left:
        total += f" The others would take {sum(left):.0f} hours of one core."
    columns = [
        "recipe",
        *_NETWORK,
        "epochs",
        column("seeds stored", "stored", "planned", write="{} of {}".format),
        column("hours missing", "hours", write=number, spec=".1f", missing="not measured"),
    ]
    matrix = Table.of(rows, columns)
    curves = curve_table(groups)
    heading = "## What choosing the epoch on the test split is worth"
    sections = (INTRO, f"{total} {HOURS}", matrix, heading, CURVES, curves)
    return {
        "evidence.md": page("Runs at the papers' own scale", *sections),
        "evidence.csv": matrix.csv(),
        "test_curves.csv": curves.csv(),
    }
