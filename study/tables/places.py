"""Table 3, measured: the places of networks as tables."""

from collections.abc import Sequence

from study.plans.ranking import START_WORDS
from study.ranking import Ranking, Table3, primary
from study.table import Column, Table, as_percent, column
from study.tables.accuracy import DATASET
from study.tables.scores import (
    AUC,
    SEEDS,
    accuracy_column,
    count_column,
    range_column,
    score_cells,
)
from study.verdicts import NOT_RUN

TOP = 3
NOT_RUN_TEXT = f"{NOT_RUN.capitalize()}."


def _published_text(
    printed: str, row: str, title: str, of_start: str, start: str, mark: str
) -> str:
    """Write a published accuracy in percent, with what sets its row apart from the system."""
    notes = [] if row == title else [row]
    if of_start not in (start, "not given"):
        notes.append(START_WORDS[of_start])
    if mark == "M":
        notes.append("unverified")
    return f"{printed} ({', '.join(notes)})" if notes else printed


OURS = (
    accuracy_column("ours, mean ± sd"),
    range_column("95 %"),
    AUC,
    SEEDS,
)
RANK = column("rank", "rank", "n_ranked", write="{} of {}".format)
RANKS = column(
    "range",
    "rank_best",
    "rank_worst",
    write=lambda best, worst: f"{best}" if best == worst else f"{best} to {worst}",
)
_MODEL = column("model", "title")
_PUBLISHED = column(
    "published",
    "published_printed",
    "published_row",
    "title",
    "published_start",
    "pretrained",
    "published_mark",
    write=_published_text,
)
_SIZE = count_column("parameters, M", "params")
PLACES = ("rank", RANKS, _MODEL, *OURS, _SIZE, count_column("MACs, M", "macs"), _PUBLISHED)
HEADS = (DATASET, RANK, RANKS, _MODEL, *OURS, _SIZE, _PUBLISHED)


def ranking_table(rankings: Sequence[Ranking], columns: Sequence[Column | str] = PLACES) -> Table:
    """Return the places of rankings, shares from 0 to 1; see `shown`."""
    rows = []
    for ranking in rankings:
        for place in ranking.places:
            accuracy = primary(place.system, ranking.dataset, ranking.start)
            printed = accuracy and accuracy.published
            rows.append(
                {
                    "dataset": ranking.dataset,
                    "dataset_title": ranking.title,
                    "pretrained": ranking.start,
                    "model": place.system.model,
                    "title": place.system.title,
                    "rank": place.rank,
                    "rank_best": place.best,
                    "rank_worst": place.worst,
                    "n_ranked": len(ranking.ranked),
                    **score_cells(place.group),
                    "published_row": accuracy and accuracy.row,
                    "published_accuracy": printed and printed.fraction,
                    "published_printed": printed and as_percent(printed),
                    "published_mark": printed and printed.mark,
                    "published_start": accuracy and accuracy.start,
                    "published_source": printed and printed.source,
                }
            )
    return Table.of(rows, columns, empty=NOT_RUN_TEXT)


def shown(table: Table) -> Table:
    """Leave out the models that are neither run nor published."""
    return table.keep((table.frame["n_seeds"] > 0) | table.frame["published_row"].notna())


def heads(rankings: Sequence[Ranking], focus: str) -> Table:
    """Return the first places, and those of the focus and its variants."""
    table = ranking_table(rankings, HEADS)
    if table.frame.empty:
        return table
    # The places come in order of rank.
    top = table.frame.groupby("dataset").cumcount() < TOP
    own = table.frame["model"].str.startswith(focus)
    return table.keep((top | own) & table.frame["rank"].notna())


def coverage_table(results: Table3) -> Table:
    """Return how much of the plan is run, by data set and start, and for how many epochs."""
    plan, rows = results.plan, []
    for ranking in results.rankings:
        seeds = [len(group.seeds) for group in ranking.groups]
        rows.append(
            {
                "data set": ranking.title,
                "start": START_WORDS[ranking.start],
                "epochs": plan.config(ranking.dataset, plan.focus, ranking.start).epochs,
                "models run": len(seeds) or NOT_RUN,
                "planned": len(ranking.places),
                "fewest": min(seeds, default=None),
                "most": max(seeds, default=None),
                "runs": sum(seeds),
            }
        )
    spread = column("seeds", "fewest", "most", write="{} to {}".format)
    columns = ("data set", "start", "epochs", "models run", "planned", spread, "runs")
    return Table.of(rows, columns, "What is run")
