"""Table 3, measured: ranks with their uncertainty, by the rule of `params/ranking.yaml`."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy import stats

from helpers.metrics.paired import (
    Difference,
    McnemarResult,
    accuracy_difference,
    mean_auc,
)
from helpers.metrics.scores import LEVEL
from helpers.metrics.seeds import SeedMean
from helpers.runs.groups import Group, find_group
from study.automl.rows import AutoMLRow
from study.compare import AS_CLAIM, TESTS, correct, judge_gain, measure, verdict_of
from study.plans.ranking import (
    START_WORDS,
    Claim,
    Plan,
    PublishedAccuracy,
    System,
    published_accuracies,
)
from study.plans.verdicts import Rules
from study.verdicts import (
    DOES_NOT_HOLD,
    HOLDS,
    NO_DIFFERENCE,
    NOT_RUN,
    NOT_SHOWN,
    OTHER_START,
    REVERSED,
    TOO_FEW_SEEDS,
    UNTESTABLE,
    UNVERIFIED,
    judge,
)


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
        verdict: on "the focus outperforms the other": `HOLDS`, `REVERSED`, `NO_DIFFERENCE`,
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
        plan: see `plans.ranking.load_plan`.
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
    tests = {"accuracy": partial(ranked_difference, scatter=scatter)}
    pairs = [
        PairTest(a, b, **measure(found[a], found[b], tests))
        for a, b in itertools.combinations(there, 2)
    ]
    enough = [p.accuracy if len(p.seeds) >= plan.rank_seeds else None for p in pairs]
    corrected = correct(enough, level=plan.level, planned=n_pairs)
    tested = [
        replace(pair, p_value=c.p_value, shown=c.shown)
        for pair, c in zip(pairs, corrected, strict=True)
    ]
    return tested, n_pairs


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
    tests = TESTS | {"accuracy": partial(ranked_difference, scatter=scatter)}
    compared = [
        Against(
            *(name, titles[name], focus, group),
            **measure(focus, group, tests),
            family_size=len(others),
        )
        for name, group in others.items()
    ]
    enough = [
        bool(c.seeds) and len(c.seeds) >= rules.min_seeds(c.accuracy.n_images) for c in compared
    ]
    families = [
        correct(
            [getattr(c, test) if ok else None for c, ok in zip(compared, enough, strict=True)],
            level=plan.level,
        )
        for test in ("accuracy", "auc", "mcnemar")
    ]
    judged = []
    for c, ok, accuracy, auc, mcnemar in zip(compared, enough, *families, strict=True):
        verdict = verdict_of(accuracy, ran=bool(c.focus_group and c.other_group), enough=ok)
        judged.append(
            replace(
                c,
                p_accuracy=accuracy.p_value,
                p_auc=auc.p_value,
                p_mcnemar=mcnemar.p_value,
                # "The focus outperforms the other" is a claim.
                verdict=AS_CLAIM.get(verdict, verdict),
            )
        )
    return judged


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
    shown = against.p_accuracy is not None and against.p_accuracy < level
    return judge_gain(printed, ours, shown=int(np.sign(ours.value)) if shown else 0)


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


# Up to so many models every order is tried for Kendall's tau; above, this many drawn ones.
_EXACT_UP_TO = 7
_DRAWN = 9_999


@dataclass(frozen=True)
class Agreement:
    """The measured order of a ranking against the published one.

    Attributes:
        models: those with both a published value and runs.
        tau: Kendall's tau-b of the means and the published values, None if undefined.
        p_value: share of orders of the published values that agree or disagree at least as much
            (two-sided), None with tau.
        smallest_p: the least p value that so many models could give.
        same: pairs in the published order that are shown to be so.
        reversed: pairs shown to be the other way round.
        undecided: pairs with different published values and no difference shown.
    """

    models: tuple[str, ...]
    tau: float | None = None
    p_value: float | None = None
    smallest_p: float | None = None
    same: int = 0
    reversed: int = 0
    undecided: int = 0


def order_agreement(ranking: Ranking, *, verified_only: bool = True) -> Agreement:
    """Compare the measured order of a ranking with the published one.

    Args:
        ranking: see `rank_models`.
        verified_only: whether values marked M stay out; they may be shown, never judged.
    """
    values = {}
    for place in ranking.ranked:
        accuracy = primary(place.system, ranking.dataset, ranking.start)
        if accuracy and not (verified_only and accuracy.published.mark == "M"):
            values[place.system.model] = accuracy.published.fraction
    models = tuple(values)
    pairs = [p for p in ranking.pairs if p.a in values and p.b in values]
    signs = [p.shown * np.sign(values[p.a] - values[p.b]) for p in pairs]
    told_apart = [s for s, p in zip(signs, pairs, strict=True) if values[p.a] != values[p.b]]
    counts = {
        "same": told_apart.count(1),
        "reversed": told_apart.count(-1),
        "undecided": told_apart.count(0),
    }
    measured = [ranking.place(model).accuracy.mean for model in models]
    return Agreement(models, *kendall(measured, list(values.values())), **counts)


def kendall(
    measured: Sequence[float], published: Sequence[float], *, seed: int = 0
) -> tuple[float | None, float | None, float | None]:
    """Return Kendall's tau-b of two lists, its permutation p value, and the least possible one.

    Every order of the published values is tried up to seven models; above that 9,999 are drawn,
    and the observed one is counted in, so that p is never 0 (Phipson & Smyth 2010).

    Args:
        measured: float (n,).
        published: float (n,), of the same models.
        seed: of the drawn orders.

    Returns:
        Three times None for fewer than three models or where all values of a list are equal.
    """
    measured, published = np.asarray(measured, float), np.asarray(published, float)
    # Means of equal counts may differ in the last digit: that is no order.
    measured = measured.round(12)
    n = len(measured)
    if n < 3 or len(set(measured)) == 1 or len(set(published)) == 1:
        return None, None, None
    rows, columns = np.triu_indices(n, k=1)
    signs = np.sign(measured[rows] - measured[columns])
    norm = math.sqrt((signs != 0).sum() * (published[rows] != published[columns]).sum())

    def tau(orders: np.ndarray) -> np.ndarray:
        return (np.sign(orders[:, rows] - orders[:, columns]) @ signs) / norm

    observed = float(tau(published[None])[0])
    if n <= _EXACT_UP_TO:
        taus = tau(np.array(list(itertools.permutations(published))))
    else:
        rng = np.random.default_rng(seed)
        drawn = rng.permuted(np.tile(published, (_DRAWN, 1)), axis=1)
        taus = np.append(tau(drawn), observed)
    extreme = np.abs(taus) >= abs(observed) - 1e-9
    smallest = max(2 / math.factorial(n), 1 / len(taus))
    if n <= _EXACT_UP_TO:
        # Ties make several orders one: the most extreme tau is reached by more of them.
        smallest = float(np.mean(np.abs(taus) >= np.abs(taus).max() - 1e-9))
    return observed, float(extreme.mean()), smallest


# --- over the data sets --------------------------------------------------------------------------


@dataclass(frozen=True)
class MeanRanks:
    """Friedman's test and Nemenyi's critical difference over data sets.

    Attributes:
        datasets: those with at least two common models.
        models: those run on all of these, best mean rank first.
        mean_ranks: of each, over the data sets.
        p_value: Friedman's, None with fewer than two data sets or three models.
        critical_difference: of mean ranks, None likewise.
        largest_possible: the largest difference that mean ranks can have.
    """

    datasets: tuple[str, ...]
    models: tuple[str, ...]
    mean_ranks: tuple[float, ...]
    p_value: float | None
    critical_difference: float | None
    largest_possible: int

    @property
    def can_show(self) -> bool:
        """Whether any difference could ever be shown with so many models and data sets."""
        critical = self.critical_difference
        return critical is not None and critical < self.largest_possible


def mean_ranks(rankings: Sequence[Ranking], *, plan: Plan) -> MeanRanks:
    """Rank models over data sets (Demsar 2006, JMLR 7:1).

    Args:
        rankings: of one start, one a data set; those without runs are left out.
        plan: its level.
    """
    run = [r for r in rankings if r.ranked]
    common = [
        place.system.model
        for place in (run[0].ranked if run else ())
        if all(r.place(place.system.model).group for r in run)
    ]
    names = tuple(r.dataset for r in run)
    k, n = len(common), len(run)
    if n < 2 or k < 3:
        return MeanRanks(names, tuple(common), (), None, None, max(k - 1, 0))
    means = np.array([[-r.place(model).accuracy.mean for model in common] for r in run]).round(12)
    ranks = stats.rankdata(means, axis=1)
    mean = ranks.mean(axis=0)
    order = np.argsort(mean, kind="stable")
    # With all models level on every data set there is nothing to test.
    p_value = float(stats.friedmanchisquare(*means.T).pvalue) if np.ptp(ranks) else 1.0
    quantile = float(stats.studentized_range.ppf(1 - plan.level, k, np.inf)) / math.sqrt(2)
    critical = quantile * math.sqrt(k * (k + 1) / (6 * n))
    models = tuple(common[i] for i in order)
    return MeanRanks(names, models, tuple(map(float, mean[order])), p_value, critical, k - 1)


@dataclass(frozen=True)
class JudgedClaim:
    """A claim in words against its comparisons on every data set that was run.

    Attributes:
        claim: what the paper says.
        verdict: `HOLDS`, `DOES_NOT_HOLD`, `NOT_SHOWN`, `TOO_FEW_SEEDS`, `NOT_RUN`.
        shown: comparisons in which the focus is shown to be better.
        contrary: comparisons in which the other is.
        judged: comparisons with enough seeds.
        planned: comparisons on the data sets that were run.
    """

    claim: Claim
    verdict: str
    shown: int
    contrary: int
    judged: int
    planned: int


def judge_claim(claim: Claim, against: Sequence[Against]) -> JudgedClaim:
    """Judge a claim.

    Args:
        claim: see `plans.ranking.load_plan`.
        against: the focus against others, on all data sets that were run.
    """
    verdicts = [c.verdict for c in against if c.other in claim.others]
    shown, contrary = verdicts.count(HOLDS), verdicts.count(REVERSED)
    judged = shown + contrary + verdicts.count(NO_DIFFERENCE) + verdicts.count(UNTESTABLE)
    verdict = NOT_SHOWN
    if contrary:
        verdict = DOES_NOT_HOLD
    elif verdicts and shown == len(verdicts):
        verdict = HOLDS
    elif not judged:
        verdict = TOO_FEW_SEEDS if TOO_FEW_SEEDS in verdicts else NOT_RUN
    return JudgedClaim(claim, verdict, shown, contrary, judged, len(verdicts))


@dataclass(frozen=True)
class Results:
    """Everything that the tables show, compared once.

    Attributes:
        plan: see `plans.ranking.load_plan`.
        rules: see `plans.verdicts.load_rules`.
        rankings: all planned ones, also those without runs.
        as_published: the paper's own comparison, by data set.
        automl: AutoML systems, published and open ones (`automl.rows.automl_rows`).
        outside: runs of the recipe that are not in the plan.
    """

    plan: Plan
    rules: Rules
    rankings: tuple[Ranking, ...]
    as_published: dict[str, tuple[Against, ...]]
    automl: tuple[AutoMLRow, ...]
    outside: tuple[Group, ...]

    def of_start(self, start: str) -> list[Ranking]:
        """Return the rankings of a start that have runs."""
        return [r for r in self.rankings if r.start == start and r.ranked]

    def ranking(self, dataset: str, start: str) -> Ranking:
        """Return one ranking."""
        return next(r for r in self.rankings if (r.dataset, r.start) == (dataset, start))

    @property
    def focus(self) -> str:
        """The focus's title."""
        return self.plan.systems[self.plan.focus].title

    def claims(self) -> list[tuple[JudgedClaim, JudgedClaim]]:
        """Judge the paper's claims in words: both from scratch, and as the paper compares."""
        scratch = [c for ranking in self.of_start("none") for c in ranking.against]
        run = [name for name, title in self.plan.datasets.items() if title not in self.not_run]
        mixed = [c for dataset in run for c in self.as_published[dataset]]
        return [
            (judge_claim(claim, scratch), judge_claim(claim, mixed)) for claim in self.plan.claims
        ]

    @property
    def groups(self) -> list[Group]:
        """All runs of the rankings."""
        return [group for ranking in self.rankings for group in ranking.groups]

    @property
    def not_run(self) -> list[str]:
        """Titles of the data sets without a run."""
        run = {ranking.dataset for ranking in self.rankings if ranking.ranked}
        return [title for name, title in self.plan.datasets.items() if name not in run]

    def automl_of(self, dataset: str, start: str) -> list[tuple[AutoMLRow, Group]]:
        """Return the open AutoML systems of a start run on a data set, best mean first."""
        found = [(row, row.measured.get(dataset)) for row in self.automl]
        chosen = [(row, g) for row, g in found if g and g.config["pretrained"] == start]
        return sorted(chosen, key=lambda pair: (-pair[1].accuracy.mean, pair[0].name))

    def gains(self, dataset: str) -> list[tuple[Against, PublishedGain]]:
        """Return the paper's comparisons that published numbers exist for."""
        found = (
            (c, published_gain(c, dataset=dataset, plan=self.plan))
            for c in self.as_published[dataset]
        )
        return [(c, gain) for c, gain in found if gain]

    def against_automl(self, dataset: str) -> list[tuple[AutoMLRow, Against]]:
        """Compare the focus with the open AutoML systems of its start, corrected together."""
        found = []
        for start in self.plan.starts:
            systems = self.automl_of(dataset, start)
            others = {row.system: group for row, group in systems}
            titles = {row.system: row.name for row, _ in systems}
            focus = self.ranking(dataset, start).place(self.plan.focus).group
            rule = {"plan": self.plan, "rules": self.rules, "titles": titles}
            rows = [row for row, _ in systems]
            found += zip(rows, compare_focus(focus, others, **rule), strict=True)
        return found


def rank_everything(
    groups: Sequence[Group], *, plan: Plan, rules: Rules, automl: Sequence[AutoMLRow] = ()
) -> Results:
    """Make all rankings and comparisons of the plan.

    Args:
        groups: real runs (`groups.is_real`), of whatever protocol and data set.
        plan: see `plans.ranking.load_plan`.
        rules: see `plans.verdicts.load_rules`.
        automl: AutoML systems, see `automl.rows.automl_rows`.
    """
    rule = {"plan": plan, "rules": rules}
    published = {
        dataset: tuple(compare_as_published(groups, dataset=dataset, **rule))
        for dataset in plan.datasets
    }
    rankings = tuple(rank_all(groups, **rule))
    return Results(
        plan, rules, rankings, published, tuple(automl), tuple(outside_plan(groups, plan))
    )
