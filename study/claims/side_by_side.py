"""The papers' main numbers beside ours, each with what its test images allow."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from helpers.metrics.intervals import image_scores, mean
from helpers.metrics.scores import proportion
from helpers.runs.groups import Group
from study.claims.judge import CheckedClaim
from study.claims.ledger import Key
from study.claims.paper_b import stored
from study.published import Published, lookup

# Proportions of paper A's Table 2, which of its test images each is of, and their labels.
_OF = {
    "accuracy": ("images", (0, 1)),
    "sensitivity": ("positive", (1,)),
    "specificity": ("negative", (0,)),
}


@dataclass(frozen=True)
class SideBySide:
    """A printed number and ours; shares from 0 to 1."""

    label: str  # whose number it is
    published: tuple[float, float, float]  # with Wilson's 95 % interval for the paper's test images
    # Mean over seeds with an interval, of paper A for other images and seeds, of paper B for one
    # more run on the same images; None where not run.
    ours: tuple[float, float, float] | None
    n_seeds: int
    state: str  # the verdict


def paper_a_numbers(claims: Sequence[CheckedClaim], framework: Group | None) -> list[SideBySide]:
    """Return accuracy, sensitivity and specificity of paper A's framework, and our runs of it.

    Of all judged claims the verdict is that of the one which holds Table 2's accuracy.
    """
    source = ("A", "Table 2", "test", "accuracy")
    state = next(j.state for j in claims if j.claim.kind == "result" and source in j.claim.sources)
    rows = []
    for metric, (images, labels) in _OF.items():
        value = lookup(paper="A", table="Table 2", row="test", column=metric)
        n = round(lookup(paper="A", table="section 3.2", row="test set", column=images).value)
        ours = None
        if framework:
            y_true, _ = framework.runs[0].predictions("test")
            right = framework.right[:, np.isin(y_true, labels)].astype(float)
            found = framework.estimate(image_scores(right), mean)
            ours = (found.value, found.low, found.high)
        seeds = len(framework.seeds) if framework else 0
        rows.append(SideBySide(f"A, {metric}", _with_interval(value, n), ours, seeds, state))
    return rows


def paper_b_numbers(claims: Sequence[CheckedClaim], datasets: dict[str, str]) -> list[SideBySide]:
    """Return the accuracy of paper B's network on each of its data sets, name -> title.

    The verdict is that of the level, of the first result that holds Table 3's accuracy.
    """
    rows = []
    for dataset, title in datasets.items():
        source = Key("B", "Table 3", "MedSpectralNet", f"{dataset}/accuracy")
        one = next(j for j in claims if j.claim.kind == "result" and source in j.claim.sources)
        level = stored.network_level(one.claim)
        found = level.one_more
        ours = (found.value, found.low, found.high) if found and found.low is not None else None
        n_test = lookup(paper="medmnist", table="splits", row=dataset, column="test")
        value = _with_interval(source.value(), round(n_test.value))
        seeds = found.seeds if found else 0
        rows.append(SideBySide(f"B, {title}", value, ours, seeds, level.verdict))
    return rows


def _with_interval(value: Published, n: int) -> tuple[float, float, float]:
    found = proportion(round(value.fraction * n), n)
    return (value.fraction, found.low, found.high)
