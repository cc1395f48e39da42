"""Table 3, measured: ranks with their uncertainty, by the rule of `params/ranking.yaml`."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from helpers.comparisons import (
    INCONCLUSIVE,
    NO_DIFFERENCE,
    UNTESTABLE,
    find_group,
    paired_predictions,
)
from helpers.groups import Group
from helpers.metrics import LEVEL
from helpers.paired import (
    Difference,
    accuracy_difference,
    auc_difference,
    majority_mcnemar,
    mean_auc,
)
from helpers.ranking_plan import (
    START_WORDS,
    Plan,
    PublishedAccuracy,
    System,
    published_accuracies,
)
from helpers.statistical_tests import McnemarResult, holm
from helpers.verdicts import (
    NOT_RUN,
    OURS_HIGHER,
    OURS_LOWER,
    REPRODUCED,
    TOO_FEW_SEEDS,
    UNVERIFIED,
    Rules,
    SeedMean,
    judge,
)

HOLDS = "holds"
OTHER_BETTER = "does not hold, the other is better"
OTHER_START = "other start, not judged"


@dataclass(frozen=True)
class Place:
    """A model's place in a ranking.

    Attributes:
        system: the model.
        group: its runs, None where there are none; then the numbers are None too.
        accuracy: mean over the seeds, with the interval of images and seeds.
        auc: likewise.
        rank: 1 + how many models have a higher mean.
        best: the best rank that the paired tests leave possible.
        worst: the worst one.
    """

    system: System
    group: Group | None
    accuracy: SeedMean | None = None
    auc: SeedMean | None = None
    rank: int | None = None
    best: int | None = None
    worst: int | None = None


@dataclass(frozen=True)
class PairTest:
    """Two models of a ranking on the same test images; numbers are a less b.

    Attributes:
        a: model.
        b: model.
        seeds: those that both have.
        accuracy: None without a common seed.
        p_value: corrected over all planned pairs of the ranking; None where none can be given.
        shown: 1 where a is shown to be better, -1 where b is, else 0.
    """

    a: str
    b: str
    seeds: tuple[int, ...] = ()
    accuracy: Difference | None = None
    p_value: float | None = None
    shown: int = 0


@dataclass(frozen=True)
class Against:
    """One model against another, a planned comparison; numbers are the focus less the other.

    Attributes:
        other: the other's name.
        title: the other's title.
        focus_group: runs, None if there are none.
        other_group: likewise.
        seeds: those that both have.
        accuracy: None without a common seed, as the next two.
        auc: difference of the AUC.
        mcnemar: test of the majority decisions.
        p_accuracy: corrected for the family, None without a verdict; so are the next two.
        p_auc: corrected by itself.
        p_mcnemar: corrected by itself.
        family_size: comparisons in the family.
        verdict: on "the focus outperforms the other": `HOLDS`, `OTHER_BETTER`, `NO_DIFFERENCE`,
            `TOO_FEW_SEEDS`, `UNTESTABLE`, `NOT_RUN`.
    """

    other: str
    title: str
    focus_group: Group | None
    other_group: Group | None
    seeds: tuple[int, ...] = ()
    accuracy: Difference | None = None
    auc: Difference | None = None
    mcnemar: McnemarResult | None = None
    p_accuracy: float | None = None
    p_auc: float | None = None
    p_mcnemar: float | None = None
    family_size: int = 1
    verdict: str = NOT_RUN


@dataclass(frozen=True)
class Ranking:
    """A ranking of all models of one start on one data set.

    Attributes:
        dataset: name.
        title: of the data set.
        start: "none" or "imagenet".
        places: best mean first, models without runs last, in the plan's order.
        pairs: all pairs of models with runs.
        n_pairs: how many are planned.
        against: the focus against every other.
    """

    dataset: str
    title: str
    start: str
    places: tuple[Place, ...]
    pairs: tuple[PairTest, ...]
    n_pairs: int
    against: tuple[Against, ...]

    @property
    def heading(self) -> str:
        """The data set and the start in words."""
        return f"{self.title}, {START_WORDS[self.start]}"

    @property
    def ranked(self) -> tuple[Place, ...]:
        """The places of models with runs."""
        return tuple(place for place in self.places if place.group)

    def place(self, model: str) -> Place:
        """Return a model's place."""
        return next(place for place in self.places if place.system.model == model)

    @property
    def groups(self) -> list[Group]:
        """All runs that enter."""
        return [place.group for place in self.ranked]


# --- differences ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scatter:
    """How far the accuracies of a model's seeds scatter, pooled over models.

    Attributes:
        variance: of one seed's accuracy.
        df: its degrees of freedom.
    """

    variance: float
    df: int


def pooled_scatter(accuracies: Iterable[Sequence[float]]) -> Scatter | None:
    """Pool the variance over seeds, None where no model has two.

    Args:
        accuracies: of each model, one value a seed.
    """
    several = [np.asarray(values, float) for values in accuracies if len(values) > 1]
    if not several:
        return None
    df = sum(len(values) - 1 for values in several)
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in several)
    return Scatter(squares / df, df)


def ranked_difference(
    y_true: np.ndarray, a: np.ndarray, b: np.ndarray, *, scatter: Scatter | None
) -> Difference:
    """Compare two accuracies, with no less chance of training than all models of a ranking show.

    As `paired.accuracy_difference`, but the seeds' part of the variance is at least that of two
    means over so many seeds with the pooled scatter. Two or three seeds that lie close together by
    luck would else pass for no scatter at all; among hundreds of pairs some always do.

    Args:
        y_true: labels, int (n,).
        a: A's probabilities, float (seeds, n, K).
        b: B's, likewise.
        scatter: pooled over the models compared, None where there is none.
    """
    difference = accuracy_difference(y_true, a, b)
    n_seeds = difference.n_seeds
    floor = 2 * scatter.variance / n_seeds if scatter else 0.0
    own = difference.sd**2 / n_seeds if difference.sd is not None else 0.0
    if own >= floor:
        return difference
    right_a, right_b = (p.argmax(axis=2) == y_true for p in (a, b))
    by_image = right_a.mean(axis=0) - right_b.mean(axis=0)
    variance = floor + float(by_image.var(ddof=1)) / len(y_true)
    # Welch and Satterthwaite: the images' part counts as known.
    df, error = variance**2 * scatter.df / floor**2, math.sqrt(variance)
    p_value = float(2 * stats.t.sf(abs(difference.value) / error, df))
    # The pooled scatter has more degrees of freedom; that must not make up for being larger.
    if difference.p_value is not None and p_value < difference.p_value:
        return difference
    half_width = float(stats.t.ppf((1 + LEVEL) / 2, df)) * error
    low, high = difference.value - half_width, difference.value + half_width
    return replace(difference, low=low, high=high, p_value=p_value)


def _scatter(groups: Iterable[Group | None]) -> Scatter | None:
    return pooled_scatter(group.values("accuracy") for group in groups if group)


# --- one ranking ---------------------------------------------------------------------------------


def rank_models(
    groups: Sequence[Group], *, dataset: str, start: str, plan: Plan, rules: Rules
) -> Ranking:
    """Rank the models of one start on one data set.

    Args:
        groups: real runs (`groups.is_real`), of whatever protocol.
        dataset: one of `plan.datasets`.
        start: "none" or "imagenet".
        plan: see `ranking_plan.load_plan`.
        rules: how many seeds a verdict needs.

    Raises:
        RankingError: the plan does not hold the data set or the start.
        ComparisonError: runs of a model saw different data, or two models different test images.
    """
    plan.check(dataset, start)
    found = {
        model: find_group(groups, plan.config(dataset, model, start))
        for model in plan.starts[start]
    }
    pairs, n_pairs = compare_pairs(found, plan=plan)
    places = _places(found, pairs, plan)
    others = {model: group for model, group in found.items() if model != plan.focus}
    against = compare_focus(found[plan.focus], others, plan=plan, rules=rules)
    title = plan.datasets[dataset]
    return Ranking(dataset, title, start, tuple(places), tuple(pairs), n_pairs, tuple(against))


def rank_all(groups: Sequence[Group], *, plan: Plan, rules: Rules) -> list[Ranking]:
    """Return all planned rankings: start by start, the data sets in the plan's order."""
    return [
        rank_models(groups, dataset=dataset, start=start, plan=plan, rules=rules)
        for start in plan.starts
        for dataset in plan.datasets
    ]


def compare_pairs(found: Mapping[str, Group | None], *, plan: Plan) -> tuple[list[PairTest], int]:
    """Test every pair of models with runs; correct over all planned pairs.

    Args:
        found: model -> its runs, None where there are none.
        plan: its `level` and `rank_seeds`.

    Returns:
        The pairs, and how many were planned.
    """
    n_pairs = math.comb(len(found), 2)
    there = [model for model, group in found.items() if group]
    scatter = _scatter(found.values())
    pairs = [
        _compare_pair(a, b, found, scatter=scatter) for a, b in itertools.combinations(there, 2)
    ]
    testable = [
        p.accuracy.p_value if len(p.seeds) >= plan.rank_seeds and p.accuracy else None
        for p in pairs
    ]
    tested = []
    for pair, p_value in zip(pairs, _corrected(testable, n_pairs), strict=True):
        shown = 0
        if p_value is not None and p_value < plan.level:
            shown = 1 if pair.accuracy.value > 0 else -1
        tested.append(replace(pair, p_value=p_value, shown=shown))
    return tested, n_pairs


def _compare_pair(
    a: str, b: str, found: Mapping[str, Group | None], *, scatter: Scatter | None
) -> PairTest:
    seeds, y_true, *sides = paired_predictions(found[a], found[b])
    if not seeds:
        return PairTest(a, b)
    return PairTest(a, b, seeds, ranked_difference(y_true, *sides, scatter=scatter))


def _corrected(p_values: Sequence[float | None], planned: int) -> list[float | None]:
    """Correct by Holm over as many tests as planned; what has no p value counts as 1."""
    filled = [1.0 if p is None else p for p in p_values]
    corrected = holm([*filled, *[1.0] * (planned - len(filled))])[: len(filled)]
    return [None if p is None else float(c) for p, c in zip(p_values, corrected, strict=True)]


def _places(
    found: Mapping[str, Group | None], pairs: Sequence[PairTest], plan: Plan
) -> list[Place]:
    means = {model: group.accuracy for model, group in found.items() if group}
    places = []
    for model, group in found.items():
        system = plan.systems[model]
        if group is None:
            places.append(Place(system, None))
            continue
        # Equal means share a rank; a mean of equal values must not differ in its last digit.
        mean = round(means[model].mean, 12)
        rank = 1 + sum(round(other.mean, 12) > mean for other in means.values())
        best, worst = rank_range(model, pairs, len(means))
        places.append(
            Place(
                *(system, group, means[model], _auc(group), rank),
                # All seeds of a model make its mean, the common ones its tests.
                *(min(best, rank), max(worst, rank)),
            )
        )
    # Python's sort is stable: models without runs stay in the plan's order.
    return sorted(places, key=lambda p: -p.accuracy.mean if p.accuracy else math.inf)


def _auc(group: Group) -> SeedMean:
    test = [run.predictions("test") for run in group.runs]
    return mean_auc(test[0][0], np.stack([probabilities for _, probabilities in test]))


def rank_range(model: str, pairs: Sequence[PairTest], n_models: int) -> tuple[int, int]:
    """Return the best and the worst rank that the tests leave to a model.

    Args:
        model: its name.
        pairs: all pairs of the ranking.
        n_models: models with runs.
    """
    own = [p.shown if p.a == model else -p.shown for p in pairs if model in (p.a, p.b)]
    return 1 + own.count(-1), n_models - own.count(1)


# --- the focus against others --------------------------------------------------------------------


def compare_focus(
    focus: Group | None,
    others: Mapping[str, Group | None],
    *,
    plan: Plan,
    rules: Rules,
    titles: Mapping[str, str] | None = None,
) -> list[Against]:
    """Compare one model with others; correct over all of them, run or not.

    Args:
        focus: runs of the focus, None if there are none.
        others: name -> runs, likewise.
        plan: its `level`, and the titles of its models.
        rules: how many seeds a verdict needs.
        titles: of others that are not in the plan.
    """
    titles = {model: system.title for model, system in plan.systems.items()} | dict(titles or {})
    scatter = _scatter((focus, *others.values()))
    compared = [
        _against(
            Against(name, titles[name], focus, group, family_size=len(others)), scatter=scatter
        )
        for name, group in others.items()
    ]
    enough = [
        bool(c.seeds) and len(c.seeds) >= rules.min_seeds(c.accuracy.n_images) for c in compared
    ]
    corrected = [
        _corrected(
            [measure(c) if ok else None for c, ok in zip(compared, enough, strict=True)],
            len(compared),
        )
        for measure in (
            lambda c: c.accuracy.p_value,
            lambda c: c.auc.p_value,
            lambda c: c.mcnemar.p_value,
        )
    ]
    judged = []
    for c, ok, *p_values in zip(compared, enough, *corrected, strict=True):
        names = dict(zip(("p_accuracy", "p_auc", "p_mcnemar"), p_values, strict=True))
        c = replace(c, **names)
        judged.append(replace(c, verdict=_outperforms(c, enough=ok, level=plan.level)))
    return judged


def _against(against: Against, *, scatter: Scatter | None) -> Against:
    if against.focus_group is None or against.other_group is None:
        return against
    seeds, y_true, *sides = paired_predictions(against.focus_group, against.other_group)
    if not seeds:
        return against
    return replace(
        against,
        seeds=seeds,
        accuracy=ranked_difference(y_true, *sides, scatter=scatter),
        auc=auc_difference(y_true, *sides),
        mcnemar=majority_mcnemar(y_true, *sides),
    )


def _outperforms(against: Against, *, enough: bool, level: float) -> str:
    if against.focus_group is None or against.other_group is None:
        return NOT_RUN
    if not enough:
        return TOO_FEW_SEEDS
    if against.p_accuracy is None:
        return UNTESTABLE
    if against.p_accuracy >= level:
        return NO_DIFFERENCE
    return HOLDS if against.accuracy.value > 0 else OTHER_BETTER


def compare_as_published(
    groups: Sequence[Group], *, dataset: str, plan: Plan, rules: Rules
) -> list[Against]:
    """Repeat the paper's comparison: the focus from ImageNet weights, the others from scratch.

    Arguments as for `rank_models`.
    """
    plan.check(dataset, "none")
    focus = find_group(groups, plan.config(dataset, plan.focus, "imagenet"))
    others = {
        model: find_group(groups, plan.config(dataset, model, "none"))
        for model in plan.as_published
    }
    return compare_focus(focus, others, plan=plan, rules=rules)


# --- published values ----------------------------------------------------------------------------


def primary(system: System, dataset: str, start: str) -> PublishedAccuracy | None:
    """Return the published accuracy that stands beside a model in a ranking, None if there is none.

    The first row of the plan that may stand in this ranking; failing that, the first one.
    """
    found = published_accuracies(system.rows, dataset)
    fitting = [accuracy for accuracy in found if accuracy.fits(start)]
    return next(iter((*fitting, *found)), None)


def judge_accuracy(
    accuracy: PublishedAccuracy, group: Group | None, *, start: str, rules: Rules
) -> str:
    """Return the verdict on a published accuracy in the ranking of a start.

    Returns:
        As `verdicts.judge`, or `OTHER_START`.
    """
    if accuracy.published.mark == "M":
        return UNVERIFIED
    if not accuracy.fits(start):
        return OTHER_START
    return judge(accuracy.published, group.accuracy if group else None, rules=rules)


@dataclass(frozen=True)
class PublishedGain:
    """The difference of two published accuracies beside the measured one.

    Attributes:
        focus: the focus's value.
        other: the other's.
        value: focus less other, in shares.
        verified: whether neither is marked M.
        verdict: `REPRODUCED`, `INCONCLUSIVE`, `OURS_LOWER`, `OURS_HIGHER`, `NOT_RUN`,
            `TOO_FEW_SEEDS`, `UNTESTABLE`, `UNVERIFIED`.
    """

    focus: PublishedAccuracy
    other: PublishedAccuracy
    value: float
    verified: bool
    verdict: str


def published_gain(against: Against, *, dataset: str, plan: Plan) -> PublishedGain | None:
    """Judge the difference that the papers' tables print, None where one side is not published.

    Args:
        against: from `compare_as_published`.
        dataset: name.
        plan: which published rows speak of whom.
    """
    focus = primary(plan.systems[plan.focus], dataset, "imagenet")
    other = primary(plan.systems[against.other], dataset, "none")
    if focus is None or other is None:
        return None
    # Printed values have at most four decimals; their difference gets no more.
    value = round(focus.published.fraction - other.published.fraction, 6)
    verified = "M" not in (focus.published.mark, other.published.mark)
    verdict = _judge_gain(value, against, plan.level) if verified else UNVERIFIED
    return PublishedGain(focus, other, value, verified, verdict)


def _judge_gain(printed: float, against: Against, level: float) -> str:
    if against.verdict in (NOT_RUN, TOO_FEW_SEEDS):
        return against.verdict
    ours = against.accuracy
    if ours.low is None:
        return UNTESTABLE
    if ours.high < printed:
        return OURS_LOWER
    if ours.low > printed:
        return OURS_HIGHER
    shown = against.p_accuracy < level and ours.value * printed > 0
    return REPRODUCED if shown else INCONCLUSIVE


def outside_plan(groups: Sequence[Group], plan: Plan) -> list[Group]:
    """Return runs of the plan's recipe that no ranking holds: other models, settings or data."""
    planned = [
        plan.config(dataset, model, start).to_dict()
        for dataset in plan.datasets
        for start, models in plan.starts.items()
        for model in models
    ]
    for config in planned:
        del config["seed"]
    return [g for g in groups if g.config["recipe"] == plan.recipe and g.config not in planned]
