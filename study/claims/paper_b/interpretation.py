"""Paper B's reading of its Grad-CAM pictures against maps measured on boxes.

"Not run" stands where no maps are measured, "not run at its budget" where the network was trained
for too few epochs (`params/verdicts.yaml`); what its maps show is told all the same. The rules
below are for the rest. `epochs` are those of the runs whose maps these are.
"""

import statistics
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from helpers.paths import results_root
from helpers.runs.store import RunError
from study.claims.check import checks
from study.claims.check_result import (
    OPEN_CHOICE,
    STAND_IN,
    CheckResult,
    in_ledger,
    lacking,
    verdict_of_measures,
)
from study.claims.ledger import Claim
from study.claims.paper_b import budget
from study.claims.seeds import mean_over_seeds
from study.maps import findings as maps
from study.maps.scores import WHOLE
from study.plans.maps import load_plan
from study.verdicts import IN_PART, SHORT, SHOWN, UNDERSPECIFIED, on_all
from study.words import p_text

_NEEDS = "Needed: the measured maps of `params/localisation.yaml`."
_OTHER_IMAGES = (STAND_IN, OPEN_CHOICE)
_on_angiograms = partial(budget.result, others=_OTHER_IMAGES, runs=("results/localisation",))


# --- what is stored, read once for each results tree ----------------------------------------------


@cache
def _angiograms(root: Path) -> tuple[maps.Measured | None, int | None]:
    """Return the maps measured on angiogram patches with their epochs; None without their runs."""
    study = load_plan().study("arcade")
    measured = maps.load_measured(study) if maps.is_measured(study) else None
    epochs = budget.of_maps(measured) if measured else None
    return (measured, epochs) if epochs is not None else (None, None)


@cache
def _layers(root: Path) -> dict[str, maps.LayerFinding]:
    measured, _ = _angiograms(root)
    found = maps.layer_findings(measured, load_plan()) if measured else []
    return {finding.layer: finding for finding in found}


@cache
def _spread(root: Path) -> tuple[list[maps.FocusFinding], dict[str, int]]:
    """Return the findings on data sets without boxes, and the epochs of each set's runs."""
    plan = load_plan()
    try:
        return maps.focus_findings(plan), budget.of_focus(plan)
    except RunError:
        return [], {}


def _layer(claim: Claim) -> dict[str, Any]:
    root = results_root()
    finding, (_, epochs) = _layers(root).get(claim.ours), _angiograms(root)
    return {"finding": finding, "level": load_plan().level, "epochs": epochs}


def _progression(claim: Claim) -> dict[str, Any]:
    measured, epochs = _angiograms(results_root())
    findings = maps.progression(measured, load_plan()) if measured else []
    return {"findings": findings, "epochs": epochs}


def _of_classes(claim: Claim, *, breast: bool) -> dict[str, Any]:
    findings, epochs = _spread(results_root())
    chosen = [f for f in findings if f.layer in claim.beside and _is_breast(f) == breast]
    return {"findings": chosen, "epochs": {f.dataset: epochs[f.dataset] for f in chosen}}


def _is_breast(finding: maps.FocusFinding) -> bool:
    return finding.dataset.startswith("breastmnist")


def _scatter(claim: Claim) -> dict[str, Any]:
    measured, epochs = _angiograms(results_root())

    def over_images(network: str) -> list[float]:
        areas = measured.cell(
            network, claim.ours, view=WHOLE, method=maps.METHOD, measure="half_area"
        )
        return np.nanstd(areas, axis=1, ddof=1).tolist()

    return {
        "trained": over_images(maps.TRAINED) if measured else [],
        "untaught": {name: over_images(name) for name in maps.UNTAUGHT if measured},
        "epochs": epochs,
    }


# --- checks ---------------------------------------------------------------------------------------


@checks("B106", "B107", measured=_layer)
def focused(
    *, finding: maps.LayerFinding | None, level: float, epochs: float | None
) -> CheckResult:
    """Judge "this layer's maps concentrate on the lesion".

    Rule: `params/localisation.yaml`: energy in the lesion's box above that of chance and of every
    control. "Shown" where that holds, "underspecified" where it holds against some of them
    ("concentrates" names no yardstick), else "inconclusive".
    """
    if finding is None:
        return lacking(_NEEDS)
    chance = next(iter(finding.against.values()))
    missed = finding.not_beaten(level)
    return _on_angiograms(
        UNDERSPECIFIED if finding.verdict == IN_PART else in_ledger(finding.verdict),
        epochs,
        evidence="On angiograms with lesion boxes, which BreastMNIST has not, after "
        f"{budget.length(epochs)}: {finding.title}, {chance.value:+.3f} of the map's energy more "
        f"in the box than chance; not shown to be better than {len(missed)} of "
        f"{len(finding.against)} controls ({', '.join(missed) or 'none'}).",
    )


@checks("B108", measured=_progression)
def progresses(*, findings: Sequence[maps.SignFinding], epochs: float | None) -> CheckResult:
    """Judge "from emerging localisation (ContextGate) to precise focusing (SpectralFlow)".

    Rule: `verdicts.on_all` over the differences: "shown" where each is shown to have the claimed
    sign (Holm).
    """
    if not findings:
        return lacking(_NEEDS)
    listed = "; ".join(
        f"{f.title} {f.difference.value:+.3f} ({p_text(f.p_value)})" for f in findings
    )
    return _on_angiograms(
        in_ledger(on_all([f.verdict for f in findings])),
        epochs,
        evidence=f"On angiograms with lesion boxes, after {budget.length(epochs)}: {listed}.",
    )


@checks("B109", measured=lambda claim: _of_classes(claim, breast=True))
@checks("B110", measured=lambda claim: _of_classes(claim, breast=False))
def spread_by_class(
    *, findings: Sequence[maps.FocusFinding], epochs: Mapping[str, float]
) -> CheckResult:
    """Judge "distributed for normal, focused for abnormal", on the paper's data set or on others.

    Rule: half-energy area of the normal class less that of the other (Holm over all layers and
    data sets), `verdicts.on_all` over the findings: "shown" where it is shown to be above 0 in
    each. Data sets whose training meets the budget judge, the others are told.

    `epochs`: by data set.
    """
    if not findings:
        return lacking(_NEEDS)
    listed = "; ".join(
        f"{f.dataset}, {f.title}: {f.normal.value:.3f} and {f.lesion.value:.3f} "
        f"({p_text(f.sign.p_value)})"
        for f in findings
    )
    trained = ", ".join(f"{budget.length(n)} ({dataset})" for dataset, n in epochs.items())
    judging = {name: n for name, n in epochs.items() if budget.apply(SHOWN, n) != SHORT} or epochs
    return budget.result(
        in_ledger(on_all([f.sign.verdict for f in findings if f.dataset in judging])),
        min(judging.values()),
        evidence="Share of the image that holds half of the map, in images of the released class "
        f"without disease and of the other: {listed}. Trained for {trained}.",
        others=(OPEN_CHOICE,) if all(map(_is_breast, findings)) else _OTHER_IMAGES,
        runs=("paper_b", "common_224"),
    )


@checks("B121", measured=_scatter)
def varies_within_class(
    *,
    trained: Sequence[float],
    untaught: Mapping[str, Sequence[float]],
    epochs: float | None,
) -> CheckResult:
    """Judge "activation differs between samples of a class, since the gate adapts to each".

    Any network's maps differ from image to image. Rule: "shown" where the half-energy area of the
    gate's maps scatters more over the images of a class in the trained network than in the same
    layer of each network that was not taught the task (95 %, t over the seeds), "inconclusive"
    where than in none of them, else "underspecified"; "not run" with fewer than five seeds.

    `trained`: standard deviation over the images, by seed; `untaught`: network -> likewise.
    """
    if not untaught or min(len(trained), *(len(v) for v in untaught.values())) < 5:
        return lacking(_NEEDS)
    more = {
        name: mean_over_seeds([a - b for a, b in zip(trained, values, strict=True)])
        for name, values in untaught.items()
    }
    listed = "; ".join(f"{name} {m.text()}" for name, m in more.items())
    return _on_angiograms(
        verdict_of_measures(m.low > 0 for m in more.values()),
        epochs,
        evidence="On angiograms, all of one class, after "
        f"{budget.length(epochs)}: the share of the image that holds half of the gate's map "
        f"scatters by {statistics.fmean(trained):.3f} over the images; more than in the same "
        f"layer untaught by: {listed}.",
    )
