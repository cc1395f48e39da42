"""What the measured Table 3 shows, in sentences."""

from collections.abc import Iterator, Sequence

from helpers.comparisons import INCONCLUSIVE, NO_DIFFERENCE, UNTESTABLE, p_text, signed
from helpers.config import load_recipes
from helpers.ranking import HOLDS, OTHER_BETTER, Against, Ranking
from helpers.ranking_order import Agreement, mean_ranks
from helpers.ranking_plan import STARTS, Plan
from helpers.ranking_results import JudgedClaim, Results
from helpers.table_text import percent
from helpers.verdicts import NOT_RUN, OURS_HIGHER, OURS_LOWER, REPRODUCED, TOO_FEW_SEEDS


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
    return (
        f"{ranking.heading}: {place.system.title} has rank {place.rank} of {len(ranking.ranked)} "
        f"({percent(place.accuracy.mean)} %, n = {place.accuracy.n_seeds}; ranks "
        f"{place.best} to {place.worst} are possible)."
    )


_COUNTED = {
    HOLDS: "better than {}",
    OTHER_BETTER: "worse than {}",
    NO_DIFFERENCE: "not told apart from {}",
    UNTESTABLE: "no test possible against {}",
    TOO_FEW_SEEDS: "too few seeds for a verdict against {}",
    NOT_RUN: "not run against {}",
}


def against_sentence(against: Sequence[Against], *, name_up_to: int = 6) -> str:
    """Count the verdicts of the focus against others, naming few and counting many."""
    parts = []
    for verdict, words in _COUNTED.items():
        names = [c.title for c in against if c.verdict == verdict]
        if names:
            many = f"{len(names)} of {len(against)}"
            who = listed(names) if len(names) <= name_up_to else many
            parts.append(words.format(who))
    return "; ".join(parts)


_GAIN_ORDER = (
    REPRODUCED,
    INCONCLUSIVE,
    OURS_LOWER,
    OURS_HIGHER,
    UNTESTABLE,
    TOO_FEW_SEEDS,
    NOT_RUN,
)


def gains_sentence(results: Results, dataset: str) -> str:
    """Say what became of the published differences on a data set; "" if none is verified."""
    verified = [(c, gain) for c, gain in results.gains(dataset) if gain.verified]
    parts = []
    for verdict in _GAIN_ORDER:
        names = [
            f"{c.title} ({signed(100 * gain.value, digits=1)})"
            for c, gain in verified
            if gain.verdict == verdict
        ]
        if names:
            parts.append(f"over {listed(names)}: {verdict}")
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
        parts.append(f"{judged.planned - judged.judged} without enough seeds")
    return f"{judged.verdict} ({', '.join(parts)})"


def mean_ranks_sentence(rankings: Sequence[Ranking], plan: Plan) -> str:
    """Say what Friedman's test and the critical difference can tell over the data sets run."""
    found = mean_ranks(rankings, plan=plan)
    if found.critical_difference is None:
        return (
            f"{len(found.datasets)} data set(s) with {len(found.models)} common model(s): too few "
            "for mean ranks over data sets."
        )
    test = f"{len(found.models)} models on {len(found.datasets)} data sets: Friedman's"
    critical = f"{p_text(found.p_value)}; critical difference of mean ranks (Nemenyi) "
    critical += f"{found.critical_difference:.1f}"
    if found.can_show:
        return f"{test} {critical}."
    return (
        f"{test} {critical}, but no two can lie further apart than {found.largest_possible}: with "
        "so few data sets mean ranks tell no two models apart, and the paired tests on the same "
        "images carry the ranking."
    )


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
            mean = percent(c.other_group.accuracy.mean)
            said = f"{title}, {row.name} ({row.budget}): {mean} %, n = {len(c.other_group.seeds)}"
            yield f"Open AutoML. {said}; {results.focus} outperforms it: {c.verdict}."
    for start in results.plan.starts:
        if rankings := results.of_start(start):
            yield f"{STARTS[start]}. {mean_ranks_sentence(rankings, results.plan)}"
    if results.not_run:
        yield f"{listed(results.not_run)}: {NOT_RUN}, ready to run."
