"""Paper B's reading of its Grad-CAM pictures against maps measured on boxes."""

import statistics
from collections.abc import Mapping, Sequence

from study.claims.check import checks
from study.claims.outcome import (
    OPEN_CHOICE,
    STAND_IN,
    Outcome,
    in_ledger,
    lacking,
    verdict_of_measures,
)
from study.claims.paper_b import budget, stored
from study.claims.seeds import mean_over_seeds
from study.maps.findings import FocusFinding, LayerFinding, SignFinding
from study.verdicts import IN_PART, UNDERSPECIFIED, on_all
from study.words import p_text

_STUDY = "results/localisation"
_NEEDS = "Needed: the measured maps of `params/localisation.yaml`."


# Of all that follows: maps of networks that were trained for fewer epochs than the budget asks for
# have no verdict, and what they show is told.


@checks("B106", "B107", measured=lambda claim: stored.layer(claim.ours))
def focused(*, finding: LayerFinding | None, level: float, epochs: float | None) -> Outcome:
    """Judge "this layer's maps concentrate on the lesion".

    Rule: `params/localisation.yaml`: energy in the lesion's box above that of chance and of every
    control. "Shown" where that holds, "underspecified" where it holds against some of them
    ("concentrates" names no yardstick), else "inconclusive"; "not run" without maps, "not run at
    its budget" where the network was trained for too few epochs (`params/verdicts.yaml`).
    """
    if finding is None:
        return lacking(_NEEDS)
    chance = next(iter(finding.against.values()))
    missed = finding.not_beaten(level)
    found = UNDERSPECIFIED if finding.verdict == IN_PART else in_ledger(finding.verdict)
    verdict = budget.judged(found, epochs)
    return Outcome(
        verdict=verdict,
        evidence="On angiograms with lesion boxes, which BreastMNIST has not, after "
        f"{budget.length(epochs)}: {finding.title}, {chance.value:+.3f} of the map's energy more "
        f"in the box than chance; not shown to be better than {len(missed)} of "
        f"{len(finding.against)} controls ({', '.join(missed) or 'none'}).",
        limits=budget.limits(verdict, epochs, STAND_IN, OPEN_CHOICE),
        runs=(_STUDY,),
    )


@checks("B108", measured=lambda claim: stored.map_progression())
def progresses(*, findings: Sequence[SignFinding], epochs: float | None) -> Outcome:
    """Judge "from emerging localisation (ContextGate) to precise focusing (SpectralFlow)".

    Rule: "shown" where each difference is shown to have the claimed sign (Holm), "not run" without
    maps, "not run at its budget" where the network was trained for too few epochs, else
    `verdicts.on_all`.
    """
    if not findings:
        return lacking(_NEEDS)
    verdict = budget.judged(in_ledger(on_all([f.verdict for f in findings])), epochs)
    listed = "; ".join(
        f"{f.title} {f.difference.value:+.3f} ({p_text(f.p_value)})" for f in findings
    )
    return Outcome(
        verdict=verdict,
        evidence=f"On angiograms with lesion boxes, after {budget.length(epochs)}: {listed}.",
        limits=budget.limits(verdict, epochs, STAND_IN, OPEN_CHOICE),
        runs=(_STUDY,),
    )


@checks("B109", measured=lambda claim: stored.spread(claim, breast=True))
@checks("B110", measured=lambda claim: stored.spread(claim, breast=False))
def spread_by_class(*, findings: Sequence[FocusFinding], epochs: Mapping[str, float]) -> Outcome:
    """Judge "distributed for normal, focused for abnormal".

    Rule: half-energy area of the normal class less that of the other (Holm over all layers and data
    sets). "Shown" where it is shown to be above 0 in each of the findings, "not run" without maps,
    "not run at its budget" where the network of one data set was trained for too few epochs, else
    `verdicts.on_all`.

    `epochs`: data set -> epochs of the runs whose maps these are.
    """
    if not findings:
        return lacking(_NEEDS)
    least = min(epochs.values())
    verdict = budget.judged(in_ledger(on_all([f.sign.verdict for f in findings])), least)
    listed = "; ".join(
        f"{f.dataset}, {f.title}: {f.normal.value:.3f} and {f.lesion.value:.3f} "
        f"({p_text(f.sign.p_value)})"
        for f in findings
    )
    trained = ", ".join(f"{budget.length(n)} ({dataset})" for dataset, n in epochs.items())
    own = all(f.dataset.startswith("breastmnist") for f in findings)
    return Outcome(
        verdict=verdict,
        evidence="Share of the image that holds half of the map, in images of the released class "
        f"without disease and of the other: {listed}. Trained for {trained}.",
        limits=budget.limits(verdict, least, *(() if own else (STAND_IN,)), OPEN_CHOICE),
        runs=("common", "common_224"),
    )


@checks("B121", measured=lambda claim: stored.gate_scatter(claim.ours))
def varies_within_class(
    *,
    trained: Sequence[float],
    untaught: Mapping[str, Sequence[float]],
    epochs: float | None,
) -> Outcome:
    """Judge "activation differs between samples of a class, since the gate adapts to each".

    Any network's maps differ from image to image. Rule: "shown" where the half-energy area of the
    gate's maps scatters more over the images of a class in the trained network than in the same
    layer of each network that was not taught the task (95 %, t over the seeds), "inconclusive"
    where than in none of them, else "underspecified"; "not run" with fewer than five seeds, "not
    run at its budget" where the network was trained for too few epochs.

    `trained`: standard deviation over the images, by seed; `untaught`: network -> likewise;
    `epochs`: of the trained network.
    """
    if not untaught or min(len(trained), *(len(v) for v in untaught.values())) < 5:
        return lacking(_NEEDS)
    more = {
        name: mean_over_seeds([a - b for a, b in zip(trained, values, strict=True)])
        for name, values in untaught.items()
    }
    verdict = budget.judged(verdict_of_measures(m.low > 0 for m in more.values()), epochs)
    listed = "; ".join(f"{name} {m.text(digits=3)}" for name, m in more.items())
    return Outcome(
        verdict=verdict,
        evidence="On angiograms, all of one class, after "
        f"{budget.length(epochs)}: the share of the image that holds half of the gate's map "
        f"scatters by {statistics.fmean(trained):.3f} over the images; more than in the same "
        f"layer untaught by: {listed}.",
        limits=budget.limits(verdict, epochs, STAND_IN, OPEN_CHOICE),
        runs=(_STUDY,),
    )
