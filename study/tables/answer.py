"""The README's block: what became of both papers, in ten lines."""

from collections.abc import Sequence

from helpers.metrics.intervals import one_more_run
from helpers.runs.groups import Group
from study.claims.judge import CANNOT, Judged
from study.plans.verdicts import Rules
from study.table import COMMAND, Table, as_percent, column, ends, estimate, joined
from study.tables.accuracy import MEDMNIST, AccuracyLine, build_rows
from study.tables.claims import is_measured, there
from study.tables.scores import PERCENT, SEEDS
from study.verdicts import DECIDED, NOT_RUN, REVIEWERS_QUESTION


def answer_rows(groups: Sequence[Group], rules: Rules) -> list[AccuracyLine]:
    """Return one row for each accuracy that paper B prints of its network: that which is judged."""
    own = {c.published.row for c in rules.comparisons if c.paper == "B"}
    built = build_rows(groups, datasets=list(MEDMNIST), rules=rules)
    return [row for row in built if row.published and row.verdict and row.system in own]


def claim_counts(judged: Sequence[Judged]) -> str:
    """Say how many claims have which verdict, those that runs decide apart from arithmetic."""
    asked = [one for one in judged if one.state != REVIEWERS_QUESTION]
    checked = [one for one in asked if one.state != NOT_RUN and one.outcome]
    measured = [one for one in checked if is_measured(one.outcome)]
    computed = [one for one in checked if not is_measured(one.outcome)]
    carried = [one for one in measured if one.state in DECIDED]
    others = [one for one in measured if one.state not in DECIDED]
    return (
        f"**{len(asked)} claims** ([what the words mean](docs/methods.md#what-a-verdict-means)). "
        f"Training or timing decides {len(carried)} of them: {_counted(carried)}; of "
        f"{len(others)} more it says something, but no verdict: {_counted(others)}. "
        f"{len(computed)} are computed from printed numbers, formulas and counts: "
        f"{_counted(computed)}. {_count(asked, NOT_RUN)}; {_count(asked, CANNOT)}. "
        f"{len(judged) - len(asked)} questions that a reviewer would ask are counted apart."
    )


def _count(judged: Sequence[Judged], state: str) -> str:
    return f"{sum(one.state == state for one in judged)} {state}"


def _counted(judged: Sequence[Judged]) -> str:
    states = [one.state for one in judged]
    return "; ".join(f"{states.count(state)} *{state}*" for state in there(judged))


def answer_block(judged: Sequence[Judged], groups: Sequence[Group], rules: Rules) -> str:
    """Return the README's block: paper B's accuracies beside ours, and the claims counted."""
    columns = [
        column("MedSpectralNet, accuracy, %", "dataset", write=MEDMNIST.get),
        column("printed", "published_printed"),
        estimate("ours (one more run, 95 %)", "one_more", missing=NOT_RUN, **PERCENT),
        *(column("protocol"), SEEDS, column("verdict")),
    ]
    rows = []
    for row in answer_rows(groups, rules):
        found = row.group and row.group.estimate("accuracy", one_more_run)
        rows.append(
            {"dataset": row.dataset, "published_printed": as_percent(row.published)}
            | {"protocol": row.protocol, "n_seeds": len(row.group.seeds) if row.group else 0}
            | {"verdict": row.verdict}
            | ends("one_more", found)
        )
    made = f"Made by `{COMMAND}`; every table: [results](results/README.md)."
    return joined(Table.of(rows, columns), f"{claim_counts(judged)} {made}")
