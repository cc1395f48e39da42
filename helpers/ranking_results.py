"""All rankings and comparisons of the plan, made once from the stored runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from helpers.automl_tables import AutoMLRow
from helpers.comparisons import NO_DIFFERENCE, UNTESTABLE
from helpers.groups import Group
from helpers.ranking import (
    HOLDS,
    OTHER_BETTER,
    Against,
    PublishedGain,
    Ranking,
    compare_as_published,
    compare_focus,
    outside_plan,
    published_gain,
    rank_all,
)
from helpers.ranking_plan import Claim, Plan
from helpers.verdicts import NOT_RUN, TOO_FEW_SEEDS, Rules

CLAIM_HOLDS = "holds"
CLAIM_FAILS = "does not hold"
NOT_SHOWN = "not shown"


@dataclass(frozen=True)
class JudgedClaim:
    """A claim in words against its comparisons on every data set that was run.

    Attributes:
        claim: what the paper says.
        verdict: `CLAIM_HOLDS`, `CLAIM_FAILS`, `NOT_SHOWN`, `TOO_FEW_SEEDS`, `NOT_RUN`.
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
        claim: see `ranking_plan.load_plan`.
        against: the focus against others, on all data sets that were run.
    """
    verdicts = [c.verdict for c in against if c.other in claim.others]
    shown, contrary = verdicts.count(HOLDS), verdicts.count(OTHER_BETTER)
    judged = shown + contrary + verdicts.count(NO_DIFFERENCE) + verdicts.count(UNTESTABLE)
    verdict = NOT_SHOWN
    if contrary:
        verdict = CLAIM_FAILS
    elif verdicts and shown == len(verdicts):
        verdict = CLAIM_HOLDS
    elif not judged:
        verdict = TOO_FEW_SEEDS if TOO_FEW_SEEDS in verdicts else NOT_RUN
    return JudgedClaim(claim, verdict, shown, contrary, judged, len(verdicts))


@dataclass(frozen=True)
class Results:
    """Everything that the tables show, compared once.

    Attributes:
        plan: see `ranking_plan.load_plan`.
        rules: see `verdicts.load_rules`.
        rankings: all planned ones, also those without runs.
        as_published: the paper's own comparison, by data set.
        automl: AutoML systems, published and open ones (`automl_tables.automl_rows`).
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
        plan: see `ranking_plan.load_plan`.
        rules: see `verdicts.load_rules`.
        automl: AutoML systems, see `automl_tables.automl_rows`.
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
