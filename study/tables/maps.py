"""Where the maps look, as tables: `results/localisation` and the maps beside the runs.

`study.tables` writes them and checks that they are not stale.
"""

from collections.abc import Iterable, Sequence

import pandas as pd

from helpers.explain.boxes import MeanScore, ScoreDifference
from study.maps.findings import (
    CONTROL_TITLES,
    FIRST_LAYERS,
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
from study.maps.scores import CHANCE, CROPS, WHOLE
from study.plans.maps import Plan, load_plan
from study.table import COMMAND, csv_text, markdown_table

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
VIEW_TITLES = {
    CROPS: "Crops away from the centre",
    WHOLE: "Whole images",
}
NOTE = (
    "Test images with a lesion box; the explained class is the image's own. Means over images and "
    "seeds with 95 % intervals for both. ARCADE patches are cut around their lesion, so the "
    "verdicts use four crops in which it lies off centre. The rule (`params/localisation.yaml`) "
    "was fixed before any map of a test image was measured."
)


def mean_text(mean: MeanScore) -> str:
    """Write a mean with its interval."""
    if mean.low is None:
        return f"{mean.value:.3f}"
    return f"{mean.value:.3f} ({mean.low:.3f} to {mean.high:.3f})"


def difference_text(d: ScoreDifference) -> str:
    """Write a difference with its interval."""
    if d.low is None:
        return f"{d.value:+.3f}"
    return f"{d.value:+.3f} ({d.low:+.3f} to {d.high:+.3f})"


def p_text(p: float) -> str:
    """Write a p value."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


# --- tables --------------------------------------------------------------------------------------


def mean_rows(measured: Measured, plan: Plan, *, view: str) -> list[list[str]]:
    """Return a line for each layer and control: its name and all measures by Grad-CAM."""
    lines = [
        [f"MedSpectralNet: {title}", *_cells(measured, plan, TRAINED, layer, view)]
        for layer, title in measured.layers.items()
    ]
    last = measured.last_plain
    lines.append(["plain ResNet-18: last map", *_cells(measured, plan, PLAIN, last, view)])
    layer = FIRST_LAYERS["last"]
    for network in UNTAUGHT:
        title = f"second SpectralFlow: {CONTROL_TITLES[network].removeprefix('same layer, ')}"
        lines.append([title, *_cells(measured, plan, network, layer, view)])
    for row in (CHANCE, *plan.input_controls):
        cells = [mean_text(measured.control_mean(row, view=view, measure=m)) for m in plan.measures]
        lines.append([CONTROL_TITLES[row], *cells])
    return lines


def _cells(measured: Measured, plan: Plan, network: str, row: str, view: str) -> list[str]:
    return [
        mean_text(measured.mean(network, row, view=view, measure=measure))
        for measure in plan.measures
    ]


def mean_table(measured: Measured, plan: Plan, *, view: str) -> str:
    """Return all measures of Grad-CAM and of the controls, as markdown."""
    head = ["map", *(MEASURES[name] for name in plan.measures)]
    return markdown_table(head, mean_rows(measured, plan, view=view))


def verdict_table(findings: Sequence[LayerFinding], measured: Measured, plan: Plan) -> str:
    """Return each layer's energy in the box beside chance, what it does not beat, the verdict."""
    chance = measured.control_mean(CHANCE, view=CROPS, measure=plan.primary)
    lines = []
    for finding in findings:
        own = measured.mean(TRAINED, finding.layer, view=CROPS, measure=plan.primary)
        hit = measured.mean(TRAINED, finding.layer, view=CROPS, measure="pointing")
        missed = [CONTROL_TITLES[name] for name in finding.not_beaten(plan.level)]
        lines.append(
            [
                finding.title,
                mean_text(own),
                difference_text(finding.against[CHANCE]),
                mean_text(hit),
                "; ".join(missed) or "none",
                finding.verdict,
            ]
        )
    head = [
        "layer",
        f"energy in the box (chance {chance.value:.3f})",
        "more than chance",
        "pointing game",
        "not shown to be better than",
        "focuses on the lesion",
    ]
    return markdown_table(head, lines)


def against_table(findings: Sequence[LayerFinding]) -> str:
    """Return energy in the box, layer minus control, for all layers and controls."""
    controls = list(findings[0].against)
    head = ["layer minus", *(f.title for f in findings)]
    lines = [
        [
            CONTROL_TITLES[control],
            *(
                f"{difference_text(f.against[control])}, p {p_text(f.p_values[control])}"
                for f in findings
            ),
        ]
        for control in controls
    ]
    return markdown_table(head, lines)


def method_table(measured: Measured, plan: Plan) -> str:
    """Return energy in the box and pointing game of every method and layer, on the crops."""
    lines = []
    for method in plan.methods:
        for layer, title in measured.layers.items():
            means = [
                measured.mean(TRAINED, layer, view=CROPS, measure=m, method=method)
                for m in ("energy", "pointing", "iou_best")
            ]
            random = measured.mean("random", layer, view=CROPS, measure="energy", method=method)
            lines.append([METHODS[method], title, *map(mean_text, means), mean_text(random)])
    head = ["method", "layer", *(MEASURES[m] for m in ("energy", "pointing", "iou_best"))]
    return markdown_table([*head, "energy in the box, random weights"], lines)


def sign_table(findings: Sequence[SignFinding]) -> str:
    """Return differences whose sign is claimed."""
    lines = [
        [f.title, difference_text(f.difference), p_text(f.p_value), f.verdict] for f in findings
    ]
    return markdown_table(["difference (95 %)", "ours", "p (Holm)", "verdict"], lines)


def focus_table(findings: Sequence[FocusFinding]) -> str:
    """Return the half-energy areas of normal and lesion classes."""
    lines = [
        [
            f.dataset,
            f.title,
            mean_text(f.normal),
            mean_text(f.lesion),
            difference_text(f.sign.difference),
            p_text(f.sign.p_value),
            f.sign.verdict,
        ]
        for f in findings
    ]
    head = ["data set", "layer", "normal", "abnormal", "difference", "p (Holm)", "verdict"]
    return markdown_table(head, lines)


# --- files ---------------------------------------------------------------------------------------


def _origin(measured: Measured) -> str:
    about = measured.networks[TRAINED].about
    runs = len({name for scores in measured.networks.values() for name in scores.about["runs"]})
    return (
        f"Made by `{COMMAND}` from `results/localisation` ({about['images']} images with a box, "
        f"{runs} runs; maps made with torch {about['env']['torch']}, code "
        f"{about['git']['sha'][:10]})."
    )


def localisation_page(measured: Measured, plan: Plan, *, focus: Sequence[FocusFinding]) -> str:
    """Return the page of one study."""
    findings = layer_findings(measured, plan)
    synthetic = measured.networks[TRAINED].about["data"]["phantom"]
    parts = [
        f"# Where the maps look: {measured.study.title}",
        *(["**PHANTOM: synthetic images, no result about patients.**"] if synthetic else []),
        f"{NOTE} {_origin(measured)}",
        "## Does it focus on the lesion? Layer by layer",
        verdict_table(findings, measured, plan),
        "## Progression from ContextGate to SpectralFlow",
        sign_table(progression(measured, plan)),
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
        parts += ["## Distributed for normal, focused for abnormal?", focus_table(focus)]
    return "\n\n".join(parts) + "\n"


def localisation_frame(measured: Measured, plan: Plan) -> pd.DataFrame:
    """Return all means as a flat table: one line a network, view, layer, method and measure."""
    lines = []
    for network in measured.study.networks:
        scores = measured.networks[network.id]
        for view in scores.axes["views"]:
            for row in scores.axes["rows"]:
                for method in plan.methods:
                    for measure in plan.measures:
                        mean = measured.mean(
                            network.id, row, view=view, measure=measure, method=method
                        )
                        lines.append(_line(network.title, view, row, method, measure, mean))
    for view in measured.controls.axes["views"]:
        for row in measured.controls.axes["rows"]:
            for measure in plan.measures:
                mean = measured.control_mean(row, view=view, measure=measure)
                lines.append(_line("input", view, row, "", measure, mean))
    return pd.DataFrame(lines)


def _line(network: str, view: str, row: str, method: str, measure: str, mean: MeanScore) -> dict:
    return {
        "network": network,
        "view": view,
        "map": row,
        "method": method,
        "measure": measure,
        "mean": mean.value,
        "low": mean.low,
        "high": mean.high,
        "images": mean.n_images,
        "seeds": mean.n_seeds or "",
    }


def localisation_files(study: str) -> dict[str, str]:
    """Return a study's generated files: name -> content; none while it is not measured."""
    plan = load_plan()
    chosen = plan.study(study)
    if not is_measured(chosen):
        return {}
    measured = load_measured(chosen)
    focus = focus_findings(plan) if chosen.profile == "paper" else []
    return {
        "localisation.md": localisation_page(measured, plan, focus=focus),
        "localisation.csv": csv_text(localisation_frame(measured, plan)),
    }


def readme_localisation() -> str:
    """Return the README's block: the verdicts on real images, in a table and in words."""
    plan = load_plan()
    study = next(s for s in plan.studies if s.profile == "paper")
    if not is_measured(study):
        return "Not measured yet: `python -m study maps`."
    measured = load_measured(study)
    parts = [
        f"{NOTE}",
        verdict_table(layer_findings(measured, plan), measured, plan),
        "\n".join(f"- {line}" for line in in_words(measured, plan)),
        f"All layers, methods and controls: [localisation](results/tables/localisation.md). "
        f"{_origin(measured)}",
    ]
    return "\n\n".join(parts)


def in_words(measured: Measured, plan: Plan) -> Iterable[str]:
    """Say the findings in sentences."""
    layer = FIRST_LAYERS["last"]
    for f in progression(measured, plan):
        yield f"Progression, {f.title}: {difference_text(f.difference)}, {f.verdict}."
    plain = beside_plain(measured, plan)
    yield (
        "The second SpectralFlow of MedSpectralNet against the last map of a plain ResNet-18, "
        f"energy in the box: {difference_text(plain)}."
    )
    gaussian = measured.control_mean("gaussian", view=WHOLE, measure="pointing")
    ours = measured.mean(TRAINED, layer, view=WHOLE, measure="pointing")
    yield (
        "On whole patches a Gaussian in the middle, which has seen no image, hits the box in "
        f"{100 * gaussian.value:.0f} % of the images, the second SpectralFlow in "
        f"{100 * ours.value:.0f} %: whole patches cannot show where a network looks."
    )
