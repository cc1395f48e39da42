"""The README's block: what became of both papers, in ten lines."""

from collections.abc import Sequence

from helpers.runs.groups import Group
from study.claims.judge import CANNOT, Judged
from study.claims.outcome import CONTRADICTED, NOT_REPRODUCED, NOT_RUN, REPRODUCED, UNDERSPECIFIED
from study.plans.verdicts import Rules
from study.table import COMMAND, as_percent, markdown_table, percent
from study.tables.accuracy import MEDMNIST, Row, build_rows
from study.tables.claims import is_measured


def answer_rows(groups: Sequence[Group], rules: Rules) -> list[Row]:
    """Return one row for each accuracy that paper B prints of its network: the longest training.

    Where several protocols of ours stand beside one printed number, the one whose epochs come
    nearest to the paper's is taken; of equals the first in the tables.
    """
    own = {comparison.row for comparison in rules.comparisons if comparison.paper == "B"}
    built = build_rows(groups, datasets=list(MEDMNIST), rules=rules)
    rows = [row for row in built if row.published and row.system in own]

    def epochs(row: Row) -> int:
        return row.group.config["epochs"] if row.group else 0

    return [
        max((row for row in rows if row.dataset == dataset), key=epochs)
        for dataset in MEDMNIST
        if any(row.dataset == dataset for row in rows)
    ]


def claim_counts(judged: Sequence[Judged]) -> str:
    """Say how many claims have which verdict, those that runs decide apart from arithmetic."""
    measured = [one for one in judged if one.outcome and is_measured(one.outcome)]
    computed = [one for one in judged if one.outcome and not is_measured(one.outcome)]

    def count(some: Sequence[Judged], state: str) -> int:
        return sum(one.state == state for one in some)

    return (
        f"**{len(judged)} claims.** Measured by training or timing: "
        f"{count(measured, REPRODUCED)} {REPRODUCED}, {count(measured, NOT_REPRODUCED)} "
        f"{NOT_REPRODUCED}. Computed from printed numbers, formulas and counts: "
        f"{count(computed, REPRODUCED)} {REPRODUCED}, {count(computed, NOT_REPRODUCED)} "
        f"{NOT_REPRODUCED}, {count(computed, CONTRADICTED)} {CONTRADICTED}. The rest: "
        f"{count(judged, UNDERSPECIFIED)} {UNDERSPECIFIED}, {count(judged, NOT_RUN)} {NOT_RUN}, "
        f"{count(judged, CANNOT)} {CANNOT}."
    )


def answer_block(judged: Sequence[Judged], groups: Sequence[Group], rules: Rules) -> str:
    """Return the README's block: paper B's accuracies beside ours, and the claims counted."""
    cells = []
    for row in answer_rows(groups, rules):
        ours, protocol = NOT_RUN, ""
        if row.group:
            mean = row.group.accuracy
            ours = f"{percent(mean.mean)} ({percent(mean.low)} to {percent(mean.high)})"
            protocol = f"{row.protocol}, n = {len(row.group.seeds)}"
        name = MEDMNIST[row.dataset]
        cells.append([name, as_percent(row.published), ours, protocol, row.verdict])
    head = ["MedSpectralNet, accuracy, %", "printed", "ours (95 %)", "protocol", "verdict"]
    made = f"Made by `{COMMAND}`; every table: [results](results/README.md)."
    return "\n\n".join([markdown_table(head, cells), f"{claim_counts(judged)} {made}"])
