"""Paper B's Table 2 and the ablation of its blocks, as tables; see `study.compare`.

`study.tables` writes them and checks that they are not stale.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd

from helpers.config import RunConfig
from helpers.metrics.seeds import aggregate_seeds
from helpers.runs.groups import Group, find_group
from study.compare import JudgedCell, Results, best_optimizers, compare_all, judge_cells
from study.plans.comparisons import planned_configs
from study.plans.table2 import Table2
from study.plans.verdicts import Rules
from study.table import COMMAND, csv_text, markdown_table, mean_sd, origin, page
from study.tables.accuracy import range_text
from study.tables.comparisons import (
    PAIRED,
    SHORT,
    comparison_frame,
    comparison_table,
    family_sections,
)
from study.verdicts import NOT_RUN
from study.words import protocol_text, sentence

FAMILIES = ("cutmix", "optimizer", "blocks", "plain", "readings")
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


def table2_files(groups: Sequence[Group], table: Table2, rules: Rules) -> dict[str, str]:
    """Return the generated files: name -> content.

    Args:
        groups: real runs (`groups.is_real`), of whatever data set.
        table: see `plans.table2.load_table2`.
        rules: see `plans.verdicts.load_rules`.
    """
    results = compare_all(groups, table.plan, rules)
    cells = judge_cells(groups, table, rules=rules)
    intro = (
        "Does the optimizer, CutMix or a block of the network change anything? Paper B answers in "
        f"part (section 4.5) and without repetitions. {TEXT} {RULE}"
    )
    sections = [
        "## Table 2: optimizer and augmentation",
        cell_table(cells),
        *family_sections(results, "cutmix"),
        *family_sections(results, "optimizer"),
        best_sentence(results),
        *family_sections(results, "blocks"),
        network_table(results),
        *family_sections(results, "plain"),
        *family_sections(results, "readings"),
    ]
    title = "Paper B, Table 2 and the ablation of the blocks"
    return {
        "table2.md": page(title, intro, _used(results, table), sections),
        "table2.csv": csv_text(cell_frame(cells)),
        "table2_comparisons.csv": csv_text(comparison_frame(results, *FAMILIES)),
    }


def readme_table2(groups: Sequence[Group], table: Table2, rules: Rules) -> str:
    """Return the README's block: the cells, and each question with its answer."""
    results = compare_all(groups, table.plan, rules)
    cells = judge_cells(groups, table, rules=rules)
    text = TEXT.replace("(medmnist", "(results/tables/medmnist")
    parts = [
        f"Paper B's ablation (section 4.5) on BreastMNIST. {text}",
        cell_table(cells, columns=SHORT_CELLS),
        *_answers(results),
        "**The network without a block, or with another in its place** (Adam, CutMix)",
        comparison_table([*results.compared["blocks"], *results.compared["plain"]], SHORT),
        "In full: [Table 2 and ablation](results/tables/table2.md). "
        f"Made by `{COMMAND}`; {origin(_used(results, table))}.",
    ]
    return "\n\n".join(parts)


def _used(results: Results, table: Table2) -> list[Group]:
    planned = planned_configs([0], plan=table.plan)
    return results.used({*planned, *(cell.config for cell in table.cells)})


def _answers(results: Results) -> Iterator[str]:
    compared = results.compared["cutmix"]
    yield "**The effect of CutMix.**"
    yield "\n".join(f"- {sentence(c)}" for c in compared)
    yield f"**Which optimizer is best.** {best_sentence(results)}"


def best_sentence(results: Results) -> str:
    """Say which optimizer is best, for each augmentation."""
    best = best_optimizers(results.compared["optimizer"])
    said = "; ".join(f"{augmentation}: {verdict}" for augmentation, verdict in best.items())
    return f"Best of the three optimizers, better than each of the others: {said}."


CellColumn = tuple[str, Callable[[JudgedCell], str]]
SHORT_CELLS: tuple[CellColumn, ...] = (
    ("optimizer, augmentation", lambda c: c.cell.title),
    ("seeds", lambda c: f"n = {len(c.group.seeds)}" if c.group else NOT_RUN),
    ("accuracy, %", lambda c: _mean(c, "accuracy", scale=100, digits=1)),
    ("one more run, 95 %", lambda c: range_text(c.one_more) if c.one_more else ""),
    ("AUC", lambda c: _mean(c, "auc")),
    ("paper: Table 2, %", lambda c: c.cell.published.printed),
    ("verdict", lambda c: c.verdict or NO_NUMBER),
)
CELLS: tuple[CellColumn, ...] = (
    SHORT_CELLS[0],
    ("learning rate", lambda c: f"{c.cell.config.learning_rate:g}"),
    *SHORT_CELLS[1:3],
    ("95 %, other images", lambda c: range_text(c.group.accuracy) if c.group else ""),
    *SHORT_CELLS[3:5],
    ("AUC, 95 %", lambda c: _auc(c.group) if c.group else ""),
    *SHORT_CELLS[5:],
)


def cell_table(cells: Sequence[JudgedCell], *, columns: Sequence[CellColumn] = CELLS) -> str:
    """Write the cells of Table 2 beside ours: all of `CELLS`, or `SHORT_CELLS`."""
    head = [name for name, _ in columns]
    return markdown_table(head, [[cell(c) for _, cell in columns] for c in cells])


def _mean(judged: JudgedCell, metric: str, **options: float) -> str:
    return mean_sd(judged.group.values(metric), **options) if judged.group else ""


def _auc(group: Group) -> str:
    return range_text(group.auc, scale=1, digits=3)


def network_table(results: Results) -> str:
    """Write the size and the scores of each network of the ablation."""
    pairs = [c.pair for name in ("blocks", "plain") for c in results.compared[name]]
    configs = list(dict.fromkeys(side for pair in pairs for side in (pair.a, pair.b)))
    head = ["network", "parameters, M", "GMACs", "seeds", "accuracy, %", "AUC"]
    return markdown_table(head, [_network_cells(results, config) for config in configs])


def _network_cells(results: Results, config: RunConfig) -> list[str]:
    group = find_group(results.groups, config)
    if group is None:
        return [f"`{config.model}`", "", "", NOT_RUN, "", ""]
    model = group.record["model"]
    return [
        f"`{config.model}`",
        f"{model['params'] / 1e6:.2f}",
        f"{model['macs'] / 1e9:.3f}",
        f"n = {len(group.seeds)}",
        mean_sd(group.values("accuracy"), scale=100, digits=1),
        mean_sd(group.values("auc")),
    ]


CELL_COLUMNS = (
    *("cell", "protocol", "optimizer", "learning_rate", "cutmix", "seeds", "n_seeds"),
    *("n_test_images", "accuracy_mean", "accuracy_sd", "accuracy_low", "accuracy_high"),
    *("one_more_low", "one_more_high", "auc_mean", "auc_sd", "auc_low", "auc_high"),
    *("published_accuracy", "verdict"),
)


def cell_frame(cells: Sequence[JudgedCell]) -> pd.DataFrame:
    """Return the cells of Table 2 as a tidy table: shares from 0 to 1, missing where undefined."""
    rows = [_flat(judged) for judged in cells]
    table = pd.DataFrame(rows, columns=CELL_COLUMNS)
    return table.astype({"n_seeds": "Int64", "n_test_images": "Int64", "learning_rate": "str"})


def _flat(judged: JudgedCell) -> dict[str, Any]:
    cell, group = judged.cell, judged.group
    flat: dict[str, Any] = {
        "cell": cell.title,
        "protocol": protocol_text(cell.config).replace("`", ""),
        "optimizer": cell.config.optimizer,
        "learning_rate": f"{cell.config.learning_rate:g}",
        "cutmix": cell.config.cutmix,
        "n_seeds": len(group.seeds) if group else 0,
        "published_accuracy": cell.published.fraction,
        "verdict": judged.verdict,
    }
    if group:
        flat |= {"seeds": " ".join(map(str, group.seeds)), "n_test_images": group.n_test}
        flat |= {"one_more_low": judged.one_more.low, "one_more_high": judged.one_more.high}
        for metric, mean in (("accuracy", group.accuracy), ("auc", group.auc)):
            seeds = aggregate_seeds(group.values(metric))
            flat |= {
                f"{metric}_mean": seeds["mean"],
                f"{metric}_sd": seeds["sd"],
                f"{metric}_low": mean.low,
                f"{metric}_high": mean.high,
            }
    return flat
