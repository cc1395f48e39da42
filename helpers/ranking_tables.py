"""Table 3, measured, as text: `results/tables/medmnist_ranking*`, and the README's block.

`helpers.tables` writes them and checks that they are not stale.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from helpers.automl_tables import AutoMLRow
from helpers.groups import Group
from helpers.paired import Difference
from helpers.ranking import Against, Place, PublishedGain, Ranking, judge_accuracy, primary
from helpers.ranking_grids import (
    OURS,
    against_grid,
    automl_grid,
    claim_grid,
    gain_grid,
    millions,
    not_run_grid,
    other_rows_grid,
    ours,
    published_text,
    range_text,
    ranking_grid,
    silent,
)
from helpers.ranking_order import order_agreement
from helpers.ranking_plan import START_WORDS, STARTS, Plan
from helpers.ranking_results import Results, rank_everything
from helpers.ranking_words import (
    agreement_sentence,
    answers,
    listed,
    mean_ranks_sentence,
    place_sentence,
    protocol_sentence,
)
from helpers.table_text import COMMAND, csv_text, folded, markdown_table, origin, page
from helpers.verdicts import NOT_RUN, Rules

RULE = (
    "Accuracy in % on the test split, mean ± sd over seeds; the epoch was selected on validation "
    "data. The 95 % interval covers test images (Wilson) and seeds (t), joined by MOVER; with one "
    "seed it covers the images alone. The *rank range* holds the ranks that paired tests on the "
    "same images, corrected by Holm over all pairs of the ranking, leave possible. The rule and "
    "the plan stand in `params/ranking.yaml`, with what was fixed before which run was read."
)
OTHER_PROTOCOL = (
    "Published values come from other protocols. *Reproduced*: our interval contains the value. "
    "Marks: T stated in paper B, S read in a public source, M quoted from memory, unverified, and "
    "therefore without a verdict."
)
TOP = 3


# --- files ---------------------------------------------------------------------------------------


def _ranking_sections(results: Results, ranking: Ranking) -> Iterator[str]:
    yield f"### {ranking.title}"
    yield ranking_grid(ranking, results.rules).markdown()
    if names := silent(ranking):
        yield f"Not run: {', '.join(names)}."
    if not ranking.ranked:
        return
    yield place_sentence(ranking, results.plan)
    if table := other_rows_grid(ranking, results.rules).markdown():
        yield f"Further published rows of these models:\n\n{table}"
    focus = results.focus
    yield f"{focus} against every other, {len(ranking.against)} planned comparisons:"
    yield against_grid(ranking.against, focus=focus).markdown()
    yield f"Measured against published order. {agreement_sentence(order_agreement(ranking))}"
    everything = order_agreement(ranking, verified_only=False)
    yield f"With unverified values, for orientation only: {agreement_sentence(everything)}"


def _sections(results: Results) -> Iterator[str]:
    yield "## In short"
    yield "\n".join(f"- {line}" for line in answers(results))
    yield claim_grid(results).markdown()
    for start, heading in STARTS.items():
        rankings = [r for r in results.rankings if r.start == start]
        yield f"## {heading}"
        for ranking in rankings:
            yield from _ranking_sections(results, ranking)
        yield f"### Over the data sets, {START_WORDS[start]}"
        yield mean_ranks_sentence(rankings, results.plan)
    focus = results.focus
    yield f"## As the paper compares: {focus} from ImageNet weights, the others from scratch"
    yield (
        "The starts differ, so this is no ranking of architectures; it repeats what Table 3 does. "
        "A published difference is *reproduced* where our interval contains it and a difference "
        "of its sign is shown, *inconclusive* where it contains it and none is shown."
    )
    for dataset, title in results.plan.datasets.items():
        if table := gain_grid(results, dataset).markdown():
            yield f"### {title}"
            yield table
    yield "## Published systems that are not run"
    yield not_run_grid(results).markdown()
    yield "## Open AutoML"
    yield (
        "Installable today and run on the same splits; none of the published systems, and outside "
        "the rankings, since the budget is another one (`params/automl.yaml`). p values are "
        "corrected over the systems of a data set and start."
    )
    tables = {d: automl_grid(results, d).markdown() for d in results.plan.datasets}
    if not any(tables.values()):
        yield f"{NOT_RUN.capitalize()}."
    for dataset, table in tables.items():
        if table:
            yield f"### {results.plan.datasets[dataset]}"
            yield table
    if results.outside:
        names = sorted({g.config["model"] for g in results.outside})
        yield f"Runs of the recipe outside the plan, not ranked: {', '.join(names)}."


RANKING_COLUMNS = (
    *("dataset", "pretrained", "model", "title", "rank", "rank_best", "rank_worst", "n_ranked"),
    *("seeds", "n_seeds", "n_test_images", "accuracy_mean", "accuracy_sd", "accuracy_low"),
    *("accuracy_high", "auc_mean", "auc_sd", "auc_low", "auc_high", "params", "macs"),
    *("published_row", "published_accuracy", "published_mark", "published_start"),
    *("published_source", "verdict"),
)


def ranking_frame(results: Results) -> pd.DataFrame:
    """Return all rankings as a tidy table: shares from 0 to 1, missing where undefined."""
    rows = [
        _flat_place(place, ranking, results.rules)
        for ranking in results.rankings
        for place in ranking.places
    ]
    table = pd.DataFrame(rows, columns=RANKING_COLUMNS)
    counts = ("rank", "rank_best", "rank_worst", "n_ranked", "n_seeds", "n_test_images")
    return table.astype(dict.fromkeys((*counts, "params", "macs"), "Int64"))


def _flat_place(place: Place, ranking: Ranking, rules: Rules) -> dict[str, Any]:
    flat: dict[str, Any] = {
        "dataset": ranking.dataset,
        "pretrained": ranking.start,
        "model": place.system.model,
        "title": place.system.title,
        "n_ranked": len(ranking.ranked),
        "n_seeds": len(place.group.seeds) if place.group else 0,
    }
    if accuracy := primary(place.system, ranking.dataset, ranking.start):
        flat |= {
            "published_row": accuracy.row,
            "published_accuracy": accuracy.published.fraction,
            "published_mark": accuracy.published.mark,
            "published_start": accuracy.start,
            "published_source": accuracy.published.source,
            "verdict": judge_accuracy(accuracy, place.group, start=ranking.start, rules=rules),
        }
    if place.group:
        model = place.group.record["model"]
        flat |= {
            "rank": place.rank,
            "rank_best": place.best,
            "rank_worst": place.worst,
            "seeds": " ".join(map(str, place.group.seeds)),
            "n_test_images": place.group.n_test,
            "params": model["params"],
            "macs": model["macs"],
        }
        for name, mean in (("accuracy", place.accuracy), ("auc", place.auc)):
            parts = {"mean": mean.mean, "sd": mean.sd, "low": mean.low, "high": mean.high}
            flat |= {f"{name}_{part}": value for part, value in parts.items()}
    return flat


PAIR_COLUMNS = (
    *("comparison", "dataset", "pretrained", "a", "b", "seeds", "n_seeds", "n_test_images"),
    *("difference", "sd", "low", "high", "p", "p_holm", "planned", "shown"),
    *("auc_difference", "auc_low", "auc_high", "p_auc", "p_auc_holm"),
    *("only_a", "only_b", "p_mcnemar", "p_mcnemar_holm", "verdict"),
    *("published_difference", "published_verified", "published_verdict"),
)


def pair_frame(results: Results) -> pd.DataFrame:
    """Return all paired comparisons as a tidy table; accuracy where nothing else is said.

    The comparison is "all pairs", "focus" (against every other of its ranking), "as published" or
    "automl"; each is corrected by itself.
    """
    rows: list[dict[str, Any]] = []
    for ranking in results.rankings:
        where = {"dataset": ranking.dataset, "pretrained": ranking.start}
        for pair in ranking.pairs:
            if pair.accuracy is None:
                continue
            rows.append(
                {"comparison": "all pairs", **where, "a": pair.a, "b": pair.b}
                | _flat_difference(pair.seeds, pair.accuracy)
                | {"p_holm": pair.p_value, "planned": ranking.n_pairs, "shown": pair.shown}
            )
        focus = {"comparison": "focus", **where, "a": results.plan.focus}
        rows += [focus | _flat_against(c) for c in ranking.against]
    for dataset in results.plan.datasets:
        where = {"dataset": dataset, "a": results.plan.focus}
        printed = {c.other: gain for c, gain in results.gains(dataset)}
        for c in results.as_published[dataset]:
            row = {"comparison": "as published", **where, "pretrained": "imagenet and none"}
            rows.append(row | _flat_against(c) | _flat_gain(printed.get(c.other)))
        for _, c in results.against_automl(dataset):
            start = c.other_group.config["pretrained"]
            rows.append({"comparison": "automl", **where, "pretrained": start} | _flat_against(c))
    table = pd.DataFrame(rows, columns=PAIR_COLUMNS)
    counts = ("n_seeds", "n_test_images", "planned", "shown", "only_a", "only_b")
    return table.astype(dict.fromkeys(counts, "Int64"))


def _flat_difference(seeds: Sequence[int], accuracy: Difference) -> dict[str, Any]:
    return {
        "seeds": " ".join(map(str, seeds)),
        "n_seeds": len(seeds),
        "n_test_images": accuracy.n_images,
        "difference": accuracy.value,
        "sd": accuracy.sd,
        "low": accuracy.low,
        "high": accuracy.high,
        "p": accuracy.p_value,
    }


def _flat_against(c: Against) -> dict[str, Any]:
    flat: dict[str, Any] = {"b": c.other, "planned": c.family_size, "verdict": c.verdict}
    if not c.seeds:
        return flat | {"n_seeds": 0}
    return (
        flat
        | _flat_difference(c.seeds, c.accuracy)
        | {
            "p_holm": c.p_accuracy,
            "auc_difference": c.auc.value,
            "auc_low": c.auc.low,
            "auc_high": c.auc.high,
            "p_auc": c.auc.p_value,
            "p_auc_holm": c.p_auc,
            "only_a": c.mcnemar.only_a,
            "only_b": c.mcnemar.only_b,
            "p_mcnemar": c.mcnemar.p_value,
            "p_mcnemar_holm": c.p_mcnemar,
        }
    )


def _flat_gain(gain: PublishedGain | None) -> dict[str, Any]:
    if gain is None:
        return {}
    return {
        "published_difference": gain.value,
        "published_verified": gain.verified,
        "published_verdict": gain.verdict,
    }


def ranking_files(
    groups: Sequence[Group], *, plan: Plan, rules: Rules, automl: Sequence[AutoMLRow] = ()
) -> dict[str, str]:
    """Return the generated files: name -> content; arguments as for `rank_everything`."""
    results = rank_everything(groups, plan=plan, rules=rules, automl=automl)
    intro = f"{RULE} {protocol_sentence(plan)} {OTHER_PROTOCOL}"
    if results.not_run:
        intro += f" {listed(results.not_run)}: {NOT_RUN}, ready to run."
    title = "Table 3, measured"
    return {
        "medmnist_ranking.md": page(title, intro, results.groups, _sections(results)),
        "medmnist_ranking.csv": csv_text(ranking_frame(results)),
        "medmnist_ranking_pairs.csv": csv_text(pair_frame(results), float_format="%.6g"),
    }


# --- the README ----------------------------------------------------------------------------------


def readme_ranking(
    groups: Sequence[Group], *, plan: Plan, rules: Rules, automl: Sequence[AutoMLRow] = ()
) -> str:
    """Return the README's block: the heads of the rankings, the focus, and the answer in words."""
    results = rank_everything(groups, plan=plan, rules=rules, automl=automl)
    parts = [f"{protocol_sentence(plan)} {RULE}"]
    for start, heading in STARTS.items():
        rankings = results.of_start(start)
        parts += [f"**{heading}**", _heads(results, rankings) if rankings else "Not run."]
    parts.append(claim_grid(results).markdown())
    in_words = "\n".join(f"- {line}" for line in answers(results))
    parts.append(folded("Every answer in words: each data set, AutoML, tests over all", in_words))
    made = origin(results.groups)
    parts.append(
        "All models, every pair, AutoML and what is published: "
        "[Table 3, measured](results/tables/medmnist_ranking.md). "
        f"Made by `{COMMAND}` from {made[0].lower()}{made[1:]}."
    )
    return "\n\n".join(parts)


def _heads(results: Results, rankings: Sequence[Ranking]) -> str:
    head = ["data set", "rank", "range", "model", *OURS, "parameters, M", "published"]
    focus = results.plan.focus
    cells = []
    for ranking in rankings:
        for i, place in enumerate(ranking.ranked):
            # The focus and its variants are always shown.
            if i >= TOP and not place.system.model.startswith(focus):
                continue
            accuracy = primary(place.system, ranking.dataset, ranking.start)
            cells.append(
                [
                    ranking.title,
                    f"{place.rank} of {len(ranking.ranked)}",
                    range_text(place),
                    place.system.title,
                    *ours(place.group),
                    millions(place.group.record["model"]["params"]),
                    published_text(accuracy, place.system, ranking.start),
                ]
            )
    return markdown_table(head, cells)
