"""Paper A's claims on the ARCADE patches, as tables: `params/comparisons.yaml` and the runs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from helpers.metrics.variance import aggregate_seeds
from helpers.runs.groups import Group, find_group
from study.compare import Compared, Results, compare_all, measure
from study.plans.comparisons import PaperA, Table4Row
from study.published import PRINTED_EPOCHS, Published, lookup
from study.table import (
    COMMAND,
    Column,
    Pages,
    Table,
    column,
    csv_text,
    deviation,
    ends,
    estimate,
    folded,
    joined,
    origin,
    page,
    percent,
)
from study.tables.accuracy import STARTS
from study.tables.comparisons import (
    BRIEF,
    OTHER_IMAGES,
    RULE,
    SIGNED,
    comparison_table,
    family_files,
    family_sections,
    gain_table,
)
from study.tables.scores import (
    AUC,
    PERCENT,
    SEEDS,
    SEEDS_OR_NOT_RUN,
    accuracy_column,
    constant_text,
    metric_column,
    range_column,
    score_cells,
)
from study.verdicts import NOT_RUN
from study.words import protocol_text

TABLE4_FAMILIES = {"imagenet": "table4", "none": "table4_scratch"}


def angiogram_pages(groups: Sequence[Group], plan: PaperA) -> Pages:
    """Return all comparisons of paper A; the block has its systems, and each comparison in brief.

    Of `groups`, real runs of any set, those on the plan's are taken.
    """
    results = compare_all(groups, plan)
    systems = system_table(results)
    question = (
        "Is each part of paper A's framework needed, and does it matter how its loss is read? The "
        f"paper has no ablation. {RULE}"
    )
    title, families = "Paper A: each part taken away", ("ablation", "full_set", "readings")
    files = family_files(results, "cag_ablation", title, question, *families)
    files |= table4_files(results, systems) | table1_files(results) | robustness_files(results)
    return Pages(files, _block(results, replace(systems, columns=_SYSTEM_BRIEF)))


# --- Table 1 -------------------------------------------------------------------------------------

COURSE = {
    "train_accuracy": "training accuracy, %",
    "val_accuracy": "validation accuracy, %",
    "val_auc": "validation AUC",
    "learning_rate": "learning rate",
}
FAMILIES = {
    "stopping": "without the momentum cycle",
    "stopping_momentum": "with the momentum cycle",
}


def table1_files(results: Results) -> dict[str, str]:
    """Return the course of training beside Table 1, and what the stop at 90 % does."""
    target = results.compared["stopping"][0].pair.a.stop_at_accuracy
    intro = (
        f"{OTHER_IMAGES} Means ± sd over seeds. The learning rate is that at the end of an epoch. "
        f"The course is that of the runs that go on; the target is {100 * target:g} % validation "
        "accuracy. The paper names OneCycleLR and no departure from it, which implies torch's "
        f"default, the momentum cycle; the first runs had none, so both are shown. {RULE}"
    )
    frames = {family: table1_frame(results.compared[family]) for family in FAMILIES}
    sections: list[str | Table] = []
    for family, frame in frames.items():
        sections += [f"## The first epochs, paper and ours, {FAMILIES[family]}"]
        sections += [course_table(frame), time_table(frame)]
        sections += [f"## The targets, by seed, {FAMILIES[family]}", stop_table(frame)]
        sections += family_sections(results, family)
    sections += family_sections(results, "momentum")
    used = results.of_families(*FAMILIES, "momentum")
    return {
        "cag_table1.md": page("Paper A, Table 1", intro, *sections, of=used),
        "cag_table1.csv": csv_text(pd.concat(frames.values()), float_format="%.6g"),
    }


def _epoch_values(group: Group | None, epoch: int, name: str) -> list[float]:
    """Return a quantity of an epoch (from 1) of each seed that got that far."""
    # The paper's rates are those at the end of an epoch.
    key = "learning_rate_end" if name == "learning_rate" else name
    histories = [run.record["history"] for run in group.runs] if group else []
    return [history[epoch - 1][key] for history in histories if len(history) >= epoch]


def reached(
    history: Sequence[dict[str, Any]], target: float
) -> tuple[int, float] | tuple[None, None]:
    """Return the first epoch (from 1) that reached an accuracy (0 to 1), and seconds to its end."""
    for i, entry in enumerate(history, start=1):
        if entry["val_accuracy"] >= target:
            return i, sum(e["seconds"] for e in history[:i])
    return None, None


def _training(column: str) -> float:
    return lookup(paper="A", table="section 3.5", row="training", column=column).value


def table1_frame(stoppings: Sequence[Compared]) -> pd.DataFrame:
    """Return Table 1 as a tidy table: one quantity a line, published beside ours.

    `cycle_momentum` says whether the runs had torch's momentum cycle. Rows "epoch 1" .. "epoch 4"
    are means over the seeds, rows "seed s" single runs; of a target other than the first, its size
    is named.
    """
    stopping, rows = stoppings[0], []

    def add(row: str, quantity: str, values: Sequence[float | None], published=None) -> None:
        there = [value for value in values if value is not None]
        seeds = aggregate_seeds(there) if there else {}
        cells = (row, quantity, published, seeds.get("mean"), seeds.get("sd"), len(there))
        rows.append((stopping.pair.b.cycle_momentum, *cells))

    for epoch in range(1, PRINTED_EPOCHS + 1):
        row = f"epoch {epoch}"
        for name in COURSE:
            printed = lookup(paper="A", table="Table 1", row=row, column=name)
            value = printed.value if name == "learning_rate" else printed.fraction
            add(row, name, _epoch_values(stopping.b, epoch, name), value)
    histories = [run.record["history"] for run in stopping.a.runs] if stopping.a else []
    seconds = [sum(e["seconds"] for e in history) / len(history) for history in histories]
    add("training", "seconds_per_epoch", seconds, _training("seconds_per_epoch"))
    for compared in stoppings:
        target = compared.pair.a.stop_at_accuracy
        suffix = "" if compared is stopping else f", target {target:g}"
        a, b = compared.a, compared.b
        without = dict(zip(b.seeds, b.values("accuracy"), strict=True)) if b else {}
        for run in a.runs if a else ():
            epochs, seconds = reached(run.record["history"], target)
            seed = run.config["seed"]
            row = f"seed {seed}{suffix}"
            add(row, "epochs_to_target", [epochs])
            add(row, "seconds_to_target", [seconds])
            add(row, "test_accuracy", [run.record["metrics"]["test"]["accuracy"]["value"]])
            add(row, "test_accuracy_without_stop", [without.get(seed)])
    columns = ["cycle_momentum", "row", "quantity", "published", "mean", "sd", "n_seeds"]
    return pd.DataFrame(rows, columns=columns).astype(
        {"published": float, "mean": float, "sd": float}
    )


def _wide(frame: pd.DataFrame, start: str) -> list[dict[str, Any]]:
    """Return the rows of `table1_frame` whose name begins so, each with all its quantities."""
    rows = []
    for name, part in frame[frame["row"].str.startswith(start)].groupby("row", sort=False):
        row = {"row": name, "n_seeds": int(part["n_seeds"].max())}
        for line in part.itertuples():
            row[f"{line.quantity}_mean"], row[f"{line.quantity}_sd"] = line.mean, line.sd
        rows.append(row)
    return rows


def _rate(value: float) -> str:
    """Write a rate as the paper prints it: 5.25e-4."""
    return f"{value:.2e}".replace("e-0", "e-")


def course_table(frame: pd.DataFrame) -> Table:
    """Return the first epochs, the paper's beside ours."""
    columns = [column("epoch", "row", write=lambda row: row.removeprefix("epoch ")), SEEDS]
    for name, title in COURSE.items():
        if name == "learning_rate":
            ours = column(title, f"{name}_mean", write=_rate, missing=NOT_RUN)
        else:
            form = PERCENT if title.endswith("%") else {}
            ours = metric_column(title, name, missing=NOT_RUN, **form)
        columns += [column(f"{title}, paper", f"{name}_printed"), ours]
    rows = _wide(frame, "epoch")
    for row in rows:  # with the paper's digits
        for name in COURSE:
            printed = lookup(paper="A", table="Table 1", row=row["row"], column=name)
            row[f"{name}_printed"] = printed.printed
    return Table.of(rows, columns, "The first epochs")


def time_table(frame: pd.DataFrame) -> Table:
    """Return the seconds of an epoch, the paper's beside ours."""
    (row,) = frame[frame["row"] == "training"].to_dict("records")
    columns = [
        column("seconds an epoch, paper (Intel CPU)", "published", write="{:g}".format),
        column("ours", "mean", "sd", write=deviation, spec=".1f", missing=NOT_RUN),
        SEEDS,
    ]
    return Table.of([row], columns, "Seconds an epoch")


def stop_table(frame: pd.DataFrame) -> Table:
    """Return when each seed reached its target, after the paper's one run."""
    printed = lookup(paper="A", table="Table 2", row="test", column="accuracy")
    paper = {
        "row": "paper",
        "epochs_to_target_mean": _training("epochs"),
        "seconds_to_target_mean": 60 * _training("total_time"),
        "test_accuracy_mean": printed.fraction,
    }
    columns = [
        column("seed", "row", write=lambda row: row.removeprefix("seed ")),
        column("epochs", "epochs_to_target_mean", write="{:.0f}".format, missing="not reached"),
        column("seconds", "seconds_to_target_mean", write="{:.0f}".format),
        column("test accuracy, %", "test_accuracy_mean", write=percent),
        column("the same without the stop", "test_accuracy_without_stop_mean", write=percent),
    ]
    return Table.of([paper, *_wide(frame, "seed")], columns, "The stop at the target")


# --- Table 4 -------------------------------------------------------------------------------------

METRICS = ("accuracy", "auc", "f1", "sensitivity", "specificity")


def table4_files(results: Results, table: Table) -> dict[str, str]:
    """Return Table 4 beside ours, and the printed gains beside the measured differences."""
    sections: list[str | Table] = []
    for start, heading in STARTS.items():
        family = TABLE4_FAMILIES[start]
        sections += [f"## {heading}", table.where(pretrained=start)]
        sections += [comparison_table(results, family)]
        sections += ["Printed gains beside ours:", gain_table(results, family)]
    intro = (
        f"{OTHER_IMAGES} Values are means ± sd over seeds, with 95 % intervals for other images "
        f"and other seeds; in brackets what the paper prints. {RULE} Of a printed gain the sign is "
        "judged, with the power for its size, and never the size itself."
    )
    systems = [system for rows in results.plan.systems.values() for system in rows]
    used = results.used([system.config for system in systems])
    used += [g for g in results.of_families(*TABLE4_FAMILIES.values()) if g not in used]
    return {
        "cag_table4.md": page("Paper A, Table 4", intro, *sections, of=used),
        "cag_table4.csv": table.csv(),
    }


def _beside(title: str, name: str, *sources: str, **form: Any) -> Column:
    """Return a column of ours with what is printed in brackets, which stands also without ours."""

    def write(count: int, printed: str | None, mean: float, sd: float | None = None) -> str:
        ours = deviation(mean, sd, **form) if count else ""
        return f"{ours} ({printed})".strip() if printed else ours

    ours = sources or (f"{name}_mean", f"{name}_sd")
    return column(f"{title} (paper)", "n_seeds", f"printed_{name}", *ours, write=write)


_SYSTEM = (
    "system",
    "protocol",
    SEEDS_OR_NOT_RUN,
    column("answers one class", "n_constant", "n_seeds", write=constant_text),
    _beside("parameters, M", "params", "params", spec=".1f", scale=1e-6),
    _beside("accuracy, %", "accuracy", **PERCENT),
    range_column("95 %"),
    _beside("AUC", "auc"),
    range_column("95 %", "auc", spec=".3f"),
    _beside("F1", "f1"),
    _beside("sensitivity, %", "sensitivity", **PERCENT),
    _beside("specificity, %", "specificity", **PERCENT),
)
_SYSTEM_BRIEF = (
    "system",
    accuracy_column(),
    AUC,
    SEEDS,
    column("paper: accuracy, %", "printed_accuracy"),
    column("paper: AUC", "printed_auc"),
)


def system_table(results: Results) -> Table:
    """Return the systems of Table 4 beside the published rows, shares from 0 to 1."""
    rows = []
    for start, systems in results.plan.systems.items():
        for system in systems:
            row = {
                "pretrained": start,
                "system": system.title,
                "protocol": protocol_text(system.config),
                **score_cells(find_group(results.groups, system.config), METRICS),
            }
            printed = {name: _published(system, name) for name in ("params", *METRICS)}
            row["published_params_M"] = printed["params"] and printed["params"].value
            for name in METRICS:
                row[f"published_{name}"] = printed[name] and printed[name].fraction
            for name, value in printed.items():
                row[f"printed_{name}"] = value and value.printed
            rows.append(row)
    return Table.of(rows, _SYSTEM, "Table 4")


def _published(system: Table4Row, column: str) -> Published | None:
    """Return a system's value in Table 4; what only Table 2 prints is the framework's own."""
    if system.published is None:
        return None
    if column not in ("sensitivity", "specificity"):
        return system.published.at(column)
    if system.config.model != "brain_inspired_resnet18":
        return None
    return lookup(paper="A", table="Table 2", row="test", column=column)


# --- robustness ----------------------------------------------------------------------------------


def robustness_files(results: Results) -> dict[str, str]:
    """Return the comparisons on damaged training data, and what the damage costs each side."""
    intro = f"The training split alone is damaged; validation and test are as they were. {RULE}"
    sections = [
        "## What the damage costs",
        "AUC with the damage less AUC without it, of the same protocol (95 %, not corrected).",
        cost_table(results.compared["robustness"]),
    ]
    title = "Paper A: damaged training data"
    return family_files(results, "cag_robustness", title, intro, "robustness", more=sections)


def cost_table(compared: Sequence[Compared]) -> Table:
    """Return what each damage costs both sides, in AUC."""
    (whole,) = (c for c in compared if c.name == "undamaged")
    rows = [
        {"damage": c.name.replace("_", " ")} | _cost("a", c.a, whole.a) | _cost("b", c.b, whole.b)
        for c in compared
        if c is not whole
    ]
    columns = [
        "damage",
        estimate("A: focal, smoothing, balanced", "a", "a_seeds", missing=NOT_RUN, **SIGNED),
        estimate("B: cross-entropy", "b", "b_seeds", missing=NOT_RUN, **SIGNED),
    ]
    return Table.of(rows, columns, "What the damage costs")


def _cost(side: str, damaged: Group | None, whole: Group | None) -> dict[str, Any]:
    found = measure(damaged, whole)
    seeds = f"n = {len(found['seeds'])}" if found else None
    return ends(side, found.get("auc")) | {f"{side}_seeds": seeds}


# --- the README ----------------------------------------------------------------------------------


def _block(results: Results, systems: Table) -> str:
    parts: list[str | Table] = [
        f"{OTHER_IMAGES} Differences are paired by seed; their 95 % intervals cover test images "
        "and seeds, and verdicts are corrected for the number of comparisons "
        "(`params/comparisons.yaml`, each written down before any of its runs was stored, but "
        "for those marked there)."
    ]
    for start, heading in STARTS.items():
        parts += [f"**Table 4. {heading}**", systems.where(pretrained=start)]
    parts.append("**Each part of the framework taken away** (ImageNet weights)")
    parts.append(comparison_table(results, "ablation", columns=BRIEF))
    others: list[str | Table] = []
    for family in results.plan.families:
        if family.name != "ablation":
            table = comparison_table(results, family.name, columns=BRIEF)
            others += [f"**{family.title}**", table]
    parts.append(folded("Every other comparison", joined(*others)))
    parts.append(
        "In full: [Table 4](results/tables/cag_table4.md), "
        "[ablation](results/tables/cag_ablation.md), [Table 1](results/tables/cag_table1.md), "
        "[damaged training data](results/tables/cag_robustness.md). "
        f"Made by `{COMMAND}`; {origin(results.groups)}."
    )
    return joined(*parts)
