"""Table 3, measured, as tables: `results/tables/medmnist_ranking*`, and the README's block."""

from collections.abc import Iterator, Sequence
from typing import Any

from helpers.runs.groups import Group
from study.automl.rows import AutoMLRow
from study.compare import Compared
from study.orders import order_agreement
from study.plans.ranking import START_WORDS, STARTS, RankingPlan, published_accuracies
from study.plans.verdicts import Rules
from study.ranking import RankingClaim, Table3, rank_everything
from study.table import (
    Pages,
    Table,
    as_percent,
    column,
    ends,
    estimate,
    folded,
    joined,
    made_from,
    number,
    p_value,
    page,
)
from study.tables.accuracy import DATASET
from study.tables.comparisons import (
    POINTS,
    POWER,
    SIGNED,
    compared_cells,
    difference_column,
    p_column,
)
from study.tables.places import (
    NOT_RUN_TEXT,
    OURS,
    RANK,
    RANKS,
    coverage_table,
    heads,
    ranking_table,
    shown,
)
from study.tables.scores import SEEDS, range_column, score_cells
from study.verdicts import NOT_RUN

RULE = (
    "One protocol for every network, the recipe `ranking` of `params/recipes.yaml`, with few "
    "epochs: what needs a longer training stands lower than it would. Accuracy in % on the test "
    "split, mean ± sd over seeds; the epoch was selected on validation "
    "data. The 95 % interval is for other images and other seeds (docs/methods.md). The *rank "
    "range* holds the ranks that paired tests on the same images, corrected by Holm over all pairs "
    "of the ranking, leave possible. A network most of whose seeds answer one class for every "
    "image is no competitor: it has no rank. The rule and the plan stand in `params/ranking.yaml`, "
    "with what was fixed before which run was read."
)
OTHER_PROTOCOL = (
    "Published values come from other protocols and stand here for orientation; they are judged in "
    "[the table of accuracies](medmnist_accuracy.md). Marks: T stated in paper B, S read in a "
    "public source, M quoted from memory, unverified, and therefore without a verdict."
)

# --- comparisons ---------------------------------------------------------------------------------


def focus_table(results: Table3) -> Table:
    """Return where the focus stands in each ranking, and what it is shown to be against others."""
    rows = []
    for ranking in (r for r in results.rankings if r.ranked):
        place = ranking.place(results.plan.focus)
        shown = [c.shown.get("accuracy") for c in ranking.against]
        rows.append(
            {
                "dataset_title": ranking.title,
                "start": START_WORDS[ranking.start],
                "rank": place.rank,
                "n_ranked": len(ranking.ranked),
                "rank_best": place.best,
                "rank_worst": place.worst,
                "better than": shown.count(1),
                "worse than": shown.count(-1),
                "not told apart": shown.count(0),
                "no test": shown.count(None),
            }
        )
    counts = ("better than", "worse than", "not told apart", "no test")
    columns = (DATASET, "start", RANK, RANKS, *counts)
    return Table.of(rows, columns, f"Where {results.focus} stands", NOT_RUN_TEXT)


def order_table(results: Table3) -> Table:
    """Return how the measured orders agree with the published ones, with and without mark M."""
    rows = []
    for ranking in (r for r in results.rankings if r.ranked):
        for verified in (True, False):
            row = {"dataset_title": ranking.title, "start": START_WORDS[ranking.start]}
            found = order_agreement(ranking, verified_only=verified)
            values = "verified" if verified else "all, for orientation"
            rows.append(row | {"values": values} | vars(found) | {"models": len(found.models)})
    columns = [
        DATASET,
        "start",
        "values",
        "models",
        column("Kendall's tau", "tau", write=number, spec="+.2f"),
        column("p", "p_value", write=p_value),
        column("least possible p", "smallest_p", write="{:.2g}".format),
        column("pairs shown so", "same"),
        column("pairs shown reversed", "reversed"),
        column("not told apart", "undecided"),
    ]
    return Table.of(rows, columns, "Measured and published order", NOT_RUN_TEXT)


def _against_row(c: Compared) -> dict[str, Any]:
    return {"b": c.name, "other": c.title} | compared_cells(c)


def against_table(against: Sequence[Compared], *, focus: str) -> Table:
    """Return the focus against others; differences are the focus less the other."""
    columns = [
        "other",
        SEEDS,
        difference_column("accuracy, points (95 %)", "accuracy", **POINTS),
        p_column("accuracy"),
        column(
            "shown better",
            "accuracy_shown",
            "other",
            write=lambda sign, other: {1: focus, -1: other, 0: "neither"}[sign],
        ),
        column(f"{focus} outperforms it", "verdict"),
        difference_column("AUC (95 %)", "auc", **SIGNED),
        p_column("auc"),
    ]
    return Table.of([_against_row(c) for c in against], columns, empty=NOT_RUN_TEXT)


def _gain_rows(results: Table3, dataset: str) -> list[dict[str, Any]]:
    """Return the paper's comparisons, those without a published difference too."""
    gains = {c.name: (printed, gain) for c, printed, gain in results.gains(dataset)}
    rows = []
    for c in results.as_published[dataset]:
        row = _against_row(c)
        if c.name in gains:
            printed, gain = gains[c.name]
            sides = (printed.focus.published, printed.other.published)
            row |= {
                "published_difference": printed.published.value,
                "published_printed": " - ".join(map(as_percent, sides)),
                "published_row": printed.other.row,
                "published_verified": printed.published.may_carry_verdict,
                "published_verdict": gain.verdict,
                "published_power": gain.power,
            }
        rows.append(row)
    return rows


def gain_table(results: Table3, dataset: str) -> Table:
    """Return the published differences beside the measured ones."""
    columns = [
        column(
            "other",
            "other",
            "published_row",
            write=lambda title, row: title if row == title else f"{title} ({row})",
        ),
        column(
            "published, points",
            "published_difference",
            "published_printed",
            "published_verified",
            write=_published_difference,
        ),
        difference_column("ours, points (95 %)", "accuracy", missing=NOT_RUN, **POINTS),
        range_column("one more pair of runs (95 %)", "accuracy_one_more"),
        SEEDS,
        p_column("accuracy"),
        column("power", "published_power", write=POWER.write),
        column("verdict", "published_verdict"),
    ]
    rows = [row for row in _gain_rows(results, dataset) if "published_row" in row]
    return Table.of(rows, columns, results.plan.datasets[dataset])


def _published_difference(value: float, printed: str, verified: bool) -> str:
    return f"{number(value, **POINTS)} ({printed}{'' if verified else ', unverified'})"


def claim_table(results: Table3) -> Table:
    """Return the paper's claims in words with their verdicts."""
    columns = ("the paper says", "section", "both from scratch", "as the paper compares")
    rows = [
        (f'"{scratch.claim.text}"', scratch.claim.section, _claim_text(scratch), _claim_text(mixed))
        for scratch, mixed in results.claims()
    ]
    return Table.of((dict(zip(columns, row, strict=True)) for row in rows), columns)


def _claim_text(found: RankingClaim) -> str:
    if found.verdict == NOT_RUN:
        return NOT_RUN
    counts = f"better in {found.shown}, worse in {found.contrary}, judged {found.decided}"
    return f"{found.verdict} (of {found.planned}: {counts})"


# --- published systems, AutoML -------------------------------------------------------------------


def not_run_table(results: Table3) -> Table:
    """Return the published systems that are not run: why, and what is published, in percent."""
    plan = results.plan
    systems = [
        (row.name, row.reason, {d: row.published.get(d, {}).get("accuracy") for d in plan.datasets})
        for row in results.automl
        if row.system is None
    ]
    for system in plan.not_rebuilt:
        found = {d: published_accuracies([system.row], d) for d in plan.datasets}
        values = {d: accuracies[0].published for d, accuracies in found.items() if accuracies}
        systems.append((system.title, system.reason, values))
    rows = []
    for title, reason, values in systems:
        known = [value for value in values.values() if value]
        about = {"source": known[0].source, "mark": known[0].mark} if known else {}
        printed = {d: as_percent(value) for d, value in values.items() if value}
        rows.append({"system": title, "reason": reason} | printed | about)
    of_sets = (column(title, dataset) for dataset, title in plan.datasets.items())
    columns = ("system", column(f"why it is {NOT_RUN}", "reason"), *of_sets, "source", "mark")
    return Table.of(rows, columns, "Published, not run")


def automl_table(results: Table3) -> Table:
    """Return the open AutoML systems run on all data sets."""
    rows = [
        {
            "dataset_title": title,
            "system": row.name,
            "budget": row.budget,
            "start": START_WORDS[c.b.config["pretrained"]],
            **score_cells(c.b),
            **ends("less", c.accuracy),
            "p": c.p.get("accuracy"),
            "verdict": c.verdict,
        }
        for dataset, title in results.plan.datasets.items()
        for row, c in results.against_automl(dataset)
    ]
    columns = [
        DATASET,
        "system",
        "budget",
        "start",
        *OURS,
        estimate(f"{results.focus} less it, points (95 %)", "less", **POINTS),
        column("p, corrected", "p", write=p_value),
        column(f"{results.focus} outperforms it", "verdict"),
    ]
    return Table.of(rows, columns, "Open AutoML", NOT_RUN_TEXT)


# --- files ---------------------------------------------------------------------------------------


def _sections(results: Table3) -> Iterator[str | Table]:
    yield from ("## What is run", coverage_table(results))
    yield from (f"## {results.focus} in short", focus_table(results), claim_table(results))
    for start, heading in STARTS.items():
        yield f"## {heading}"
        table = shown(ranking_table([r for r in results.rankings if r.start == start]))
        for ranking in (r for r in results.rankings if r.start == start):
            yield from (f"### {ranking.heading}", table.where(dataset=ranking.dataset))
            if ranking.ranked:
                yield f"{results.focus} against every other:"
                yield against_table(ranking.against, focus=results.focus)
    yield from ("## Measured against published order", order_table(results))
    yield (
        f"## As the paper compares: {results.focus} from ImageNet weights, the others from scratch"
    )
    yield (
        "The starts differ, so this is no ranking of architectures; it repeats what Table 3 does. "
        "The verdict on a published difference is *shown* where its sign is shown and the interval "
        "of one more pair of runs holds it, *excluded* where that interval leaves it out."
    )
    for dataset, title in results.plan.datasets.items():
        table = gain_table(results, dataset)
        if not table.frame.empty:
            yield from (f"### {title}", table)
    yield from ("## Published systems that are not run", not_run_table(results))
    yield from ("## Open AutoML", OPEN_AUTOML, automl_table(results))
    if results.outside:
        names = sorted({g.config["model"] for g in results.outside})
        yield f"Runs of the recipe outside the plan, not ranked: {', '.join(names)}."


OPEN_AUTOML = (
    "Installable today and run on the same splits; none of the published systems, and outside "
    "the rankings, since the budget is another one (`params/automl.yaml`). p values are "
    "corrected over the systems of a data set and start."
)


def pair_table(results: Table3) -> Table:
    """Return all paired comparisons, shares from 0 to 1.

    The comparison is "all pairs", "focus" (against every other of its ranking), "as published" or
    "automl"; each is corrected by itself.
    """
    rows: list[dict[str, Any]] = []

    def add(kind: str, dataset: str, start: str, row: dict[str, Any]) -> None:
        where = {"comparison": kind, "dataset": dataset, "pretrained": start}
        rows.append(where | {"a": results.plan.focus} | row)

    for ranking in results.rankings:
        for (a, b), c in ranking.pairs.items():
            if c.accuracy is not None:
                cells = compared_cells(c)
                row = {"a": a, "b": b} | {name: cells[name] for name in _OF_PAIRS}
                add("all pairs", ranking.dataset, ranking.start, row)
        for c in ranking.against:
            add("focus", ranking.dataset, ranking.start, _against_row(c))
    for dataset in results.plan.datasets:
        for row in _gain_rows(results, dataset):
            add("as published", dataset, "imagenet and none", row)
        for _, c in results.against_automl(dataset):
            add("automl", dataset, c.b.config["pretrained"], _against_row(c))
    return Table.of(rows, [])


_OF_PAIRS = (
    "planned",
    "seeds",
    "n_seeds",
    "accuracy_difference",
    "accuracy_low",
    "accuracy_high",
    "p_accuracy",
    "p_accuracy_holm",
    "accuracy_shown",
    "n_test_images",
)


def ranking_pages(
    groups: Sequence[Group], *, plan: RankingPlan, rules: Rules, automl: Sequence[AutoMLRow] = ()
) -> Pages:
    """Return all rankings; the block has their heads, where the focus stands, the claims.

    Arguments as for `rank_everything`.
    """
    results = rank_everything(groups, plan=plan, rules=rules, automl=automl)
    text = page(
        "Table 3, measured", f"{RULE} {OTHER_PROTOCOL}", *_sections(results), of=results.groups
    )
    files = {
        "medmnist_ranking.md": text,
        "medmnist_ranking.csv": ranking_table(results.rankings).csv(),
        "medmnist_ranking_pairs.csv": pair_table(results).csv(float_format="%.6g"),
    }
    parts: list[str | Table] = [RULE]
    for start, heading in STARTS.items():
        parts += [f"**{heading}**", heads(results.of_start(start), plan.focus)]
    more = joined(order_table(results), automl_table(results))
    block = joined(
        *parts,
        focus_table(results),
        claim_table(results),
        folded("Published order, and open AutoML", more),
        "All models, every pair, AutoML and what is published: "
        f"[Table 3, measured](results/tables/medmnist_ranking.md). {made_from(results.groups)}",
    )
    return Pages(files, block)
