"""The README's block: what became of both papers, in ten lines."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from helpers.runs.groups import Group
from study.claims.judge import CANNOT, CheckedClaim
from study.plans.verdicts import Rules
from study.table import COMMAND, column, interval, joined, span
from study.tables.accuracy import MEDMNIST, AccuracyLine, accuracy_table, build_rows
from study.tables.claims import is_measured, there
from study.tables.scores import FREE, PERCENT
from study.tied import load_tied
from study.verdicts import DECIDED, NOT_RUN, REVIEWERS_QUESTION


def answer_rows(groups: Sequence[Group], rules: Rules) -> list[AccuracyLine]:
    """Return one row for each accuracy that paper B prints of its network: that which is claims."""
    own = {c.published.row for c in rules.comparisons if c.paper == "B"}
    built = build_rows(groups, datasets=list(MEDMNIST), rules=rules)
    return [row for row in built if row.published and row.verdict and row.system in own]


def claim_counts(claims: Sequence[CheckedClaim]) -> str:
    """Say how many claims have which verdict, those that runs decide apart from arithmetic."""
    asked = [one for one in claims if one.state != REVIEWERS_QUESTION]
    checked = [one for one in asked if one.state != NOT_RUN and one.result]
    measured = [one for one in checked if is_measured(one.result)]
    computed = [one for one in checked if not is_measured(one.result)]
    carried = [one for one in measured if one.state in DECIDED]
    others = [one for one in measured if one.state not in DECIDED]
    return (
        f"**{len(asked)} claims** ([what the words mean](docs/methods.md#what-a-verdict-means)). "
        f"Training or timing decides {len(carried)} of them: {_counted(carried)}; of "
        f"{len(others)} more it says something, but no verdict: {_counted(others)}. "
        f"{len(computed)} are computed from printed numbers, formulas and counts: "
        f"{_counted(computed)}. {_count(asked, NOT_RUN)}; {_count(asked, CANNOT)}. "
        f"{len(claims) - len(asked)} questions that a reviewer would ask are counted apart."
    )


def _count(claims: Sequence[CheckedClaim], state: str) -> str:
    return f"{sum(one.state == state for one in claims)} {state}"


def _counted(claims: Sequence[CheckedClaim]) -> str:
    states = [one.state for one in claims]
    return "; ".join(f"{states.count(state)} *{state}*" for state in there(claims))


def _both(mean: float, low: float, high: float, one_low: float, one_high: float) -> str:
    """Write our mean with its interval here, and where one more run falls, if seeds say."""
    written = interval(mean, low, high, **PERCENT)
    return written if pd.isna(one_low) else f"{written}; {span(one_low, one_high, **PERCENT)}"


COLUMNS = (
    column("MedSpectralNet, accuracy, %", "dataset", write=MEDMNIST.get),
    column("printed", "published_printed"),
    column(
        "ours, mean (95 %); one more run (95 %)",
        "accuracy_mean",
        "here_low",
        "here_high",
        "one_more_low",
        "one_more_high",
        write=_both,
        missing=NOT_RUN,
    ),
    replace(FREE, title="not tied to training"),
    column("protocol", "protocol", "n_seeds", write="{}, n = {}".format),
    "verdict",
)


def tied_sentence() -> str:
    """Say how many test images nothing ties to training, of each set that was searched."""
    parts = []
    for dataset, title in MEDMNIST.items():
        if tied := load_tied(dataset):
            why = "no other image of their lesion" if tied.of_groups else "no near copy"
            parts.append(f"{len(tied.free):,} of {tied.n_test:,} {title} images ({why} there)")
    return f"Not tied to training: {'; '.join(parts)}."


def answer_block(claims: Sequence[CheckedClaim], groups: Sequence[Group], rules: Rules) -> str:
    """Return the README's block: paper B's accuracies beside ours, and the claims counted."""
    return joined(
        accuracy_table(answer_rows(groups, rules), COLUMNS),
        "The first interval is that of our mean on these test images; the second, in which one "
        f"more run would fall, judges. {tied_sentence()}",
        f"{claim_counts(claims)} Made by `{COMMAND}`; every table: [results](results/README.md).",
    )
