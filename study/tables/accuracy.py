"""Tables of results, and the README's status, made from the run store and the published values.

`python -m study tables` writes `results/tables/*.md`, `*.csv` and the README's generated blocks;
`python -m study tables --check` only compares, and ends with 1 where something is stale.

Only runs of the paper profile on real images enter. One row is one protocol: runs that differ in
anything but the seed never share a row. Runs that started from ImageNet weights and runs from
scratch are ranked apart.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from helpers.metrics.seeds import aggregate_seeds
from helpers.runs.groups import Group
from study.plans.verdicts import Comparison, Rules
from study.published import Published, PublishedError, comparators, lookup
from study.table import (
    COMMAND,
    as_percent,
    csv_text,
    folded,
    markdown_table,
    mean_sd,
    origin,
    page,
    percent,
)
from study.verdicts import NO_VERDICT, NOT_JUDGED, NOT_RUN, judge

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
STARTS = {"imagenet": "Started from ImageNet weights", "none": "Trained from scratch"}
CAG_METRICS = {
    "auc": "AUC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "f1": "F1",
}

NOTE = (
    "Accuracy in % on the test split; the epoch was selected on validation data. The 95 % interval "
    "is that of the mean over seeds and covers both test images (Wilson) and seeds (t), joined by "
    "MOVER; with one seed it covers the images alone. *Reproduced*: the interval contains the "
    "published value. The rule (`params/verdicts.yaml`) was fixed before the results were read."
)

LEGEND = (
    f"{NOTE} Marks of published values: T stated in paper A or B, S read in a public source, M "
    "quoted from memory, unverified, and therefore without a verdict."
)


class TablesError(ValueError):
    """The rules are ambiguous, or the README has no place for a generated block."""


# --- groups -> rows ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A line of a ranking: a published value, our runs, or both.

    Attributes:
        dataset: name without a size suffix.
        start: "imagenet" or "none".
        model: name in the registry.
        protocol: what tells this row from others of the same model, in words.
        group: our runs, None if there are none.
        published: the published accuracy, None if there is none for this row.
        system: the published row's name, "" if none.
        verdict: see `verdicts.judge`.
        departures: settings in which we depart from what the paper states.
    """

    dataset: str
    start: str
    model: str
    protocol: str
    group: Group | None
    published: Published | None = None
    system: str = ""
    verdict: str = NO_VERDICT
    departures: tuple[str, ...] = ()


def build_rows(groups: Sequence[Group], *, datasets: Sequence[str], rules: Rules) -> list[Row]:
    """Pair our groups with published values; add a "not run" row for each judged one without any.

    Returns:
        Rows by data set and start, highest mean accuracy first, rows without runs last.
    """
    protocols = protocol_labels(groups)
    rows = [
        _paired(group, protocols[i], rules)
        for i, group in enumerate(groups)
        if group.dataset in datasets
    ]
    for dataset in datasets:
        ours = [group for group in groups if group.dataset == dataset]
        there = {_printed(c) for c in rules.comparisons for group in ours if _matches(c, group)}
        for comparison in rules.comparisons:
            published = _published(comparison, dataset)
            if comparison.judged and published and _printed(comparison) not in there:
                rows.append(_missing(comparison, dataset, published, rules))
                there.add(_printed(comparison))
    order = {name: i for i, name in enumerate(datasets)}
    starts = list(STARTS)

    def rank(row: Row) -> tuple:
        mean = -row.group.accuracy.mean if row.group else math.inf
        place = (order[row.dataset], starts.index(row.start))
        return (*place, mean, row.model, row.protocol)

    return sorted(rows, key=rank)


def _printed(comparison: Comparison) -> tuple[str, str, str]:
    """Return the key of the printed row, which several protocols of ours may stand beside."""
    return comparison.paper, comparison.table, comparison.row


def _matches(comparison: Comparison, group: Group) -> bool:
    have = group.config | {"source_size": group.source_size}
    return all(have[name] == wanted for name, wanted in comparison.runs.items())


def _paired(group: Group, protocol: str, rules: Rules) -> Row:
    row = Row(group.dataset, group.config["pretrained"], group.config["model"], protocol, group)
    fitting = [c for c in rules.comparisons if _matches(c, group) and _published(c, group.dataset)]
    if len(fitting) > 1:
        names = ", ".join(c.row for c in fitting)
        raise TablesError(f"{row.model}: params/verdicts.yaml compares it with several: {names}.")
    if not fitting:
        return row
    comparison = fitting[0]
    published = _published(comparison, group.dataset)
    verdict = NO_VERDICT
    if comparison.judged or published.mark == "M":
        verdict = judge(published, group.accuracy, rules=rules)
    return Row(
        *(row.dataset, row.start, row.model, row.protocol, group, published),
        system=comparison.row,
        verdict=verdict,
        departures=departures(group, comparison),
    )


def _missing(comparison: Comparison, dataset: str, published: Published, rules: Rules) -> Row:
    runs = comparison.runs
    return Row(
        dataset=dataset,
        start=runs["pretrained"],
        model=runs["model"],
        protocol="",
        group=None,
        published=published,
        system=comparison.row,
        verdict=judge(published, None, rules=rules),
    )


def _published(comparison: Comparison, dataset: str) -> Published | None:
    """Return the published accuracy of a comparison, None if its source has none for this set."""
    key = {"paper": comparison.paper, "table": comparison.table, "row": comparison.row}
    try:
        return lookup(**key, column=f"{dataset}/accuracy")
    except PublishedError as error:
        if "unknown column" not in str(error):
            raise
        return None


def departures(group: Group, comparison: Comparison) -> tuple[str, ...]:
    """Name what the paper states and ours differ from: the images, if rebuilt, and settings."""
    found = [group.rebuilt.title] if group.rebuilt else []
    for name, (table, row, column) in comparison.states.items():
        stated = lookup(paper=comparison.paper, table=table, row=row, column=column)
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


# --- rows -> text ------------------------------------------------------------------------------

Column = tuple[str, Callable[[Row], str]]


def _cell_published(row: Row) -> str:
    if row.published is None:
        return ""
    text = f"{as_percent(row.published)} ({row.system})"
    return f"{text}, unverified" if row.published.mark == "M" else text


def _cell_ours(row: Row) -> str:
    if row.group is None:
        return NOT_RUN
    return mean_sd(row.group.values("accuracy"), scale=100, digits=1)


def _cell_interval(row: Row) -> str:
    if row.group is None:
        return ""
    return f"{percent(row.group.accuracy.low)} to {percent(row.group.accuracy.high)}"


def _cell_seeds(row: Row) -> str:
    return f"n = {len(row.group.seeds)}" if row.group else ""


def _cell_verdict(row: Row) -> str:
    verdict = row.verdict or (NOT_JUDGED if row.published else "")
    return f"{verdict} ({'; '.join(row.departures)})" if row.departures else verdict


def _cell_dataset(row: Row) -> str:
    if row.group and row.group.rebuilt:
        return row.group.rebuilt.title
    return MEDMNIST.get(row.dataset, f"`{row.dataset}`")


def _cell_metric(metric: str) -> Callable[[Row], str]:
    return lambda row: mean_sd(row.group.values(metric)) if row.group else ""


MODEL: Column = ("model", lambda row: f"`{row.model}`")
PROTOCOL: Column = ("protocol", lambda row: row.protocol)
PUBLISHED: Column = ("published", _cell_published)
OURS: Column = ("ours, mean ± sd", _cell_ours)
INTERVAL: Column = ("95 % interval", _cell_interval)
SEEDS: Column = ("seeds", _cell_seeds)
AUC: Column = ("AUC", _cell_metric("auc"))
VERDICT: Column = ("verdict", _cell_verdict)
DATASET: Column = ("data set", _cell_dataset)

FULL = (MODEL, PROTOCOL, PUBLISHED, OURS, INTERVAL, SEEDS, AUC, VERDICT)
SHORT = (DATASET, MODEL, PROTOCOL, PUBLISHED, OURS, INTERVAL, SEEDS, VERDICT)
CAG = (
    *(MODEL, PROTOCOL, OURS, INTERVAL, SEEDS),
    *((title, _cell_metric(name)) for name, title in CAG_METRICS.items()),
)


def markdown(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """Write rows as a markdown table."""
    return markdown_table([name for name, _ in columns], [[f(r) for _, f in columns] for r in rows])


def published_table(dataset: str, start: str) -> str:
    """Write what others published on a data set for one start, highest first; "" if nothing."""
    if dataset not in (*MEDMNIST, "cag"):
        return ""
    table = comparators(dataset, "accuracy")
    table = table[table["pretrained"] == start]
    if table.empty:
        return ""
    cells = []
    for r in table.itertuples():
        key = {"paper": r.paper, "table": r.table, "row": r.row, "column": r.column}
        cells.append([r.row, as_percent(lookup(**key)), r.source, _mark(r.mark)])
    return markdown_table(["published system", "accuracy, %", "source", "mark"], cells)


def _mark(mark: str) -> str:
    return f"{mark}: unverified" if mark == "M" else mark


def frame(rows: Sequence[Row], *, metrics: Iterable[str]) -> pd.DataFrame:
    """Return rows as a tidy table: shares from 0 to 1, missing where undefined.

    Args:
        rows: see `build_rows`.
        metrics: further test metrics, each as mean and sd over the seeds.
    """
    names = [*CSV_COLUMNS, *(f"{m}_{part}" for m in metrics for part in ("mean", "sd"))]
    table = pd.DataFrame([_flat(row, metrics) for row in rows], columns=names)
    counts = ["n_seeds", "n_test_images", "params", "macs"]
    return table.astype(dict.fromkeys(counts, "Int64"))


CSV_COLUMNS = (
    *("dataset", "pretrained", "model", "protocol"),
    *("published_system", "published_accuracy", "published_mark", "published_source"),
    *("verdict", "departures", "seeds", "n_seeds", "n_test_images"),
    *("accuracy_mean", "accuracy_sd", "accuracy_low", "accuracy_high", "params", "macs"),
)


def _flat(row: Row, metrics: Iterable[str]) -> dict[str, Any]:
    flat: dict[str, Any] = {
        "dataset": row.dataset,
        "pretrained": row.start,
        "model": row.model,
        "protocol": row.protocol,
        "verdict": row.verdict,
        "departures": "; ".join(row.departures),
        "n_seeds": len(row.group.seeds) if row.group else 0,
    }
    if row.published:
        flat |= {
            "published_system": row.system,
            "published_accuracy": row.published.fraction,
            "published_mark": row.published.mark,
            "published_source": row.published.source,
        }
    if row.group:
        accuracy, model = row.group.accuracy, row.group.record["model"]
        flat |= {
            "seeds": " ".join(map(str, row.group.seeds)),
            "n_test_images": row.group.n_test,
            "accuracy_mean": accuracy.mean,
            "accuracy_sd": accuracy.sd,
            "accuracy_low": accuracy.low,
            "accuracy_high": accuracy.high,
            "params": model["params"],
            "macs": model["macs"],
        }
        for metric in metrics:
            seeds = aggregate_seeds(row.group.values(metric))
            flat |= {f"{metric}_mean": seeds["mean"], f"{metric}_sd": seeds["sd"]}
    return flat


def _csv(rows: Sequence[Row], metrics: Iterable[str]) -> str:
    return csv_text(frame(rows, metrics=metrics))


# --- files ---------------------------------------------------------------------------------------


def _rankings(dataset: str, rows: Sequence[Row], columns: Sequence[Column]) -> Iterable[str]:
    """Yield a data set's rankings; runs from ImageNet weights and from scratch never share one."""
    for start, heading in STARTS.items():
        yield f"### {heading}"
        chosen = [r for r in rows if (r.dataset, r.start) == (dataset, start)]
        yield markdown(columns, chosen) if chosen else "Not run."
        if table := published_table(dataset, start):
            yield table


def _medmnist_groups(groups: Sequence[Group]) -> list[Group]:
    """Return the groups of everything but angiograms and the recipes with tables of their own."""
    return [
        group
        for group in groups
        if not group.dataset.startswith("cag:") and group.config["recipe"] not in OWN_TABLES
    ]


def medmnist_files(groups: Sequence[Group], rules: Rules) -> dict[str, str]:
    """Return the tables of MedMNIST and whatever else is no angiogram: file name -> content."""
    chosen = _medmnist_groups(groups)
    titles = MEDMNIST | {name: name for name in sorted({g.dataset for g in chosen} - {*MEDMNIST})}
    rows = build_rows(chosen, datasets=list(titles), rules=rules)
    sections = []
    for dataset, title in titles.items():
        sections += [f"## {title}", *_rankings(dataset, rows, FULL)]
        if unknown := published_table(dataset, "not given"):
            sections += ["### Published, start not given", unknown]
    return {
        "medmnist_accuracy.md": page("Accuracy on MedMNIST", LEGEND, chosen, sections),
        "medmnist_accuracy.csv": _csv(rows, ("auc",)),
    }


def cag_files(groups: Sequence[Group], rules: Rules) -> dict[str, str]:
    """Return the tables of coronary angiograms; paper A's own images cannot be had."""
    chosen = [g for g in groups if g.dataset.startswith("cag:")]
    names = sorted({g.dataset for g in chosen})
    rows = build_rows(chosen, datasets=names, rules=rules)
    sections = [] if names else ["Not run."]
    for name in names:
        sections += [f"## {name.removeprefix('cag:')}", *_rankings(name, rows, CAG)]
    sections.append("## Published, on images that are not public")
    for start, heading in (*STARTS.items(), ("not given", "Start not given")):
        if table := published_table("cag", start):
            sections += [f"### {heading}", table]
    intro = (
        "Paper A's images are not public: its numbers stand here for orientation and get no "
        f"verdict. {LEGEND}"
    )
    return {
        "cag_accuracy.md": page("Accuracy on coronary angiograms", intro, chosen, sections),
        "cag_accuracy.csv": _csv(rows, CAG_METRICS),
    }


def status_block(groups: Sequence[Group], rules: Rules) -> str:
    """Return the README's status: one ranking per start, sets without runs as "not run"."""
    chosen = _medmnist_groups(groups)
    names = [*MEDMNIST, *sorted({g.dataset for g in chosen} - {*MEDMNIST})]
    rows = build_rows(chosen, datasets=names, rules=rules)
    parts = [NOTE]
    for start, heading in STARTS.items():
        some = [r for r in rows if r.start == start and (r.group or start == "imagenet")]
        table = markdown(SHORT, some) if some else "Not run."
        if some and not any(r.verdict for r in some):  # nothing here is held against a paper
            parts.append(folded(heading, table))
        else:
            parts += [f"**{heading}**", table]
    parts.append(
        "All published values beside ours: [MedMNIST](results/tables/medmnist_accuracy.md), "
        "[coronary angiograms](results/tables/cag_accuracy.md). "
        f"Made by `{COMMAND}` from {origin(chosen)[0].lower()}{origin(chosen)[1:]}."
    )
    return "\n\n".join(parts)
