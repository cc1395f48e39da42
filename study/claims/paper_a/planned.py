"""The planned comparisons of `params/comparisons.yaml` that stand beside a claim of paper A.

The paper's images are not public and many settings are not given, so every verdict on them hangs on
other images and on our reading of what is open. So does the loss: all runs but those of the family
`readings` read Eq. 10 as linear in the label, which the text after Eq. 8 excludes (claim A13), and
every claim on the loss says so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from helpers.config import READINGS, RunConfig
from helpers.metrics.scores import Estimate
from helpers.paths import results_root
from helpers.runs.groups import Group, find_group, group_runs, is_real
from helpers.runs.store import list_runs
from study.claims.check_result import OPEN_CHOICE, STAND_IN, CheckResult, in_ledger, lacking
from study.claims.ledger import Claim
from study.claims.seeds import with_interval
from study.compare import Compared, Results, compare_all, measure
from study.plans.comparisons import load_plan
from study.verdicts import OPEN

# The end of the name of what is shown and does not decide.
FEWER = "on fewer"
LINEAR = "linear"
OTHER_READINGS = tuple(name for name in READINGS if name != LINEAR)


@dataclass(frozen=True)
class Planned:
    """The comparisons beside a claim.

    Where one question was asked of two sets of images, the one with more images and seeds decides,
    and the other is shown: its name in the row of the claim ends with "on fewer".
    """

    deciding: Mapping[str, Compared]  # by their names in the row
    fewer: Sequence[Compared]
    runs: str  # names them all

    @property
    def one(self) -> Compared:
        """The only one that decides."""
        (found,) = self.deciding.values()
        return found

    @property
    def is_open(self) -> bool:
        """Whether none decides, or one that does has no verdict yet."""
        deciding = self.deciding.values()
        return not deciding or any(
            c.verdict in OPEN or c.shown.get("auc") is None for c in deciding
        )

    @property
    def reading(self) -> str:
        """How the loss of these runs reads Eq. 10; "" where no side has a loss of several."""
        compared = [*self.deciding.values(), *self.fewer]
        linear = [c for c in compared if is_linear(c.pair.a) or is_linear(c.pair.b)]
        if not linear:
            return ""
        return linear_said({c.title: under_other_readings(c, auc_less) for c in linear})


@cache
def results(root: Path) -> Results:
    """Return all comparisons, of the runs that are stored in a results tree."""
    return compare_all(group_runs(filter(is_real, list_runs(root))), load_plan())


def pair(family: str, name: str) -> Compared:
    """Return a comparison of `params/comparisons.yaml`."""
    return next(c for c in results(results_root()).compared[family] if c.pair.name == name)


def framework() -> Group | None:
    """Return the runs of the framework on as many images as the paper has."""
    return pair("table4", "over_resnet18").a


def one_cycle_runs() -> Group | None:
    """Return the runs under the recovered schedule to its end, with torch's momentum cycle."""
    return pair("stopping_momentum", "at_target").b


def auc_less(a: Group | None, b: Group | None) -> Estimate | None:
    """Return the AUC of A less that of B, over images and seeds; None without runs."""
    return measure(a, b).get("auc")


def planned_beside(claim: Claim) -> Planned:
    """Return the comparisons beside a claim, "ablation: focal" and so on."""
    found = {title: pair(*place.split(": ")) for title, place in claim.beside.items()}
    fewer = [found.pop(name) for name in [*found] if name.endswith(FEWER)]
    return Planned(found, fewer, "; ".join(claim.beside.values()))


def beside(claim: Claim) -> dict[str, Planned]:
    """Return the comparisons beside a claim as an argument of its check."""
    return {"planned": planned_beside(claim)}


# --- results on other images ---------------------------------------------------------------------


def not_run(runs: str) -> CheckResult:
    """Return the result of a check whose runs are not stored."""
    return lacking(f"Not run: {runs}.")


def on_other_images(verdict: str, evidence: str, runs: str) -> CheckResult:
    """Return the result of a check on our runs."""
    return CheckResult(
        verdict=in_ledger(verdict),
        evidence=evidence,
        limits=(STAND_IN, OPEN_CHOICE),
        runs=(runs,),
    )


# --- how the loss reads Eq. 10 --------------------------------------------------------------------


def is_linear(config: RunConfig) -> bool:
    """Say whether a protocol's loss is read as linear in the label, and another would differ."""
    matters = config.loss == "focal" and config.focal_gamma > 0 and config.label_smoothing > 0
    return matters and config.focal_reading == LINEAR


def under_other_readings(
    compared: Compared, difference: Callable[[Group | None, Group | None], Estimate | None]
) -> dict[str, Estimate]:
    """Return a difference of both sides by how the loss is read else, as far as runs are stored."""
    found, groups = {}, results(results_root()).groups
    for reading in OTHER_READINGS:
        configs = (
            replace(config, focal_reading=reading) if is_linear(config) else config
            for config in (compared.pair.a, compared.pair.b)
        )
        apart = difference(*(find_group(groups, config) for config in configs))
        if apart is not None:
            found[reading] = apart
    return found


def linear_said(under: Mapping[str, Mapping[str, Estimate]]) -> str:
    """Say that the loss is read as linear in the label, and what other readings give.

    `under`: what is compared, or measured -> reading -> difference.
    """
    text = (
        " The loss of these runs reads Eq. 10 as linear in the label, which the text after Eq. 8 "
        "excludes (A13)"
    )
    under = {what: found for what, found in under.items() if found}
    if not under:
        return f"{text}; the same under another reading was not run."
    listed = "; ".join(
        f"{what}, {', '.join(f'{name} {with_interval(d)}' for name, d in found.items())}"
        for what, found in under.items()
    )
    missing = [n for n in OTHER_READINGS if not any(n in found for found in under.values())]
    without = f" ({', '.join(missing)} was not run)" if missing else ""
    return f"{text}. The same under other readings{without}: {listed}."
