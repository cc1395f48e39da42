"""Where the maps look, as tables: `results/localisation` and the maps beside the runs."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from helpers.metrics.scores import Estimate
from study.claims.paper_b import budget
from study.maps.findings import (
    CONTROL_TITLES,
    LAST,
    PLAIN,
    TRAINED,
    UNTAUGHT,
    FocusFinding,
    LayerFinding,
    Measured,
    SignFinding,
    beside_plain,
    focus_findings,
    is_measured,
    layer_findings,
    load_measured,
    progression,
)
from study.maps.scores import CHANCE, CROPS, WHOLE, MapScores
from study.plans.maps import MapPlan, Study
from study.table import COMMAND, Table, column, ends, estimate, folded, joined, p_value
from study.tables.comparisons import SIGNED

MEASURES = {
    "pointing": "pointing game",
    "energy": "energy in the box",
    "iou": "IoU at half the maximum",
    "iou_best": "IoU, threshold of the validation images",
    "half_area": "half-energy area",
}
METHODS = {
    "gradcam": "Grad-CAM",
    "gradcam++": "Grad-CAM++",
    "layercam": "Layer-CAM",
    "eigencam": "Eigen-CAM",
}
VIEW_TITLES = {CROPS: "Crops away from the centre", WHOLE: "Whole images"}
NOTE = (
    "Test images with a lesion box; the explained class is the image's own. Means over images and "
    "seeds with 95 % intervals for both. ARCADE patches are cut around their lesion, so the "
    "verdicts use four crops in which it lies off centre. The rule (`params/localisation.yaml`) "
    "was fixed before any map of a test image was measured; intervals and tests are of a later "
    "one, that of all other comparisons (docs/methods.md)."
)

PHANTOM = "**PHANTOM: synthetic images, no result about patients.**"


# --- tables --------------------------------------------------------------------------------------


def mean_table(measured: Measured, plan: MapPlan, *, view: str) -> Table:
    """Return all measures of Grad-CAM of each layer, and of the controls."""
    means = {
        f"MedSpectralNet: {title}": partial(measured.mean, TRAINED, layer)
        for layer, title in measured.layers.items()
    }
    means["plain ResNet-18: last map"] = partial(measured.mean, PLAIN, measured.last_plain)
    for network in UNTAUGHT:
        title = CONTROL_TITLES[network].removeprefix("same layer, ")
        means[f"second SpectralFlow: {title}"] = partial(measured.mean, network, LAST)
    for control in (CHANCE, *plan.input_controls):
        means[CONTROL_TITLES[control]] = partial(measured.control_mean, control)
    rows = []
    for title, mean in means.items():
        row = {"map": title}
        for name in plan.measures:
            row |= ends(name, mean(view=view, measure=name))
        rows.append(row)
    columns = (estimate(MEASURES[name], name) for name in plan.measures)
    return Table.of(rows, ["map", *columns], VIEW_TITLES[view])


def verdict_on(verdict: str, measured: Measured) -> str:
    """Return the verdict of a finding, `SHORT` where the network was trained too briefly for it.

    The phantom tests the measurement, not what the paper says.
    """
    if _is_phantom(measured):
        return verdict
    return budget.apply(verdict, budget.of_maps(measured))


def _is_phantom(measured: Measured) -> bool:
    return measured.networks[TRAINED].about["data"]["phantom"]


def verdict_table(findings: Sequence[LayerFinding], measured: Measured, plan: MapPlan) -> Table:
    """Return each layer's energy in the box beside chance, what it does not beat, the verdict."""
    chance = measured.control_mean(CHANCE, view=CROPS, measure=plan.primary)
    rows = []
    for finding in findings:
        energy = measured.mean(TRAINED, finding.layer, view=CROPS, measure=plan.primary)
        hit = measured.mean(TRAINED, finding.layer, view=CROPS, measure="pointing")
        missed = [CONTROL_TITLES[name] for name in finding.not_beaten(plan.level)]
        rows.append(
            {
                "layer": finding.title,
                **ends("energy", energy),
                **ends("more", finding.against[CHANCE]),
                **ends("hit", hit),
                "not_better_than": "; ".join(missed) or "none",
                "verdict": verdict_on(finding.verdict, measured),
            }
        )
    columns = [
        "layer",
        estimate(f"energy in the box (chance {chance.value:.3f})", "energy"),
        estimate("more than chance", "more", **SIGNED),
        estimate("pointing game", "hit"),
        column("not shown to be better than", "not_better_than"),
        column("focuses on the lesion", "verdict"),
    ]
    return Table.of(rows, columns, "Does it focus on the lesion?")


def against_table(findings: Sequence[LayerFinding]) -> Table:
    """Return energy in the box, layer minus control, for all layers and controls."""
    rows = []
    for control in findings[0].against:
        row = {"control": CONTROL_TITLES[control]}
        for f in findings:
            row |= ends(f.layer, f.against[control])
            row |= {f"{f.layer}_p": f"p {p_value(f.p_values[control])}"}
        rows.append(row)
    columns = (estimate(f.title, f.layer, f"{f.layer}_p", **SIGNED) for f in findings)
    return Table.of(rows, [column("layer minus", "control"), *columns], "Layers minus controls")


def method_table(measured: Measured, plan: MapPlan) -> Table:
    """Return energy in the box and pointing game of every method and layer, on the crops."""
    names, rows = ("energy", "pointing", "iou_best"), []
    for method in plan.methods:
        for layer, title in measured.layers.items():
            row = {"method": METHODS[method], "layer": title}
            for name in names:
                found = measured.mean(TRAINED, layer, view=CROPS, measure=name, method=method)
                row |= ends(name, found)
            random = measured.mean("random", layer, view=CROPS, measure="energy", method=method)
            rows.append(row | ends("random", random))
    columns = [
        "method",
        "layer",
        *(estimate(MEASURES[name], name) for name in names),
        estimate("energy in the box, random weights", "random"),
    ]
    return Table.of(rows, columns, "Other methods")


_P = column("p (Holm)", "p", write=p_value)


def sign_table(
    findings: Sequence[SignFinding], measured: Measured, plain: Estimate | None = None
) -> Table:
    """Return differences whose sign is claimed, see `findings.progression`.

    With them the one to a plain network (`findings.beside_plain`), of which nothing is claimed.
    """
    rows = [
        {"title": f.title, "p": f.p_value, "verdict": verdict_on(f.verdict, measured)}
        | ends("ours", f.difference)
        for f in findings
    ]
    if plain is not None:
        title = "energy in the box: second SpectralFlow - last map of a plain ResNet-18"
        rows.append({"title": title} | ends("ours", plain))
    columns = [
        column("difference (95 %)", "title"),
        estimate("ours", "ours", **SIGNED),
        _P,
        "verdict",
    ]
    return Table.of(rows, columns, "From ContextGate to SpectralFlow")


def focus_table(findings: Sequence[FocusFinding], plan: MapPlan) -> Table:
    """Return the half-energy areas of normal and lesion classes."""
    epochs = budget.of_focus(plan)
    rows = [
        {
            "data set": f.dataset,
            "layer": f.title,
            "p": f.sign.p_value,
            "verdict": budget.apply(f.sign.verdict, epochs[f.dataset]),
            **ends("normal", f.normal),
            **ends("abnormal", f.lesion),
            **ends("difference", f.sign.difference),
        }
        for f in findings
    ]
    columns = [
        "data set",
        "layer",
        estimate("normal", "normal"),
        estimate("abnormal", "abnormal"),
        estimate("difference", "difference", **SIGNED),
        _P,
        "verdict",
    ]
    return Table.of(rows, columns, "Half-energy areas")


# --- files ---------------------------------------------------------------------------------------


def _origin(measured: Measured) -> str:
    about = measured.networks[TRAINED].about
    runs = len({name for scores in measured.networks.values() for name in scores.about["runs"]})
    return (
        f"Made by `{COMMAND}` from `results/localisation` ({about['images']} images with a box, "
        f"{runs} runs; maps made with torch {about['env']['torch']}, code "
        f"{about['git']['sha'][:10]})."
    )


def _budget(measured: Measured) -> str:
    """Say how long the network was trained; nothing of the phantom, or without its runs."""
    epochs, plain = (budget.of_maps(measured, network) for network in (TRAINED, PLAIN))
    if _is_phantom(measured) or epochs is None:
        return ""
    beside = f", the plain ResNet-18 for {plain:g}" if plain not in (epochs, None) else ""
    return f"The network was trained for {budget.length(epochs)}{beside}. "


def localisation_page(measured: Measured, plan: MapPlan, *, focus: Sequence[FocusFinding]) -> str:
    """Return the page of one study."""
    findings = layer_findings(measured, plan)
    parts: list[str | Table] = [
        f"# Where the maps look: {measured.study.title}",
        *([PHANTOM] if _is_phantom(measured) else []),
        f"{NOTE} {_budget(measured)}{_origin(measured)}",
        "## Does it focus on the lesion? Layer by layer",
        verdict_table(findings, measured, plan),
        "## Progression from ContextGate to SpectralFlow",
        sign_table(progression(measured, plan), measured),
        f"## Grad-CAM and controls. {VIEW_TITLES[CROPS]}",
        mean_table(measured, plan, view=CROPS),
        f"## Grad-CAM and controls. {VIEW_TITLES[WHOLE]}",
        mean_table(measured, plan, view=WHOLE),
        "## Energy in the box: each layer minus each control, crops",
        against_table(findings),
        "## Other methods, crops",
        method_table(measured, plan),
    ]
    if focus:
        parts += ["## Distributed for normal, focused for abnormal?", focus_table(focus, plan)]
    return joined(*parts) + "\n"


def localisation_table(measured: Measured, plan: MapPlan) -> Table:
    """Return all means: one line a network, view, layer, method and measure."""
    rows: list[dict[str, Any]] = []

    def add(network: str, scores: MapScores, methods: Sequence[str], mean: Callable) -> None:
        views, layers = scores.axes["views"], scores.axes["rows"]
        for view, row, method, measure in product(views, layers, methods, plan.measures):
            found = mean(row, view=view, measure=measure, **({"method": method} if method else {}))
            cell = scores.of(view=view, row=row, method=method or "input", measure=measure)
            images = int((~np.isnan(cell[0])).sum())
            rows.append(
                {
                    "network": network,
                    "view": view,
                    "map": row,
                    "method": method,
                    "measure": measure,
                    "mean": found.value,
                    "low": found.low,
                    "high": found.high,
                    "images": images,
                    "seeds": len(cell) if method else None,
                }
            )

    for network in measured.study.networks:
        scores, mean = measured.networks[network.id], partial(measured.mean, network.id)
        add(network.title, scores, plan.methods, mean)
    add("input", measured.controls, ("",), measured.control_mean)
    return Table.of(rows, [])


def localisation_files(study: Study, plan: MapPlan) -> dict[str, str]:
    """Return a study's generated files: name -> content; none while it is not measured."""
    if not is_measured(study):
        return {}
    measured = load_measured(study)
    focus = focus_findings(plan) if study.profile == "paper" else []
    return {
        "localisation.md": localisation_page(measured, plan, focus=focus),
        "localisation.csv": localisation_table(measured, plan).csv(),
    }


def localisation_block(plan: MapPlan) -> str:
    """Return the block of `results/README.md`: the verdicts on real images."""
    study = next(s for s in plan.studies if s.profile == "paper")
    if not is_measured(study):
        return "Not measured yet: `python -m study maps`."
    measured = load_measured(study)
    return joined(
        f"{NOTE} {_budget(measured)}".rstrip(),
        verdict_table(layer_findings(measured, plan), measured, plan),
        sign_table(progression(measured, plan), measured, beside_plain(measured, plan)),
        folded(
            f"{VIEW_TITLES[WHOLE]}: what a Gaussian in the middle scores, which saw no image",
            mean_table(measured, plan, view=WHOLE).markdown(),
        ),
        "All layers, methods and controls: [localisation](results/tables/localisation.md). "
        f"{_origin(measured)}",
    )
