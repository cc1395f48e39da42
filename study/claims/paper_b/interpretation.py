"""Paper B's reading of its Grad-CAM pictures against maps measured on boxes."""

import statistics
from collections.abc import Mapping, Sequence

from study.claims.check import checks
from study.claims.outcome import OPEN_CHOICE, STAND_IN, Outcome, in_ledger, verdict_of_measures
from study.claims.paper_b import stored
from study.claims.seeds import mean_over_seeds
from study.maps.findings import FocusFinding, LayerFinding, SignFinding
from study.verdicts import IN_PART, NOT_RUN, UNDERSPECIFIED, on_all
from study.words import p_text

_STUDY = "results/localisation"
_NEEDS = "Needed: the measured maps of `params/localisation.yaml`."


@checks("B106", "B107", measured=lambda claim: stored.layer(claim.ours))
def focused(*, finding: LayerFinding | None, level: float) -> Outcome:
    """Judge "this layer's maps concentrate on the lesion".

    Rule: `params/localisation.yaml`: energy in the lesion's box above that of chance and of every
    control. "Shown" where that holds, "underspecified" where it holds against some of them
    ("concentrates" names no yardstick), else "inconclusive", "not run" without maps.
    """
    if finding is None:
        return Outcome(verdict=NOT_RUN, evidence=_NEEDS)
    chance = next(iter(finding.against.values()))
    missed = finding.not_beaten(level)
    return Outcome(
        verdict=UNDERSPECIFIED if finding.verdict == IN_PART else in_ledger(finding.verdict),
        evidence="On angiograms with lesion boxes, which BreastMNIST has not: "
        f"{finding.title}, {chance.value:+.3f} of the map's energy more in the box than chance; "
        f"not shown to be better than {len(missed)} of {len(finding.against)} controls "
        f"({', '.join(missed) or 'none'}): {finding.verdict}.",
        limits=(STAND_IN, OPEN_CHOICE),
        runs=(_STUDY,),
    )


@checks("B108", measured=lambda claim: {"findings": stored.map_progression()})
def progresses(*, findings: Sequence[SignFinding]) -> Outcome:
    """Judge "from emerging localisation (ContextGate) to precise focusing (SpectralFlow)".

    Rule: "shown" where each difference is shown to have the claimed sign (Holm), "not run" without
    maps, else `verdicts.on_all`.
    """
    if not findings:
        return Outcome(verdict=NOT_RUN, evidence=_NEEDS)
    listed = "; ".join(
        f"{f.title} {f.difference.value:+.3f} ({p_text(f.p_value)}): {f.verdict}" for f in findings
    )
    return Outcome(
        verdict=in_ledger(on_all([f.verdict for f in findings])),
        evidence=f"On angiograms with lesion boxes: {listed}.",
        limits=(STAND_IN, OPEN_CHOICE),
        runs=(_STUDY,),
    )


@checks("B109", measured=lambda claim: {"findings": stored.spread(claim, breast=True)})
@checks("B110", measured=lambda claim: {"findings": stored.spread(claim, breast=False)})
def spread_by_class(*, findings: Sequence[FocusFinding]) -> Outcome:
    """Judge "distributed for normal, focused for abnormal".

    Rule: half-energy area of the normal class less that of the other (Holm over all layers and data
    sets). "Shown" where it is shown to be above 0 in each of the findings, "not run" without maps,
    else `verdicts.on_all`.
    """
    if not findings:
        return Outcome(verdict=NOT_RUN, evidence=_NEEDS)
    listed = "; ".join(
        f"{f.dataset}, {f.title}: {f.normal.value:.3f} and {f.lesion.value:.3f} "
        f"({p_text(f.sign.p_value)}, {f.sign.verdict})"
        for f in findings
    )
    return Outcome(
        verdict=in_ledger(on_all([f.sign.verdict for f in findings])),
        evidence="Share of the image that holds half of the map, in images of the released class "
        f"without disease and of the other: {listed}.",
        limits=(OPEN_CHOICE,)
        if all(f.dataset.startswith("breastmnist") for f in findings)
        else (STAND_IN, OPEN_CHOICE),
        runs=("common", "common_224"),
    )


@checks("B121", measured=lambda claim: stored.gate_scatter(claim.ours))
def varies_within_class(
    *, trained: Sequence[float], untaught: Mapping[str, Sequence[float]]
) -> Outcome:
    """Judge "activation differs between samples of a class, since the gate adapts to each".

    Any network's maps differ from image to image. Rule: "shown" where the half-energy area of the
    gate's maps scatters more over the images of a class in the trained network than in the same
    layer of each network that was not taught the task (95 %, t over the seeds), "inconclusive"
    where than in none of them, else "underspecified"; "not run" with fewer than five seeds.

    `trained`: standard deviation over the images, by seed; `untaught`: network -> likewise.
    """
    if not untaught or min(len(trained), *(len(v) for v in untaught.values())) < 5:
        return Outcome(verdict=NOT_RUN, evidence=_NEEDS)
    more = {
        name: mean_over_seeds([a - b for a, b in zip(trained, values, strict=True)])
        for name, values in untaught.items()
    }
    listed = "; ".join(f"{name} {m.text(digits=3)}" for name, m in more.items())
    return Outcome(
        verdict=verdict_of_measures(m.low > 0 for m in more.values()),
        evidence="On angiograms, all of one class: the share of the image that holds half of the "
        f"gate's map scatters by {statistics.fmean(trained):.3f} over the images; more than in the "
        f"same layer untaught by: {listed}.",
        limits=(STAND_IN, OPEN_CHOICE),
        runs=(_STUDY,),
    )
