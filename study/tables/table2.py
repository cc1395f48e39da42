"""Paper B's Table 2 and the ablation of its blocks, as tables; see `study.compare`."""

from collections.abc import Sequence
from dataclasses import replace

from helpers.runs.groups import Group, find_group
from study.compare import CellResult, Results, best_optimizers, compare_all, judge_cells
from study.plans.comparisons import planned_configs
from study.plans.table2 import Table2
from study.plans.verdicts import Rules
from study.table import COMMAND, Pages, Table, code, column, joined, origin, page
from study.tables.accuracy import LEVEL
from study.tables.comparisons import BRIEF, PAIRED, comparison_table, family_sections
from study.tables.scores import (
    AUC,
    SEEDS_OR_NOT_RUN,
    accuracy_column,
    count_column,
    free_cells,
    range_column,
    score_cells,
)
from study.words import protocol_text

AT_LENGTH = ("readings", "tenth", "augmentation", "at_length")  # by the paper's own recipe
FAMILIES = ("cutmix", "optimizer", "blocks", "plain", "read_otherwise", *AT_LENGTH)
NO_NUMBER = "no number printed"
TEXT = (
    "The numbers of Table 2 stand in its picture alone, not in the text of the paper, so no cell "
    "is judged; the accuracy that section 4.6 prints for the network on this set is judged in "
    "[the table of accuracies](medmnist_accuracy.md), by the runs that are nearest to the paper's."
)
RULE = (
    f"{PAIRED} The comparisons (`params/table2.yaml`) were each written down before any of its "
    "runs was stored; the rule of the verdicts is a later one (docs/methods.md)."
)


def table2_pages(groups: Sequence[Group], table: Table2, rules: Rules) -> Pages:
    """Return the cells, and each question with its answer; `groups` are real runs of any set."""
    results = compare_all(groups, table.plan, rules)
    planned = planned_configs([0], plan=table.plan)
    used = results.used({*planned, *(cell.config for cell in table.cells)})
    cells = cell_table(judge_cells(groups, table, rules=rules))
    intro = (
        "Does the optimizer, CutMix or a block of the network change anything? Paper B answers in "
        f"part (section 4.5) and without repetitions. {TEXT} {RULE}"
    )
    sections = [
        *(intro, "## Table 2: optimizer and augmentation", cells),
        *family_sections(results, "cutmix", "optimizer"),
        best_table(results),
        *family_sections(results, "blocks"),
        network_table(results),
        *family_sections(results, "plain", "read_otherwise", *AT_LENGTH),
    ]
    files = {
        "table2.md": page("Paper B, Table 2 and the ablation of the blocks", *sections, of=used),
        "table2.csv": cells.csv(),
        "table2_comparisons.csv": comparison_table(results, *FAMILIES).csv(),
    }
    text = TEXT.replace("(medmnist", "(results/tables/medmnist")
    block = joined(
        f"Paper B's ablation (section 4.5) on BreastMNIST. {text}",
        replace(cells, columns=SHORT_CELLS),
        "**The effect of CutMix, and one optimizer instead of another**",
        comparison_table(results, "cutmix", "optimizer", columns=BRIEF),
        best_table(results),
        "**The network without a block, or with another in its place** (Adam, CutMix)",
        comparison_table(results, "blocks", "plain", columns=BRIEF),
        "**The network against its plain backbone, at the paper's own length**",
        comparison_table(results, "at_length", columns=BRIEF),
        "In full: [Table 2 and ablation](results/tables/table2.md). "
        f"Made by `{COMMAND}`; {origin(used)}.",
    )
    return Pages(files, block)


def best_table(results: Results) -> Table:
    """Return which optimizer is shown better than each of the others, for each augmentation."""
    best = best_optimizers(results.compared["optimizer"])
    rows = [{"augmentation": name, "best": verdict} for name, verdict in best.items()]
    columns = ["augmentation", column("best of the three optimizers", "best")]
    return Table.of(rows, columns, "The best optimizer")


_CELL = column("optimizer, augmentation", "cell")
_ACCURACY = (SEEDS_OR_NOT_RUN, accuracy_column(missing=""))
_RESULT = (column("paper: Table 2, %", "printed"), column("verdict", missing=NO_NUMBER))
SHORT_CELLS = (_CELL, *_ACCURACY, *LEVEL, AUC, *_RESULT)
CELLS = (
    _CELL,
    column("learning rate", "learning_rate"),
    *_ACCURACY,
    range_column("95 %, other images"),
    *LEVEL,
    AUC,
    range_column("AUC, 95 %", "auc", spec=".3f"),
    *_RESULT,
)


def cell_table(cells: Sequence[CellResult]) -> Table:
    """Return the cells of Table 2 beside ours, shares from 0 to 1."""
    rows = [
        {
            "cell": result.cell.title,
            "protocol": protocol_text(result.cell.config),
            "optimizer": result.cell.config.optimizer,
            "learning_rate": f"{result.cell.config.learning_rate:g}",
            "cutmix": result.cell.config.cutmix,
            **score_cells(result.group),
            **free_cells(result.group),
            "published_accuracy": result.cell.published.fraction,
            "printed": result.cell.published.printed,
            "verdict": result.verdict,
        }
        for result in cells
    ]
    return Table.of(rows, CELLS, "Table 2")


def network_table(results: Results) -> Table:
    """Return the size and the scores of each network of the ablation."""
    pairs = [c.pair for name in ("blocks", "plain") for c in results.compared[name]]
    configs = dict.fromkeys(side for pair in pairs for side in (pair.a, pair.b))
    columns = [
        column("network", write=code),
        count_column("parameters, M", "params", spec=".2f"),
        count_column("GMACs", "macs", scale=1e-9, spec=".3f"),
        *_ACCURACY,
        AUC,
    ]
    rows = [
        {"network": config.model} | score_cells(find_group(results.groups, config))
        for config in configs
    ]
    return Table.of(rows, columns, "The networks of the ablation")
