"""What the measured maps say of paper B's reading: comparisons and verdicts, by the rule.

The rule is the text of `params/localisation.yaml`; input are the files of `results/localisation`
and the `maps.npz` of stored runs.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from helpers.explain.boxes import half_energy_area
from helpers.explain.run_maps import load_maps
from helpers.metrics import intervals
from helpers.metrics.scores import Estimate
from helpers.runs.store import find_runs, load_run
from study.compare import Corrected, correct
from study.maps.scores import CHANCE, CROPS, MapScores, load_scores
from study.plans.maps import CONTROLS, MapPlan, Study
from study.verdicts import IN_PART, INCONCLUSIVE, SHOWN, SHOWN_REVERSED

METHOD = "gradcam"
TRAINED, PLAIN = "medspectralnet", "resnet18"
UNTAUGHT = ("shuffled", "backbone_only", "random")
CONTROL_TITLES = {
    CHANCE: "chance (box's share)",
    "gaussian": "centred Gaussian",
    "brightness": "brightness",
    "darkness": "darkness",
    "vesselness": "vesselness",
    "shuffled": "same layer, labels shuffled",
    "backbone_only": "same layer, ImageNet backbone, not trained",
    "random": "same layer, random weights",
}
GATE, LAST = "contextgate", "spectralflow2"  # the layers of the claimed progression


@dataclass(frozen=True)
class Measured:
    """All files of a study, read."""

    study: Study
    networks: dict[str, MapScores]  # by id
    controls: MapScores  # of what knows no network

    @property
    def layers(self) -> dict[str, str]:
        """Layers of MedSpectralNet: module name -> title."""
        axes = self.networks[TRAINED].axes
        return dict(zip(axes["rows"], axes["titles"], strict=True))

    @property
    def last_plain(self) -> str:
        """The layer of the plain network."""
        return self.networks[PLAIN].axes["rows"][-1]

    def cell(
        self, network: str, row: str, *, measure: str, view: str = CROPS, method: str = METHOD
    ) -> np.ndarray:
        """Return the scores (seeds, images) of a layer of a network."""
        return self.networks[network].of(view=view, row=row, method=method, measure=measure)

    def control(self, row: str, *, measure: str, view: str = CROPS) -> np.ndarray:
        """Return the scores (images,) of a control of the input."""
        return self.controls.of(view=view, row=row, method="input", measure=measure)[0]

    def mean(self, network: str, row: str, **where: str) -> Estimate:
        """Return the mean of a `cell` with its interval."""
        return _mean(self.cell(network, row, **where), self.networks[network].groups)

    def control_mean(self, row: str, **where: str) -> Estimate:
        """Return the mean of a `control` with its interval."""
        return _mean(self.control(row, **where), self.controls.groups)


@dataclass(frozen=True)
class LayerFinding:
    """Whether a layer's maps focus on the lesion."""

    layer: str  # module name
    title: str  # its name for readers
    against: dict[str, Estimate]  # control -> energy in the box, layer minus control, on the crops
    p_values: dict[str, float]  # control -> after Holm's correction over all layers and controls
    # `SHOWN`, `IN_PART`, `INCONCLUSIVE`, or `SHOWN_REVERSED` where chance is shown to be better.
    verdict: str

    def not_beaten(self, level: float) -> list[str]:
        """Return the controls that the layer is not shown to be better than."""
        return [
            c for c, d in self.against.items() if not (d.value > 0 and self.p_values[c] < level)
        ]


@dataclass(frozen=True)
class SignFinding:
    """A difference whose sign is claimed."""

    title: str  # what is subtracted from what
    difference: Estimate  # positive where the paper's reading holds
    p_value: float  # after Holm's correction over its family
    verdict: str  # `SHOWN`, `SHOWN_REVERSED` or `INCONCLUSIVE`


@dataclass(frozen=True)
class FocusFinding:
    """How widely the maps of two classes are spread in one layer of one data set."""

    dataset: str
    layer: str
    title: str
    normal: Estimate
    lesion: Estimate
    sign: SignFinding


def load_measured(study: Study) -> Measured:
    """Read a study's files; a `RunError` where one is missing says how to make it."""
    read = {name: load_scores(study.file(name)) for name in study.names}
    controls = read.pop(CONTROLS)
    return Measured(study, read, controls)


def is_measured(study: Study) -> bool:
    """Say whether all of a study's files are there."""
    return all(study.file(name).exists() for name in study.names)


def layer_findings(measured: Measured, plan: MapPlan) -> list[LayerFinding]:
    """Judge for each layer of the trained network whether its maps focus on the lesion."""
    against = {layer: _against(measured, plan, layer) for layer in measured.layers}
    cells = {(layer, name): d for layer, some in against.items() for name, d in some.items()}
    corrected = dict(zip(cells, correct(list(cells.values()), level=plan.level), strict=True))
    findings = []
    for layer, differences in against.items():
        own = {control: _p_value(corrected[layer, control]) for control in differences}
        better = {control for control in differences if corrected[layer, control].shown > 0}
        verdict = INCONCLUSIVE
        if better == set(differences):
            verdict = SHOWN
        elif CHANCE in better:
            verdict = IN_PART
        elif corrected[layer, CHANCE].shown < 0:
            verdict = SHOWN_REVERSED
        findings.append(LayerFinding(layer, measured.layers[layer], differences, own, verdict))
    return findings


def _against(measured: Measured, plan: MapPlan, layer: str) -> dict[str, Estimate]:
    """Return how much more of the plan's measure a layer has than each control."""
    measure = plan.primary
    controls = {
        row: measured.control(row, measure=measure) for row in (CHANCE, *plan.input_controls)
    }
    controls |= {network: measured.cell(network, layer, measure=measure) for network in UNTAUGHT}
    own, groups = measured.cell(TRAINED, layer, measure=measure), measured.controls.groups
    return {name: _difference(own, control, groups) for name, control in controls.items()}


def progression(measured: Measured, plan: MapPlan) -> list[SignFinding]:
    """Judge the progression from ContextGate to SpectralFlow: nearer the lesion, more focused."""

    def less(first: str, second: str, measure: str) -> Estimate:
        a, b = (measured.cell(TRAINED, layer, measure=measure) for layer in (first, second))
        return _difference(a, b, measured.networks[TRAINED].groups)

    differences = {
        "energy in the box: second SpectralFlow - ContextGate": less(LAST, GATE, plan.primary),
        "half-energy area: ContextGate - second SpectralFlow": less(GATE, LAST, "half_area"),
    }
    return _signed(differences, plan)


def beside_plain(measured: Measured, plan: MapPlan) -> Estimate:
    """Return energy in the box: second SpectralFlow minus a plain ResNet-18's last map."""
    ours = measured.cell(TRAINED, LAST, measure=plan.primary)
    plain = measured.cell(PLAIN, measured.last_plain, measure=plan.primary)
    return _difference(ours, plain, measured.controls.groups)


def focus_findings(plan: MapPlan) -> list[FocusFinding]:
    """Judge "distributed for normal, focused for abnormal" where the maps of runs are stored."""
    spread = {}  # (data set, layer) -> areas (seeds, images), which images are normal, title
    for focus in plan.focus:
        runs = sorted(find_runs(**focus.runs, label_noise=0.0), key=lambda run: run.config["seed"])
        labels, areas = _half_energy_areas(tuple(run.path for run in runs))
        for (layer, title), of_layer in areas.items():
            spread[focus.runs["dataset"], layer] = of_layer, labels == focus.normal, title
    differences = {
        key: intervals.mean(intervals.contrast_scores(areas, normal))
        for key, (areas, normal, _) in spread.items()
    }
    signs = _signed({" / ".join(key): d for key, d in differences.items()}, plan)
    return [
        FocusFinding(*key, title, _mean(areas[:, normal]), _mean(areas[:, ~normal]), sign)
        for (key, (areas, normal, title)), sign in zip(spread.items(), signs, strict=True)
    ]


@cache  # tables and claims both ask, and to sort the pixels of every map takes seconds
def _half_energy_areas(
    folders: tuple[Path, ...],
) -> tuple[np.ndarray, dict[tuple[str, str], np.ndarray]]:
    """Return the labels of the mapped images, and (layer, title) -> areas (seeds, images)."""
    from helpers.explain.cam import upsample  # torch, which reading results takes nowhere else

    runs = [load_run(folder) for folder in folders]
    stored = [load_maps(run) for run in runs]
    size = runs[0].record["data"]["image_size"]
    areas = {}
    for title, layer in stored[0].layers.items():
        maps = [upsample(m.maps["true", layer], (size, size)) for m in stored]
        areas[layer, title] = np.stack([half_energy_area(some) for some in maps])
    return stored[0].labels, areas


def _signed(differences: dict[str, Estimate], plan: MapPlan) -> list[SignFinding]:
    corrected = correct(list(differences.values()), level=plan.level)
    verdicts = {1: SHOWN, -1: SHOWN_REVERSED, 0: INCONCLUSIVE}
    return [
        SignFinding(title, d, _p_value(c), verdicts[c.shown])
        for (title, d), c in zip(differences.items(), corrected, strict=True)
    ]


def _p_value(corrected: Corrected) -> float:
    """Return the p value; that of a difference without any variance counts as 1."""
    return 1.0 if corrected.p_value is None else corrected.p_value


def _mean(scores: np.ndarray, groups: np.ndarray | None = None) -> Estimate:
    return intervals.mean(intervals.image_scores(_units(scores, groups)))


def _difference(a: np.ndarray, b: np.ndarray, groups: np.ndarray) -> Estimate:
    """Return A's mean less B's, on the same images; a control meets each seed of the other side."""
    if a.shape[-1] != b.shape[-1] or (a.ndim == b.ndim and a.shape != b.shape):
        raise ValueError(
            f"scores of {a.shape} and {b.shape}; a comparison is paired: over the same images, and "
            "over the same seeds unless one side is a control, (images,)."
        )
    return intervals.mean(intervals.image_scores(_units(a - b, groups), bounded=False))


def _units(scores: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Return scores (draws, units): of the images that have one, averaged over each group.

    Scores are float (seeds, images), or (images,) of a control, which is one draw; NaN for an image
    that was left out, in every seed. Images of one group, (images,), count as one.
    """
    scores = np.atleast_2d(scores)
    left_out = np.isnan(scores)
    if (left_out != left_out[0]).any():
        raise ValueError("an image is left out (NaN) in some seeds only; all or none.")
    if groups is not None and groups.shape != scores.shape[1:]:
        raise ValueError(f"{groups.shape} groups for scores of {scores.shape[1]} images.")
    scored = ~left_out[0]
    if groups is None:
        return scores[:, scored]
    _, member = np.unique(groups[scored], return_inverse=True)
    sums = np.stack([np.bincount(member, weights=row) for row in scores[:, scored]])
    return sums / np.bincount(member)
