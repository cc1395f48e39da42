"""The study's charts: the frames of `results/tables`, drawn beside what the papers print.

Nothing is computed here: `python -m study tables` wrote the frames, and a test fails where one is
stale. A frame that was not written leaves its charts out.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from helpers.files import DamagedFile, reading
from study.maps.findings import CONTROL_TITLES, LAST
from study.markup import to_html
from study.plans.comparisons import ComparisonPlan, load_plan
from study.plans.table2 import load_table2
from study.report.forest import Track, forest
from study.table import COMMAND, Column, Table, column, interval, number
from study.tables.accuracy import MEDMNIST, STARTS
from study.tables.comparisons import POWER
from study.tables.scores import FREE, PERCENT, SEEDS, metric_column, range_column
from study.verdicts import NOT_RUN

ACCURACY = Track("accuracy, %", "accuracy_mean", "accuracy_low", "accuracy_high", scale=100)
BESIDE = ACCURACY._replace(printed="published_accuracy")
AUC = Track("AUC", "auc_mean", "auc_low", "auc_high", printed="published_auc")
# What a paper prints keeps its digits: "85.00".
AS_PRINTED = dict.fromkeys(("published_printed", "printed_accuracy", "printed_auc"), str)
DIFFERENCE = Track("AUC with less AUC without", "auc_difference", "auc_low", "auc_high", zero=True)
PRINTED = column("printed, %", "published_printed")
OURS = column("accuracy, % (95 %)", *ACCURACY.ends, write=interval, **PERCENT)
MEAN_AUC = metric_column("AUC", "auc")
PROTOCOL = column("protocol", "protocol", "n_seeds", write="{}, n = {}".format)


class Chart(NamedTuple):
    """A table on the page, behind its title where it is folded."""

    title: str
    html: str
    folded: bool = False


def answer(tables: Path) -> list[Chart]:
    """Return what both papers print for their networks beside ours."""
    return [*_accuracies(tables), *_systems(tables, "imagenet")]


def sections(tables: Path) -> list[tuple[str, str, list[Chart]]]:
    """Return heading, what to know, and charts of each section that something was written for."""
    found = [
        (
            "Paper B",
            "MedSpectralNet beside other networks under one protocol, and with a block taken away: "
            "what lies right of zero speaks for the block.",
            [*_rankings(tables), *_table2(tables)],
        ),
        (
            "Paper A",
            "Its images are not public; ours are others. Each pair differs in one thing: what lies "
            "right of zero speaks for it.",
            [
                *_families(read(tables, "cag_ablation"), load_plan(), opened=("ablation",)),
                *_families(read(tables, "cag_robustness"), load_plan()),
                *_systems(tables, "none", folded=True),
            ],
        ),
        (
            "Where the maps look",
            "How much of a map lies in the lesion's box, on crops around it; controls at the end.",
            [*_maps(tables)],
        ),
        (
            "Tables in full",
            "As they lie in results/tables; the evidence for each claim is among them.",
            [_page(file) for file in sorted(tables.glob("*.md"))],
        ),
    ]
    return [section for section in found if section[-1]]


def read(tables: Path, name: str, where: str = "index == index") -> pd.DataFrame:
    """Return the rows of a frame that a query chooses, none where it was not written."""
    file = tables / f"{name}.csv"
    if not file.exists():
        return pd.DataFrame()
    with reading(file, DamagedFile, advice=f"; `{COMMAND}` writes it anew"):
        # "none" is a word in it, for a network that started from no weights.
        frame = pd.read_csv(file, dtype=AS_PRINTED, keep_default_na=False, na_values=[""])
        try:
            return frame.query(where, engine="python")
        except pd.errors.UndefinedVariableError as error:
            raise DamagedFile(f"{file.name}: {error}") from error


def chart(
    title: str, frame: pd.DataFrame, columns: Sequence[Column], track: Track, folded: bool = False
) -> Iterator[Chart]:
    """Yield the chart of a frame, none where it has no rows."""
    if not frame.empty:
        yield Chart(title, forest(Table(frame, columns, title), track), folded)


def each(frame: pd.DataFrame, *names: str) -> Iterator[tuple[tuple, pd.DataFrame]]:
    """Yield the rows that share the values of some columns, with these values."""
    return iter(frame.groupby(list(names)) if not frame.empty else ())


def start_title(dataset: str, start: str) -> str:
    """Name a data set and how its networks began."""
    return f"{MEDMNIST.get(dataset, dataset)}, {STARTS[start][0].lower()}{STARTS[start][1:]}"


# --- paper B ---


def _accuracies(tables: Path) -> Iterator[Chart]:
    """Yield the accuracies that paper B itself states (mark T), by the runs that judge them."""
    frame = read(tables, "medmnist_accuracy", "published_mark == 'T' and verdict.notna()")
    track = BESIDE._replace(low="one_more_low", high="one_more_high")
    ours = "ours (one more run, 95 %)"
    columns = [
        column("data set", "dataset", write=MEDMNIST.get),
        PRINTED,
        column(ours, *track.ends, write=interval, missing=NOT_RUN, **PERCENT),
        range_column("mean, these images, 95 %", "here"),
        FREE,
        "verdict",
        PROTOCOL,
    ]
    yield from chart("Paper B: accuracy of MedSpectralNet", frame, columns, track)


def _rankings(tables: Path) -> Iterator[Chart]:
    frame = read(tables, "medmnist_ranking", "n_seeds > 0")
    params = column("parameters, M", "params", write=number, spec=".1f", scale=1e-6)
    ranks = "{:.0f} ({:.0f} to {:.0f})".format
    rank = column("rank (range)", "rank", "rank_best", "rank_worst", write=ranks)
    published = column("published, %", *PRINTED.sources, "published_mark", write=_published)
    columns = [column("network", "title"), OURS, rank, MEAN_AUC, params, published]
    for (start, dataset), part in each(frame, "pretrained", "dataset"):
        title = f"{start_title(dataset, start)}: {len(part)} networks"
        yield from chart(title, part, columns, BESIDE, folded=len(part) > 10)


def _published(printed: str, mark: str) -> str:
    return printed + (" (unverified)" if mark == "M" else "")


def _table2(tables: Path) -> Iterator[Chart]:
    columns = [column("optimizer, augmentation", "cell"), OURS, MEAN_AUC, SEEDS]
    yield from chart("Table 2, on BreastMNIST", read(tables, "table2"), columns, ACCURACY)
    frame, plan = read(tables, "table2_comparisons"), load_table2().plan
    yield from _families(frame, plan, opened=("blocks", "plain"))


def _families(
    frame: pd.DataFrame, plan: ComparisonPlan, *, opened: Sequence[str] = ()
) -> Iterator[Chart]:
    """Yield the differences of each family of comparisons, with less without."""
    columns = [
        column("what A has and B lacks", "title"),
        column("AUC, A - B (95 %)", *DIFFERENCE.ends, write=interval, spec="+.3f"),
        column("accuracy, points", "accuracy_difference", write=number, spec="+.1f", scale=100),
        "verdict",
        POWER,
        SEEDS,
    ]
    for (name,), part in each(frame, "family"):
        yield from chart(plan.family(name).title, part, columns, DIFFERENCE, name not in opened)


# --- paper A, maps, tables ---


def _systems(tables: Path, start: str, *, folded: bool = False) -> Iterator[Chart]:
    """Yield paper A's Table 4 beside ours, of one start."""
    frame = read(tables, "cag_table4", f"pretrained == '{start}'")
    columns = [
        "system",
        column("printed AUC", "printed_auc"),
        column("ours (95 %)", *AUC.ends, write=interval, missing=NOT_RUN),
        column("printed, %", "printed_accuracy"),
        metric_column("ours, %", "accuracy", **PERCENT),
    ]
    title = start_title("Paper A: AUC on other images", start)
    yield from chart(title, frame, columns, AUC, folded)


def _maps(tables: Path) -> Iterator[Chart]:
    # The controls have no method; of networks that learnt nothing of lesions, the last layer.
    where = "view == 'crops' and measure == 'energy' and (method == 'gradcam' or method.isna())"
    frame = read(tables, "localisation", where)
    if not frame.empty:
        frame = frame[(frame["map"] == LAST) | ~frame["network"].str.contains(",")]
    track = Track("share of the map", "mean", "low", "high")
    columns = [
        column("map", "network", "map", write=_map),
        column("in the box (95 %)", *track.ends, write=interval),
        "images",
    ]
    yield from chart("Energy in the box", frame, columns, track)


def _map(network: str, name: str) -> str:
    return CONTROL_TITLES[name] if network == "input" else f"{network}: `{name}`"


def _page(file: Path) -> Chart:
    title, _, text = file.read_text(encoding="utf-8").partition("# ")[2].partition("\n")
    return Chart(title, to_html(text, depth=2), folded=True)
