"""Table 3, measured, as text: `results/tables/medmnist_ranking*`, and the README's block.

`study.tables` writes them and checks that they are not stale.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from helpers.config import load_recipes
from helpers.metrics.intervals import one_more_run
from helpers.metrics.scores import Estimate
from helpers.metrics.seeds import aggregate_seeds
from helpers.runs.groups import Group
from study.automl.rows import AutoMLRow
from study.orders import Agreement, order_agreement
from study.plans.ranking import (
    START_WORDS,
    STARTS,
    Plan,
    PublishedAccuracy,
    System,
    published_accuracies,
)
from study.plans.verdicts import Rules
from study.ranking import (
    Against,
    JudgedClaim,
    Place,
    PrintedDifference,
    Ranking,
    Results,
    primary,
    rank_everything,
)
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
from study.tables.accuracy import constant_text, range_text
from study.verdicts import NO_COMPETITOR, NOT_RUN
from study.words import interval_text, p_text, power_text, signed


@dataclass(frozen=True)
class Grid:
    """A table of text.

    Attributes:
        head: names of the columns.
        cells: lines.
    """

    head: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return a markdown table, "" if there are no lines."""
        return markdown_table(self.head, self.cells) if self.cells else ""

    def frame(self, *columns: str) -> pd.DataFrame:
        """Return a data frame, of some columns if any are named."""
        frame = pd.DataFrame(self.cells, columns=self.head)
        return frame[list(columns)] if columns else frame


def _grid(head: Sequence[str], cells: Sequence[Sequence[str]]) -> Grid:
    return Grid(tuple(head), tuple(tuple(line) for line in cells))


def published_text(accuracy: PublishedAccuracy | None, system: System, start: str) -> str:
    """Write a published accuracy in percent, with what sets its row apart from the system."""
    if accuracy is None:
        return ""
    remarks = [] if accuracy.row == system.title else [accuracy.row]
    if not accuracy.fits(start):
        remarks.append(START_WORDS[accuracy.start])
    if accuracy.published.mark == "M":
        remarks.append("unverified")
    text = as_percent(accuracy.published)
    return f"{text} ({', '.join(remarks)})" if remarks else text


def ranks_text(place: Place) -> str:
    """Write a rank range."""
    if place.rank is None:
        return ""
    return f"{place.best}" if place.best == place.worst else f"{place.best} to {place.worst}"


def millions(count: int | None) -> str:
    """Write a count in millions."""
    return "" if count is None else f"{count / 1e6:.1f}"


def points(difference: Estimate | None) -> str:
    """Write a difference of accuracies in points, with its interval."""
    return interval_text(difference, scale=100, digits=1)


def _p(value: float | None) -> str:
    return "" if value is None else p_text(value).removeprefix("p = ").removeprefix("p ")


def ours(group: Group | None) -> list[str]:
    """Write the cells of `OURS`."""
    if group is None:
        return [NOT_RUN, "", "", ""]
    return [
        f"{mean_sd(group.values('accuracy'), scale=100, digits=1)}{constant_text(group)}",
        range_text(group.accuracy),
        mean_sd(group.values("auc")),
        f"n = {len(group.seeds)}",
    ]


OURS = ("ours, mean ± sd", "95 %", "AUC", "seeds")


def ranking_grid(ranking: Ranking) -> Grid:
    """Write a ranking; models neither run nor published are left out, see `silent`."""
    head = ["rank", "range", "model", *OURS, "parameters, M", "MACs, M", "published"]
    cells = []
    for place in ranking.places:
        accuracy = primary(place.system, ranking.dataset, ranking.start)
        if place.group is None and accuracy is None:
            continue
        model = place.group.record["model"] if place.group else {"params": None, "macs": None}
        cells.append(
            [
                str(place.rank or ""),
                ranks_text(place),
                place.system.title,
                *ours(place.group),
                millions(model["params"]),
                millions(model["macs"]),
                published_text(accuracy, place.system, ranking.start),
            ]
        )
    return _grid(head, cells)


def silent(ranking: Ranking) -> list[str]:
    """Return the titles of the models neither run nor published."""
    return [
        place.system.title
        for place in ranking.places
        if place.group is None and primary(place.system, ranking.dataset, ranking.start) is None
    ]


def against_grid(against: Sequence[Against], *, focus: str) -> Grid:
    """Write the focus against others; differences are the focus less the other."""
    head = [
        *("other", "seeds", "accuracy, points (95 %)", "p, corrected", "shown better"),
        *(f"{focus} outperforms it", "AUC (95 %)", "p, corrected"),
    ]
    cells = [
        [
            c.title,
            f"n = {len(c.seeds)}" if c.seeds else "",
            points(c.accuracy),
            _p(c.p.get("accuracy")),
            {1: focus, -1: c.title, 0: "neither", None: ""}[c.shown.get("accuracy")],
            c.verdict,
            interval_text(c.auc),
            _p(c.p.get("auc")),
        ]
        for c in against
    ]
    return _grid(head, cells)


def gain_grid(results: Results, dataset: str) -> Grid:
    """Write the published differences beside the measured ones."""
    head = [
        *("other", "published, points", "ours, points (95 %)", "one more pair of runs (95 %)"),
        *("seeds", "p, corrected", "power", "verdict"),
    ]
    cells = []
    for c, gain, verdict in results.gains(dataset):
        printed = f"{as_percent(gain.focus.published)} - {as_percent(gain.other.published)}"
        text = f"{signed(100 * gain.value, digits=1)} ({printed}"
        one_more = c.one_more.get("accuracy")
        cells.append(
            [
                c.title if gain.other.row == c.title else f"{c.title} ({gain.other.row})",
                f"{text})" if gain.verified else f"{text}, unverified)",
                points(c.accuracy) or NOT_RUN,
                range_text(one_more) if one_more else "",
                f"n = {len(c.seeds)}" if c.seeds else "",
                _p(c.p.get("accuracy")),
                power_text(c.power) if gain.verified else "",
                verdict,
            ]
        )
    return _grid(head, cells)


def not_run_grid(results: Results) -> Grid:
    """Write the published systems that are not run: why, and what is published, in percent."""
    plan = results.plan
    head = ["system", f"why it is {NOT_RUN}", *plan.datasets.values(), "source", "mark"]
    systems = [
        (row.name, row.reason, {d: row.published.get(d, {}).get("accuracy") for d in plan.datasets})
        for row in results.automl
        if row.system is None
    ]
    for system in plan.not_rebuilt:
        found = {d: published_accuracies([system.row], d) for d in plan.datasets}
        values = {d: accuracies[0].published for d, accuracies in found.items() if accuracies}
        systems.append((system.title, system.reason, values))
    cells = []
    for title, reason, values in systems:
        known = [value for value in values.values() if value]
        printed = [as_percent(values[d]) if values.get(d) else "" for d in plan.datasets]
        source = [known[0].source, known[0].mark] if known else ["", ""]
        cells.append([title, reason, *printed, *source])
    return _grid(head, cells)


def automl_grid(results: Results, dataset: str) -> Grid:
    """Write the open AutoML systems run on a data set."""
    head = [
        *("system", "budget", "start", *OURS),
        *(f"{results.focus} less it, points (95 %)", "p, corrected"),
        f"{results.focus} outperforms it",
    ]
    cells = [
        [
            *(row.name, row.budget, START_WORDS[c.other_group.config["pretrained"]]),
            *ours(c.other_group),
            *(points(c.accuracy), _p(c.p.get("accuracy")), c.verdict),
        ]
        for row, c in results.against_automl(dataset)
    ]
    return _grid(head, cells)


def claim_grid(results: Results) -> Grid:
    """Write the paper's claims in words with their verdicts."""
    head = ["the paper says", "section", "both from scratch", "as the paper compares"]
    cells = [
        [f'"{scratch.claim.text}"', scratch.claim.section, claim_text(scratch), claim_text(mixed)]
        for scratch, mixed in results.claims()
    ]
    return _grid(head, cells)


def coverage_grid(results: Results) -> Grid:
    """Write how much of the plan is run, by data set and start."""
    head = ["data set", "start", "models run", "planned", "seeds", "runs"]
    cells = []
    for ranking in results.rankings:
        seeds = [len(group.seeds) for group in ranking.groups]
        spread = f"{min(seeds)} to {max(seeds)}" if seeds else ""
        start = START_WORDS[ranking.start]
        counts = [str(len(seeds) or NOT_RUN), str(len(ranking.places)), spread, str(sum(seeds))]
        cells.append([ranking.title, start, *counts])
    return _grid(head, cells)


def protocol_sentence(plan: Plan) -> str:
    """Say what the one protocol is, from the recipe."""
    recipe = load_recipes()[plan.recipe]
    epochs = recipe["epochs"]
    if isinstance(epochs, dict):
        by_count: dict[int, list[str]] = {}
        for name, title in plan.datasets.items():
            by_count.setdefault(epochs.get(name, epochs["default"]), []).append(title)
        epochs = "; ".join(f"{n} on {listed(titles)}" for n, titles in by_count.items())
    return (
        f"One protocol for every network (recipe `{plan.recipe}`): {recipe['image_size']} px, "
        f"{recipe['optimizer']} at {recipe['learning_rate']:g}, batches of "
        f"{recipe['batch_size']}, augmentation {recipe['augmentation']!r}, epochs: {epochs}. The "
        "budget is small: what needs a longer training stands lower than it would."
    )


def listed(names: Sequence[str]) -> str:
    """Write names as "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def place_sentence(ranking: Ranking, plan: Plan) -> str:
    """Say where the focus stands."""
    place = ranking.place(plan.focus)
    if place.group is None:
        return f"{ranking.heading}: {place.system.title} is {NOT_RUN}."
    if place.rank is None:
        return f"{ranking.heading}: {place.system.title} is {NO_COMPETITOR}."
    return (
        f"{ranking.heading}: {place.system.title} has rank {place.rank} of {len(ranking.ranked)} "
        f"({percent(place.accuracy.value)} %, n = {place.accuracy.seeds}; ranks "
        f"{place.best} to {place.worst} are possible)."
    )


def against_sentence(against: Sequence[Against], *, name_up_to: int = 6) -> str:
    """Count what the focus is shown to be against others, naming few and counting many."""
    words = {
        1: "better than {}",
        -1: "worse than {}",
        0: "not told apart from {}",
        NO_COMPETITOR: f"{{}} {NO_COMPETITOR} (one class for all images)",
        NOT_RUN: f"{NOT_RUN} against {{}}",
        None: "too few seeds for a test against {}",
    }
    found: dict[object, list[str]] = {key: [] for key in words}
    for c in against:
        key = c.shown.get("accuracy")
        if not c.seeds:
            key = NOT_RUN
        elif c.no_competitor:
            key = NO_COMPETITOR
        found[key].append(c.title)
    parts = []
    for key, names in found.items():
        if names:
            many = f"{len(names)} of {len(against)}"
            parts.append(words[key].format(listed(names) if len(names) <= name_up_to else many))
    return "; ".join(parts)


def gains_sentence(results: Results, dataset: str) -> str:
    """Say what became of the published differences on a data set; "" if none is verified."""
    found: dict[str, list[str]] = {}
    for c, gain, verdict in results.gains(dataset):
        if gain.verified:
            name = f"{c.title} ({signed(100 * gain.value, digits=1)})"
            found.setdefault(verdict, []).append(name)
    parts = [f"over {listed(names)}: {verdict}" for verdict, names in found.items()]
    if not parts:
        return ""
    return f"{results.plan.datasets[dataset]}, published differences in points {'; '.join(parts)}."


def agreement_sentence(agreement: Agreement) -> str:
    """Say how the measured order agrees with the published one."""
    n = len(agreement.models)
    if agreement.tau is None:
        return f"{n} model{'' if n == 1 else 's'} with a published value: no order to compare."
    return (
        f"Kendall's tau {signed(agreement.tau, digits=2)} over {n} models "
        f"({p_text(agreement.p_value)}; the least possible with so many is "
        f"{agreement.smallest_p:.2g}); of the published pairs {agreement.same} are shown so, "
        f"{agreement.reversed} are shown reversed, {agreement.undecided} are not told apart."
    )


def claim_text(judged: JudgedClaim) -> str:
    """Write a claim's verdict with its counts."""
    if judged.verdict == NOT_RUN:
        return NOT_RUN
    parts = [f"better in {judged.shown} of {judged.planned}"]
    if judged.contrary:
        parts.append(f"worse in {judged.contrary}")
    if judged.judged < judged.planned:
        parts.append(f"{judged.planned - judged.judged} without a verdict")
    return f"{judged.verdict} ({', '.join(parts)})"


def answers(results: Results) -> Iterator[str]:
    """Say what the measurement shows of Table 3, in sentences."""
    for start in results.plan.starts:
        for ranking in results.of_start(start):
            place = place_sentence(ranking, results.plan)
            yield f"{place} Against every other: {against_sentence(ranking.against)}."
    for dataset in results.plan.datasets:
        compared = results.as_published[dataset]
        if any(c.seeds for c in compared) and (said := gains_sentence(results, dataset)):
            yield f"As the paper compares (pretrained against scratch). {said}"
    for dataset, title in results.plan.datasets.items():
        for row, c in results.against_automl(dataset):
            mean = percent(c.other_group.accuracy.value)
            said = f"{title}, {row.name} ({row.budget}): {mean} %, n = {len(c.other_group.seeds)}"
            yield f"Open AutoML. {said}; {results.focus} outperforms it: {c.verdict}."
    if results.not_run:
        yield f"{listed(results.not_run)}: {NOT_RUN}, ready to run."


RULE = (
    "Accuracy in % on the test split, mean ± sd over seeds; the epoch was selected on validation "
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
TOP = 3


# --- files ---------------------------------------------------------------------------------------


def _ranking_sections(results: Results, ranking: Ranking) -> Iterator[str]:
    yield f"### {ranking.title}"
    yield ranking_grid(ranking).markdown()
    if names := silent(ranking):
        yield f"Not run: {', '.join(names)}."
    if not ranking.ranked:
        return
    yield place_sentence(ranking, results.plan)
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
    focus = results.focus
    yield f"## As the paper compares: {focus} from ImageNet weights, the others from scratch"
    yield (
        "The starts differ, so this is no ranking of architectures; it repeats what Table 3 does. "
        "The verdict on a published difference is *shown* where its sign is shown and the interval "
        "of one more pair of runs holds it, *excluded* where that interval leaves it out."
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
    *("published_source", "one_more_low", "one_more_high", "n_constant"),
)


def ranking_frame(results: Results) -> pd.DataFrame:
    """Return all rankings as a tidy table: shares from 0 to 1, missing where undefined."""
    rows = [_flat_place(place, ranking) for ranking in results.rankings for place in ranking.places]
    table = pd.DataFrame(rows, columns=RANKING_COLUMNS)
    counts = (
        "rank",
        "rank_best",
        "rank_worst",
        "n_ranked",
        "n_seeds",
        "n_test_images",
        "n_constant",
    )
    return table.astype(dict.fromkeys((*counts, "params", "macs"), "Int64"))


def _flat_place(place: Place, ranking: Ranking) -> dict[str, Any]:
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
            sd = aggregate_seeds(place.group.values(name))["sd"]
            parts = {"mean": mean.value, "sd": sd, "low": mean.low, "high": mean.high}
            flat |= {f"{name}_{part}": value for part, value in parts.items()}
        one_more = place.group.estimate("accuracy", one_more_run)
        flat |= {"one_more_low": one_more.low, "one_more_high": one_more.high}
        flat["n_constant"] = len(place.group.constant)
    return flat


PAIR_COLUMNS = (
    *("comparison", "dataset", "pretrained", "a", "b", "seeds", "n_seeds", "n_test_images"),
    *("difference", "low", "high", "p", "p_holm", "planned", "sign_shown"),
    *("one_more_low", "one_more_high", "auc_difference", "auc_low", "auc_high", "p_auc"),
    *("p_auc_holm", "verdict", "published_difference", "published_verified"),
    *("published_verdict", "published_power"),
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
                | {"p_holm": pair.p_value, "planned": ranking.n_pairs, "sign_shown": pair.shown}
            )
        focus = {"comparison": "focus", **where, "a": results.plan.focus}
        rows += [focus | _flat_against(c) for c in ranking.against]
    for dataset in results.plan.datasets:
        where = {"dataset": dataset, "a": results.plan.focus}
        printed = {c.other: (gain, verdict) for c, gain, verdict in results.gains(dataset)}
        for c in results.as_published[dataset]:
            row = {"comparison": "as published", **where, "pretrained": "imagenet and none"}
            rows.append(row | _flat_against(c) | _flat_gain(c, *printed.get(c.other, ())))
        for _, c in results.against_automl(dataset):
            start = c.other_group.config["pretrained"]
            rows.append({"comparison": "automl", **where, "pretrained": start} | _flat_against(c))
    table = pd.DataFrame(rows, columns=PAIR_COLUMNS)
    counts = ("n_seeds", "n_test_images", "planned", "sign_shown")
    return table.astype(dict.fromkeys(counts, "Int64"))


def _flat_difference(seeds: Sequence[int], accuracy: Estimate) -> dict[str, Any]:
    return {
        "seeds": " ".join(map(str, seeds)),
        "n_seeds": len(seeds),
        "n_test_images": accuracy.n,
        "difference": accuracy.value,
        "low": accuracy.low,
        "high": accuracy.high,
        "p": accuracy.p,
    }


def _flat_against(c: Against) -> dict[str, Any]:
    flat: dict[str, Any] = {"b": c.other, "planned": c.family_size, "verdict": c.verdict}
    if not c.seeds:
        return flat | {"n_seeds": 0}
    return (
        flat
        | _flat_difference(c.seeds, c.accuracy)
        | {
            "p_holm": c.p["accuracy"],
            "sign_shown": c.shown["accuracy"],
            "one_more_low": c.one_more["accuracy"].low,
            "one_more_high": c.one_more["accuracy"].high,
            "auc_difference": c.auc.value,
            "auc_low": c.auc.low,
            "auc_high": c.auc.high,
            "p_auc": c.auc.p,
            "p_auc_holm": c.p["auc"],
        }
    )


def _flat_gain(
    c: Against, gain: PrintedDifference | None = None, verdict: str = ""
) -> dict[str, Any]:
    if gain is None:
        return {}
    return {
        "published_difference": gain.value,
        "published_verified": gain.verified,
        "published_verdict": verdict,
        "published_power": c.power,
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
                    ranks_text(place),
                    place.system.title,
                    *ours(place.group),
                    millions(place.group.record["model"]["params"]),
                    published_text(accuracy, place.system, ranking.start),
                ]
            )
    return markdown_table(head, cells)
