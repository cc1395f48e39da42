"""Accuracies beside the published ones, as tables, and the status on the page of results.

Only runs of the paper profile on real images enter. One row is one protocol: runs that differ in
anything but the seed never share a row. Runs that started from ImageNet weights and runs from
scratch are ranked apart.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from helpers.runs.groups import Group
from study.levels import Level, judge_levels, stands_beside
from study.plans.ranking import STARTS as RANKED
from study.plans.verdicts import Comparison, Rules
from study.published import Published, comparators, find, lookup
from study.table import (
    Column,
    Pages,
    Table,
    as_percent,
    code,
    column,
    folded,
    joined,
    made_from,
    page,
    percent_as_printed,
)
from study.tables.scores import (
    AUC,
    FREE,
    SEEDS,
    accuracy_column,
    free_cells,
    metric_column,
    range_column,
    score_cells,
)
from study.verdicts import NO_VERDICT

# Recipes that have tables of their own, with their own comparisons.
OWN_TABLES = ("ranking", "table2")

# The sets of paper B, in its order.
MEDMNIST = {
    "breastmnist": "BreastMNIST",
    "pneumoniamnist": "PneumoniaMNIST",
    "bloodmnist": "BloodMNIST",
    "dermamnist": "DermaMNIST",
    "organcmnist": "OrganCMNIST",
    "organsmnist": "OrganSMNIST",
}
STARTS = dict(reversed(RANKED.items()))
CAG_METRICS = {
    "auc": "AUC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "f1": "F1",
}

NOTE = (
    "Accuracy in % on the test split; the epoch was selected on validation data. Beside the mean "
    "over seeds and its sd stand its 95 % interval on these very test images, and the one in which "
    "one more single run would fall: a printed number is one run on the same images, and the "
    "second interval judges it, once, by the protocol that is nearest to the paper's (most epochs, "
    "then the largest files). *Reproduced*: inside, and the interval no wider than 2 points; "
    "*compatible*: inside a wider one; *not run at its budget*: fewer than a tenth of the printed "
    "epochs. The rules: `params/verdicts.yaml`."
)

TIED = (
    "Beside both intervals stands the accuracy *on images not tied to training*: those without a "
    "near copy there, and in DermaMNIST without another image of their lesion."
)

LEGEND = (
    f"{NOTE} Marks of published values: T stated in paper A or B, S read in a public source, M "
    "quoted from memory, unverified, and therefore without a verdict."
)


class TablesError(ValueError):
    """The rules are ambiguous, or the README has no place for a generated block."""


# --- groups -> rows ----------------------------------------------------------------------------


@dataclass(frozen=True)
class AccuracyLine:
    """A line of a ranking: a published accuracy, our runs, or both."""

    dataset: str  # name without a size suffix
    start: str  # "imagenet" or "none"
    model: str
    protocol: str  # what tells this row from others of the same model, in words
    group: Group | None
    published: Published | None = None
    system: str = ""  # the published row's name
    verdict: str = NO_VERDICT  # where these are the runs that judge the number; see `levels`
    departures: tuple[str, ...] = ()  # from what the paper states


def build_rows(
    groups: Sequence[Group],
    *,
    datasets: Sequence[str],
    rules: Rules,
    among: Sequence[Group] | None = None,
) -> list[AccuracyLine]:
    """Pair our groups with published values; add a "not run" row for each judged one without any.

    A group has a row each; `among` are all stored real runs, of which the nearest judges a number,
    by default the same. Rows come by data set and start, highest mean accuracy first, those without
    runs last.
    """
    levels = judge_levels(groups if among is None else among, datasets=datasets, rules=rules)
    rows = [
        _paired(group, protocol, levels, rules)
        for group, protocol in zip(groups, protocol_labels(groups), strict=True)
        if group.dataset in datasets
    ]
    rows += [_missing(level, rules) for level in levels if level.group is None]

    def rank(row: AccuracyLine) -> tuple:
        mean = -row.group.accuracy.value if row.group else math.inf
        place = (datasets.index(row.dataset), list(STARTS).index(row.start))
        return *place, mean, row.model, row.protocol

    return sorted(rows, key=rank)


def _paired(group: Group, protocol: str, levels: Sequence[Level], rules: Rules) -> AccuracyLine:
    row = AccuracyLine(
        group.dataset, group.config["pretrained"], group.config["model"], protocol, group
    )
    accuracy = f"{group.dataset}/accuracy"
    fitting = [
        c for c in rules.comparisons if stands_beside(c, group) and find(*c.published, accuracy)
    ]
    if len(fitting) > 1:
        names = ", ".join(c.published.row for c in fitting)
        raise TablesError(f"{row.model}: params/verdicts.yaml compares it with several: {names}.")
    if not fitting:
        return row
    comparison = fitting[0]
    own = [
        x for x in levels if x.group and (x.group.config, x.group.md5) == (group.config, group.md5)
    ]
    verdicts = [level.verdict for level in own if level.key[:3] == comparison.published]
    return replace(
        row,
        published=find(*comparison.published, accuracy),
        system=comparison.published.row,
        verdict=verdicts[0] if verdicts else NO_VERDICT,
        departures=departures(group, comparison),
    )


def _missing(level: Level, rules: Rules) -> AccuracyLine:
    runs = next(c.runs for c in rules.comparisons if c.judged and c.published == level.key[:3])
    return AccuracyLine(
        dataset=level.key[3].split("/")[0],
        start=runs["pretrained"],
        model=runs["model"],
        protocol="",
        group=None,
        published=level.published,
        system=level.key[2],
        verdict=level.verdict,
    )


def departures(group: Group, comparison: Comparison) -> tuple[str, ...]:
    """Name what the paper states and ours differ from: the images, if rebuilt, and settings."""
    found = [group.rebuilt.title] if group.rebuilt else []
    for name, (table, row, place) in comparison.states.items():
        stated = lookup(paper=comparison.paper, table=table, row=row, column=place)
        ours = group.config[name]
        if stated.value is not None and stated.value != ours:
            found.append(f"{name} {ours:g}, published {stated.printed}")
    return tuple(found)


def protocol_labels(groups: Sequence[Group]) -> list[str]:
    """Describe each group's protocol; groups of one cell that would read alike get what differs."""
    labels = [_protocol(group) for group in groups]
    cells = defaultdict(list)
    for i, group in enumerate(groups):
        cell = (group.dataset, group.config["pretrained"], group.config["model"], labels[i])
        cells[cell].append(i)
    for members in cells.values():
        settings = [groups[i].config | {"md5": groups[i].md5} for i in members]
        names = [n for n in sorted(settings[0]) if len({str(s.get(n)) for s in settings}) > 1]
        for i, setting in zip(members, settings, strict=True):
            labels[i] = ", ".join([labels[i], *(f"{n} {setting[n]}" for n in names)])
    return labels


def _protocol(group: Group) -> str:
    size, source = group.config["image_size"], group.source_size
    pixels = f"{size} px" if size == source else f"{size} px from {source} px files"
    epochs = group.config["epochs"]
    words = [group.config["recipe"], pixels, f"{epochs} epoch{'s' if epochs > 1 else ''}"]
    return ", ".join([*words, *([group.rebuilt.title] if group.rebuilt else [])])


# --- rows -> tables ----------------------------------------------------------------------------


def _published_text(printed: str, system: str, mark: str) -> str:
    return f"{printed} ({system})" + (", unverified" if mark == "M" else "")


MODEL = column("model", write=code)
PUBLISHED = column(
    "published", "published_printed", "published_system", "published_mark", write=_published_text
)
OURS = accuracy_column("ours, mean ± sd")
# What stands beside the verdict on a level: our mean here, what judges, and what leakage is worth.
LEVEL = (
    range_column("mean, these images, 95 %", "here"),
    range_column("one more run, 95 %", "one_more"),
    FREE,
)
VERDICT = column("verdict", "verdict", "departures")

DATASET = column("data set", "dataset_title")

FULL = (MODEL, "protocol", PUBLISHED, OURS, *LEVEL, SEEDS, AUC, VERDICT)
SHORT = (DATASET, MODEL, "protocol", PUBLISHED, OURS, *LEVEL, SEEDS, VERDICT)
CAG = (
    MODEL,
    "protocol",
    OURS,
    range_column("95 %, other images"),
    SEEDS,
    *(metric_column(title, name) for name, title in CAG_METRICS.items()),
)


def accuracy_table(
    rows: Sequence[AccuracyLine],
    columns: Sequence[Column | str],
    *,
    metrics: Sequence[str] = ("auc",),
) -> Table:
    """Return rows as a table, shares from 0 to 1, with further test metrics as mean and sd."""
    cells = [_cells(row, ("accuracy", *metrics)) for row in rows]
    return Table.of(cells, columns, empty="Not run.")


def _cells(row: AccuracyLine, metrics: Sequence[str]) -> dict[str, Any]:
    printed = row.published
    rebuilt = row.group and row.group.rebuilt
    return {
        "dataset": row.dataset,
        "dataset_title": rebuilt.title if rebuilt else MEDMNIST.get(row.dataset, row.dataset),
        "pretrained": row.start,
        "model": row.model,
        "protocol": row.protocol,
        "published_system": row.system,
        "published_accuracy": printed and printed.fraction,
        "published_printed": printed and as_percent(printed),
        "published_mark": printed and printed.mark,
        "published_source": printed and printed.source,
        "verdict": row.verdict,
        "departures": "; ".join(row.departures),
        **score_cells(row.group, metrics),
        **free_cells(row.group),
    }


# --- files ---------------------------------------------------------------------------------------


def _rankings(dataset: str, table: Table) -> Iterator[str | Table]:
    """Yield a data set's rankings; runs from ImageNet weights and from scratch never share one."""
    for start, heading in STARTS.items():
        yield f"### {heading}"
        yield table.where(dataset=dataset, pretrained=start)
        yield from _published(dataset, start)


def _published(dataset: str, start: str, *heading: str) -> Iterator[str | Table]:
    """Yield what others published on a data set for one start, highest first, if they did."""
    if dataset not in (*MEDMNIST, "cag"):
        return
    found = comparators(dataset, "accuracy")
    found = found[found["pretrained"] == start]
    columns = [
        column("published system", "row"),
        column("accuracy, %", "printed", "unit", write=percent_as_printed),
        "source",
        column("mark", write=lambda mark: "M (unverified)" if mark == "M" else mark),
    ]
    if not found.empty:
        yield from (*heading, Table(found, columns))


def medmnist_pages(groups: Sequence[Group], rules: Rules) -> Pages:
    """Return the accuracies on MedMNIST, and on whatever else is no angiogram.

    What has a table of its own is left out. The block has one ranking a start, and sets without
    runs as "not run".
    """
    chosen = [
        group
        for group in groups
        if not group.dataset.startswith("cag:") and group.config["recipe"] not in OWN_TABLES
    ]
    names = [*MEDMNIST, *sorted({g.dataset for g in chosen} - {*MEDMNIST})]
    rows = build_rows(chosen, datasets=names, rules=rules, among=groups)
    table, sections = accuracy_table(rows, FULL), []
    for dataset in names:
        sections += [f"## {MEDMNIST.get(dataset, dataset)}", *_rankings(dataset, table)]
        sections += _published(dataset, "not given", "### Published, start not given")
    text = page("Accuracy on MedMNIST", f"{LEGEND} {TIED}", *sections, of=chosen)
    files = {"medmnist_accuracy.md": text, "medmnist_accuracy.csv": table.csv()}
    there = (table.frame["n_seeds"] > 0) | (table.frame["pretrained"] == "imagenet")
    brief, parts = replace(table.keep(there), columns=SHORT), [f"{NOTE} {TIED}"]
    for start, heading in STARTS.items():
        of_start = brief.where(pretrained=start)
        if of_start.frame["verdict"].any():
            parts += [f"**{heading}**", of_start]
        else:  # nothing here is held against a paper
            parts.append(folded(heading, of_start.markdown()))
    parts.append(
        "All published values beside ours: [MedMNIST](results/tables/medmnist_accuracy.md), "
        f"[coronary angiograms](results/tables/cag_accuracy.md). {made_from(chosen)}"
    )
    return Pages(files, joined(*parts))


def cag_files(groups: Sequence[Group], rules: Rules) -> dict[str, str]:
    """Return the tables of coronary angiograms; paper A's own images cannot be had."""
    chosen = [g for g in groups if g.dataset.startswith("cag:")]
    names = sorted({g.dataset for g in chosen})
    rows = build_rows(chosen, datasets=names, rules=rules, among=groups)
    table = accuracy_table(rows, CAG, metrics=tuple(CAG_METRICS))
    intro = (
        "Paper A's images are not public: its numbers stand here for orientation and get no "
        f"verdict. {LEGEND}"
    )
    sections = [intro] if names else [intro, "Not run."]
    for name in names:
        sections += [f"## {name.removeprefix('cag:')}", *_rankings(name, table)]
    sections.append("## Published, on images that are not public")
    for start, heading in (*STARTS.items(), ("not given", "Start not given")):
        sections += _published("cag", start, f"### {heading}")
    return {
        "cag_accuracy.md": page("Accuracy on coronary angiograms", *sections, of=chosen),
        "cag_accuracy.csv": table.csv(),
    }
