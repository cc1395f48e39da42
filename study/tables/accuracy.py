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
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from helpers.metrics.intervals import mean_here, one_more_run
from helpers.metrics.scores import Estimate
from helpers.metrics.seeds import aggregate_seeds
from helpers.runs.groups import Group
from study.levels import Level, judge_levels, matches, printed_at
from study.plans.verdicts import Comparison, Rules
from study.published import Published, comparators, lookup
from study.table import (
    COMMAND,
    as_percent,
    csv_text,
    folded,
    markdown_table,
    mean_sd,
    origin,
    page,
)
from study.tables.leakage import load_tied, score_on
from study.verdicts import NO_VERDICT, NOT_RUN

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
    "Accuracy in % on the test split; the epoch was selected on validation data. Beside the mean "
    "over seeds and its sd stand its 95 % interval on these very test images, and the one in which "
    "one more single run would fall: a printed number is one run on the same images, and the "
    "second interval judges it, once, by the protocol that is nearest to the paper's (most epochs, "
    "then the largest files). *Reproduced*: inside, and the interval no wider than 2 points; "
    "*compatible*: inside a wider one; *not run at its budget*: fewer than a tenth of the printed "
    "epochs. The rules: `params/verdicts.yaml`."
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
        verdict: on the published accuracy, where these are the runs that judge it; see `levels`.
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


def build_rows(
    groups: Sequence[Group],
    *,
    datasets: Sequence[str],
    rules: Rules,
    among: Sequence[Group] | None = None,
) -> list[Row]:
    """Pair our groups with published values; add a "not run" row for each judged one without any.

    Args:
        groups: real runs, a row each.
        datasets: whose rows are wanted.
        rules: see `plans.verdicts.load_rules`.
        among: all stored real runs, of which the nearest judges a number; by default `groups`.

    Returns:
        Rows by data set and start, highest mean accuracy first, rows without runs last.
    """
    protocols = protocol_labels(groups)
    levels = judge_levels(groups if among is None else among, datasets=datasets, rules=rules)
    rows = [
        _paired(group, protocols[i], levels, rules)
        for i, group in enumerate(groups)
        if group.dataset in datasets
    ]
    rows += [_missing(level, rules) for level in levels if level.group is None]
    order = {name: i for i, name in enumerate(datasets)}
    starts = list(STARTS)

    def rank(row: Row) -> tuple:
        mean = -row.group.accuracy.value if row.group else math.inf
        place = (order[row.dataset], starts.index(row.start))
        return (*place, mean, row.model, row.protocol)

    return sorted(rows, key=rank)


def _paired(group: Group, protocol: str, levels: Sequence[Level], rules: Rules) -> Row:
    row = Row(group.dataset, group.config["pretrained"], group.config["model"], protocol, group)
    fitting = [c for c in rules.comparisons if matches(c, group) and printed_at(c, group.dataset)]
    if len(fitting) > 1:
        names = ", ".join(c.row for c in fitting)
        raise TablesError(f"{row.model}: params/verdicts.yaml compares it with several: {names}.")
    if not fitting:
        return row
    comparison = fitting[0]
    verdict = NO_VERDICT
    for level in levels:
        if _same(level.group, group) and level.key[:3] == _row_key(comparison):
            verdict = level.verdict
    return replace(
        row,
        published=printed_at(comparison, group.dataset),
        system=comparison.row,
        verdict=verdict,
        departures=departures(group, comparison),
    )


def _same(a: Group | None, b: Group) -> bool:
    return a is not None and (a.config, a.md5) == (b.config, b.md5)


def _row_key(comparison: Comparison) -> tuple[str, str, str]:
    return comparison.paper, comparison.table, comparison.row


def _missing(level: Level, rules: Rules) -> Row:
    runs = next(c.runs for c in rules.comparisons if c.judged and _row_key(c) == level.key[:3])
    return Row(
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
    text = mean_sd(row.group.values("accuracy"), scale=100, digits=1)
    return f"{text}{constant_text(row.group)}"


def constant_text(group: Group) -> str:
    """Flag a network that answers one class for every test image in some seeds."""
    k = len(group.constant)
    return f" ({k} of {len(group.seeds)} constant)" if k else ""


def range_text(estimate: Estimate, *, scale: float = 100, digits: int = 1) -> str:
    """Write an interval, "none" where there is none."""
    if estimate.low is None:
        return "none"
    return f"{scale * estimate.low:.{digits}f} to {scale * estimate.high:.{digits}f}"


def _cell_interval(how: Callable[..., Estimate] | None = None) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        if row.group is None:
            return ""
        return range_text(row.group.estimate("accuracy", how) if how else row.group.accuracy)

    return cell


def free_accuracy(group: Group) -> list[float] | None:
    """Return each seed's accuracy on the test images that nothing ties to training.

    None where none is known to be tied, or the runs have other test images.
    """
    tied = load_tied(group.dataset) if group.dataset in MEDMNIST else None
    if tied is None or not len(tied.free) or not all(tied.fits(run) for run in group.runs):
        return None
    return [score_on(run, tied.free)["accuracy"] for run in group.runs]


def _cell_free(row: Row) -> str:
    values = free_accuracy(row.group) if row.group else None
    return mean_sd(values, scale=100, digits=1) if values else ""


def _cell_seeds(row: Row) -> str:
    return f"n = {len(row.group.seeds)}" if row.group else ""


def _cell_verdict(row: Row) -> str:
    if not row.verdict:
        return ""
    return f"{row.verdict} ({'; '.join(row.departures)})" if row.departures else row.verdict


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
INTERVAL: Column = ("95 %, other images", _cell_interval())
HERE: Column = ("mean, these images, 95 %", _cell_interval(mean_here))
ONE_MORE: Column = ("one more run, 95 %", _cell_interval(one_more_run))
FREE: Column = ("on images not tied to training", _cell_free)
SEEDS: Column = ("seeds", _cell_seeds)
AUC: Column = ("AUC", _cell_metric("auc"))
VERDICT: Column = ("verdict", _cell_verdict)
DATASET: Column = ("data set", _cell_dataset)

FULL = (MODEL, PROTOCOL, PUBLISHED, OURS, HERE, ONE_MORE, FREE, SEEDS, AUC, VERDICT)
SHORT = (DATASET, MODEL, PROTOCOL, PUBLISHED, OURS, ONE_MORE, FREE, SEEDS, VERDICT)
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
    counts = ["n_seeds", "n_test_images", "n_constant", "params", "macs"]
    return table.astype(dict.fromkeys(counts, "Int64"))


CSV_COLUMNS = (
    *("dataset", "pretrained", "model", "protocol"),
    *("published_system", "published_accuracy", "published_mark", "published_source"),
    *("verdict", "departures", "seeds", "n_seeds", "n_test_images"),
    *("accuracy_mean", "accuracy_sd", "accuracy_low", "accuracy_high"),
    *("here_low", "here_high", "one_more_low", "one_more_high", "n_constant", "free_mean"),
    *("params", "macs"),
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
        here, more = (row.group.estimate("accuracy", how) for how in (mean_here, one_more_run))
        flat |= {
            "seeds": " ".join(map(str, row.group.seeds)),
            "n_test_images": row.group.n_test,
            "accuracy_mean": accuracy.value,
            "accuracy_sd": aggregate_seeds(row.group.values("accuracy"))["sd"],
            "accuracy_low": accuracy.low,
            "accuracy_high": accuracy.high,
            "here_low": here.low,
            "here_high": here.high,
            "one_more_low": more.low,
            "one_more_high": more.high,
            "n_constant": len(row.group.constant),
            "free_mean": aggregate_seeds(free_accuracy(row.group) or [None])["mean"],
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
    rows = build_rows(chosen, datasets=list(titles), rules=rules, among=groups)
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
    rows = build_rows(chosen, datasets=names, rules=rules, among=groups)
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
    rows = build_rows(chosen, datasets=names, rules=rules, among=groups)
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
