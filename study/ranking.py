"""Table 3, measured: ranks with their uncertainty, by the rule of `params/ranking.yaml`."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from helpers.metrics.scores import Estimate
from helpers.runs.groups import Group, find_group
from study.automl.rows import AutoMLRow
from study.compare import Compared, Gain, judge, judge_gain, measure
from study.plans import ranking as plans
from study.plans.ranking import Comparator, PublishedAccuracy, RankingPlan
from study.plans.verdicts import Rules
from study.published import Published
from study.verdicts import OPEN, SHOWN, SHOWN_REVERSED, on_all


@dataclass(frozen=True)
class Place:
    """A model's place in a ranking; without runs all but the system is None.

    A constant network has no rank: it is no competitor (`Group.is_constant`).
    """

    system: Comparator
    group: Group | None
    accuracy: Estimate | None = None  # mean over the seeds, interval of images and seeds
    rank: int | None = None  # 1 + how many models have a higher mean
    best: int | None = None  # rank that the paired tests leave possible
    worst: int | None = None


@dataclass(frozen=True)
class Ranking:
    """A ranking of all models of one start on one data set."""

    dataset: str
    title: str  # of the data set
    start: str  # "none" or "imagenet"
    # Best mean first, constant networks behind them, then models without runs, in the plan's order.
    places: tuple[Place, ...]
    pairs: Mapping[tuple[str, str], Compared]  # all ranked models by name; judged on the accuracy
    against: tuple[Compared, ...]  # the focus against every other

    @property
    def heading(self) -> str:
        """The data set and the start in words."""
        return f"{self.title}, {plans.START_WORDS[self.start]}"

    @property
    def n_pairs(self) -> int:
        """How many pairs are planned."""
        return math.comb(len(self.places), 2)

    @property
    def ranked(self) -> tuple[Place, ...]:
        """The places of models that are ranked: with runs, and not constant."""
        return tuple(place for place in self.places if place.rank)

    @property
    def constant(self) -> tuple[Place, ...]:
        """The places of models most of whose runs answer one class for every test image."""
        return tuple(place for place in self.places if place.group and not place.rank)

    def place(self, model: str) -> Place:
        """Return a model's place."""
        return next(place for place in self.places if place.system.model == model)

    @property
    def groups(self) -> list[Group]:
        """All runs that enter."""
        return [place.group for place in self.places if place.group]


def pooled_scatter(groups: Iterable[Group | None]) -> tuple[float, float] | None:
    """Pool the variance of a difference of two seeds' accuracies over models.

    Two or three seeds that lie close together by luck would else pass for no scatter at all; among
    hundreds of pairs some always do. A model with a seed that answers one class for every image
    stays out: its seeds do not scatter, or scatter between learning and not. Returns the variance
    and its degrees of freedom, as `intervals.mean` takes them; None where no model has two seeds.
    """
    chosen = [group for group in groups if group and not group.constant]
    several = [np.asarray(group.values("accuracy"), float) for group in chosen]
    several = [values for values in several if len(values) > 1]
    if not several:
        return None
    df = sum(len(values) - 1 for values in several)
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in several)
    return 2 * squares / df, df


# --- one ranking ---


def rank_models(
    groups: Sequence[Group], *, dataset: str, start: str, plan: RankingPlan, rules: Rules
) -> Ranking:
    """Rank the models of one start on one data set, both of the plan, by real runs."""
    plan.check(dataset, start)
    found = {
        model: find_group(groups, plan.config(dataset, model, start))
        for model in plan.starts[start]
    }
    pairs = compare_pairs(found, plan=plan, rules=rules)
    others = {model: group for model, group in found.items() if model != plan.focus}
    against = compare_focus(found[plan.focus], others, plan=plan, rules=rules)
    places = _places(found, pairs, plan)
    return Ranking(dataset, plan.datasets[dataset], start, places, pairs, tuple(against))


def compare_pairs(
    found: Mapping[str, Group | None], *, plan: RankingPlan, rules: Rules
) -> dict[tuple[str, str], Compared]:
    """Compare every pair of models with runs, but constant ones; correct over all planned pairs."""
    there = _competitors(found)
    floor = pooled_scatter(found.values())
    pairs = list(itertools.combinations(there, 2))
    family = []
    for a, b in pairs:
        name, sides = f"{a} - {b}", (there[a], there[b])
        family.append(Compared(name, name, *sides, **measure(*sides, floor=floor)))
    compared = judge(
        family,
        on="accuracy",
        rules=rules,
        level=plan.level,
        paper=plan.paper,
        min_seeds=plan.rank_seeds,
        planned=math.comb(len(found), 2),
    )
    return dict(zip(pairs, compared, strict=True))


def _competitors(found: Mapping[str, Group | None]) -> dict[str, Group]:
    return {model: group for model, group in found.items() if group and not group.is_constant}


def _places(
    found: Mapping[str, Group | None], pairs: Mapping[tuple[str, str], Compared], plan: RankingPlan
) -> tuple[Place, ...]:
    # Equal means share a rank; a mean of equal values must not differ in its last digit.
    means = {m: round(group.accuracy.value, 12) for m, group in _competitors(found).items()}
    places = []
    for model, group in found.items():
        place = Place(plan.systems[model], group, group and group.accuracy)
        if model in means:
            rank = 1 + sum(other > means[model] for other in means.values())
            # All seeds of a model make its mean, the common ones its tests.
            best, worst = rank_range(model, pairs, len(means))
            place = replace(place, rank=rank, best=min(best, rank), worst=max(worst, rank))
        places.append(place)
    # Python's sort is stable: models without runs stay in the plan's order.
    places.sort(key=lambda p: (p.group is None, p.rank is None, p.group and -p.accuracy.value))
    return tuple(places)


def rank_range(
    model: str, pairs: Mapping[tuple[str, str], Compared], n_models: int
) -> tuple[int, int]:
    """Return the best and the worst rank that the tests of all pairs leave to a model."""
    signs = {names: c.sign("accuracy") for names, c in pairs.items() if model in names}
    own = [sign if names[0] == model else -sign for names, sign in signs.items()]
    return 1 + own.count(-1), n_models - own.count(1)


# --- the focus against others ---


def compare_focus(
    focus: Group | None,
    others: Mapping[str, Group | None],
    *,
    plan: RankingPlan,
    rules: Rules,
    titles: Mapping[str, str] | None = None,
    printed: Mapping[str, float] | None = None,
) -> list[Compared]:
    """Compare one model with others; correct over all of them, run or not.

    `titles` are those of others that are not in the plan, `printed` the differences of the
    published accuracies that may judge.
    """
    titles = {model: system.title for model, system in plan.systems.items()} | dict(titles or {})
    printed, floor = printed or {}, pooled_scatter((focus, *others.values()))
    family = []
    for name, group in others.items():
        found = measure(focus, group, floor=floor)
        family.append(Compared(name, titles[name], focus, group, **found, size=printed.get(name)))
    return judge(family, on="accuracy", rules=rules, level=plan.level, paper=plan.paper)


def compare_as_published(
    groups: Sequence[Group], *, dataset: str, plan: RankingPlan, rules: Rules
) -> list[Compared]:
    """Repeat the paper's comparison: the focus from ImageNet weights, the others from scratch."""
    plan.check(dataset, "none")
    focus = find_group(groups, plan.config(dataset, plan.focus, "imagenet"))
    others = {
        model: find_group(groups, plan.config(dataset, model, "none"))
        for model in plan.as_published
    }
    printed = {}
    for model in others:
        size = printed_difference(model, dataset=dataset, plan=plan)
        if size and size.published.may_carry_verdict:
            printed[model] = size.published.value
    return compare_focus(focus, others, plan=plan, rules=rules, printed=printed)


# --- published values ---


def primary(system: Comparator, dataset: str, start: str) -> PublishedAccuracy | None:
    """Return the published accuracy that stands beside a model in a ranking, None if there is none.

    The first row of the plan that may stand in this ranking; failing that, the first one.
    """
    found = plans.published_accuracies(system.rows, dataset)
    return next((one for one in found if one.fits(start)), found[0] if found else None)


@dataclass(frozen=True)
class PrintedDifference:
    """The difference of two published accuracies."""

    focus: PublishedAccuracy
    other: PublishedAccuracy
    published: Published  # focus less other, in shares; marked M if one of them is


def printed_difference(model: str, *, dataset: str, plan: RankingPlan) -> PrintedDifference | None:
    """Return what the papers' tables print of a model, None where one side is not published."""
    focus = primary(plan.systems[plan.focus], dataset, "imagenet")
    other = primary(plan.systems[model], dataset, "none")
    if focus is None or other is None:
        return None
    a, b = focus.published, other.published
    value = round(a.fraction - b.fraction, 6)  # of at most four printed decimals each
    mark = "M" if "M" in (a.mark, b.mark) else a.mark
    published = replace(a, value=value, printed=f"{value:g}", unit="fraction", mark=mark)
    return PrintedDifference(focus, other, published)


def outside_plan(groups: Sequence[Group], plan: RankingPlan) -> list[Group]:
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


# --- claims, and everything ---


@dataclass(frozen=True)
class RankingClaim:
    """A claim in words against its comparisons on every data set that was run."""

    claim: plans.ComparativeClaim
    verdict: str  # see `verdicts.on_all`
    shown: int  # comparisons in which the focus is shown to be better
    contrary: int  # in which the other is
    decided: int  # with a verdict
    planned: int  # on the data sets that were run


def judge_claim(claim: plans.ComparativeClaim, against: Sequence[Compared]) -> RankingClaim:
    """Judge a claim by the focus against others, on all data sets that were run."""
    verdicts = [c.verdict for c in against if c.name in claim.others]
    shown, contrary = verdicts.count(SHOWN), verdicts.count(SHOWN_REVERSED)
    decided = sum(verdict not in OPEN for verdict in verdicts)
    return RankingClaim(claim, on_all(verdicts), shown, contrary, decided, len(verdicts))


@dataclass(frozen=True)
class Table3:
    """Everything that the tables show, compared once."""

    plan: RankingPlan
    rules: Rules
    rankings: tuple[Ranking, ...]  # all planned ones, also those without runs
    as_published: dict[str, tuple[Compared, ...]]  # the paper's own comparison, by data set
    automl: tuple[AutoMLRow, ...]  # published and open systems
    outside: tuple[Group, ...]  # runs of the recipe that are not in the plan

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

    def claims(self) -> list[tuple[RankingClaim, RankingClaim]]:
        """Judge the paper's claims in words: both from scratch, and as the paper compares."""
        scratch = [c for ranking in self.of_start("none") for c in ranking.against]
        run = [name for name, title in self.plan.datasets.items() if title not in self.not_run]
        mixed = [c for dataset in run for c in self.as_published[dataset]]
        return [(judge_claim(c, scratch), judge_claim(c, mixed)) for c in self.plan.claims]

    @property
    def groups(self) -> list[Group]:
        """All runs of the rankings."""
        return [group for ranking in self.rankings for group in ranking.groups]

    @property
    def not_run(self) -> list[str]:
        """Titles of the data sets without a run."""
        run = {ranking.dataset for ranking in self.rankings if ranking.ranked}
        return [title for name, title in self.plan.datasets.items() if name not in run]

    def gains(self, dataset: str) -> list[tuple[Compared, PrintedDifference, Gain]]:
        """Return the paper's comparisons that published numbers exist for, judged."""
        found, plan = [], self.plan
        for c in self.as_published[dataset]:
            if printed := printed_difference(c.name, dataset=dataset, plan=plan):
                gain = judge_gain(
                    c, printed.published, metric="accuracy", rules=self.rules, paper=plan.paper
                )
                found.append((c, printed, gain))
        return found

    def against_automl(self, dataset: str) -> list[tuple[AutoMLRow, Compared]]:
        """Compare the focus with the open AutoML systems of its start, corrected together.

        Start by start, the best mean first.
        """
        run = [(row, row.measured[dataset]) for row in self.automl if row.measured.get(dataset)]
        run.sort(key=lambda pair: (-pair[1].accuracy.value, pair[0].name))
        found = []
        for start in self.plan.starts:
            systems = [(row, g) for row, g in run if g.config["pretrained"] == start]
            compared = compare_focus(
                self.ranking(dataset, start).place(self.plan.focus).group,
                {row.system: group for row, group in systems},
                plan=self.plan,
                rules=self.rules,
                titles={row.system: row.name for row, _ in systems},
            )
            found += [(row, c) for (row, _), c in zip(systems, compared, strict=True)]
        return found


def rank_everything(
    groups: Sequence[Group], *, plan: RankingPlan, rules: Rules, automl: Sequence[AutoMLRow] = ()
) -> Table3:
    """Make all rankings and comparisons of the plan, by real runs of any protocol and data set.

    The rankings come start by start, the data sets in the plan's order.
    """
    rankings = tuple(
        rank_models(groups, dataset=dataset, start=start, plan=plan, rules=rules)
        for start in plan.starts
        for dataset in plan.datasets
    )
    published = {
        dataset: tuple(compare_as_published(groups, dataset=dataset, plan=plan, rules=rules))
        for dataset in plan.datasets
    }
    outside = tuple(outside_plan(groups, plan))
    return Table3(plan, rules, rankings, published, tuple(automl), outside)
