"""Parameters and multiply-accumulates of every model, beside the published ones.

`python -m study.sizes` prints the table; `study.tables` writes it to `results/tables`.
Everything is counted on the meta device, where nothing is computed.

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

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod

import pandas as pd
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from helpers.models.counting import MACS_TOOL, count_parameters
from helpers.models.registry import build_model, list_models
from helpers.models.zoo.timm_models import TIMM_MODELS
from helpers.terminal import escape_unshowable
from study.published import Published, last_digit, lookup, rounding
from study.table import COMMAND, csv_text, markdown_table
from study.verdicts import MATCH, NO_MATCH, UNVERIFIED

_WRITTEN_ANEW = ("medmamba_", "medvit_", "vmamba_")
# Where a source does not say: the classes of OrganMNIST, the most of paper B's six sets.
NUM_CLASSES = 11
IMAGE_SIZE = 224


def is_comparator(model: str) -> bool:
    """Say whether a model of the registry is somebody else's network, from timm or written anew."""
    return model in TIMM_MODELS or model.startswith(_WRITTEN_ANEW)


@dataclass(frozen=True)
class Source:
    """A place that prints sizes, and how it counts.

    Attributes:
        title: how tables name it.
        paper: key of `study.published`.
        table: key of `study.published`.
        num_classes: classes of the counted networks; `NUM_CLASSES` where it is not stated.
        params: column of the parameters, "" if it prints none.
        macs: column of the multiply-accumulates, "" if it prints none.
        norms: whether normalisation is counted; None where the source does not say how it counts.
        merged: whether branches were merged before counting, as for inference (FastViT).
    """

    title: str
    paper: str
    table: str
    num_classes: int = NUM_CLASSES
    params: str = "params"
    macs: str = "macs"
    norms: bool | None = False
    merged: bool = False


@dataclass(frozen=True)
class Claim:
    """One row of a source that speaks of one of our models.

    Attributes:
        model: name in the registry.
        source: where it is printed.
        row: key of `study.published`.
        image_size: side of the image in pixels.
        note: why a number differs, where that is known.
    """

    model: str
    source: Source
    row: str
    image_size: int = IMAGE_SIZE
    note: str = ""


PAPER_A = Source("paper A, Table 4", "A", "Table 4", num_classes=2, macs="")
PAPER_B_SIZE = Source("paper B, Fig. 14", "B", "Fig. 14", macs="")
PAPER_B_COST = Source("paper B, Table 4", "B", "Table 4", params="", macs="flops", norms=None)
PAPER_B_TEXT = Source(
    "paper B, section 4.7", "B", "section 4.7", params="", macs="flops", norms=None
)
TORCH_COUNTER = Source(
    "torch's counter",
    "macs_by_tool",
    "one 224 px image",
    num_classes=1000,
    params="",
    macs="torch.utils.flop_counter",
)
FVCORE = Source(
    "fvcore",
    "macs_by_tool",
    "one 224 px image",
    num_classes=1000,
    params="",
    macs="fvcore",
    norms=True,
)
MEDMAMBA = Source("MedMamba's paper", "medmamba", "sizes", norms=None)
MEDMAMBA_CODE = Source(
    "MedMamba's code", "medmamba", "sizes", params="params_of_released_code", macs=""
)
MEDVIT = Source("MedViT's paper", "medvit", "sizes", norms=None)
MEDVIT_CODE = Source(
    "MedViT's code",
    "medvit",
    "sizes",
    params="params_of_released_code",
    macs="macs_of_released_code",
    norms=None,
)
TIMM = Source("timm", "timm", "sizes", norms=True)
TIMM_SIZE = Source("timm", "timm", "sizes", macs="")
TIMM_BENCHMARK = Source("timm's benchmark", "timm", "benchmark", num_classes=1000, norms=True)
TIMM_MERGED = Source(
    "timm's benchmark", "timm", "benchmark", num_classes=1000, norms=True, merged=True
)
TIMM_CARD = Source("timm's model card", "timm", "model card", num_classes=1000, norms=True)

_TOO_SMALL = "the printed number has no room for the backbone that the text names"
_SWIN = "swin_tiny_patch4_window7_224"
CLAIMS = (
    Claim("medspectralnet", PAPER_B_SIZE, "MedSpectralNet", note=_TOO_SMALL),
    Claim(
        "medspectralnet",
        PAPER_B_COST,
        "MedSpectralNet",
        note="of the open choices, only a full convolution comes near it (02_models)",
    ),
    Claim("resnet18", PAPER_A, "ResNet18 (baseline)"),
    Claim("resnet18", TORCH_COUNTER, "resnet18"),
    Claim("resnet18", FVCORE, "resnet18"),
    Claim("resnet18", TIMM_BENCHMARK, "resnet18 @224"),
    Claim("resnet34", PAPER_A, "ResNet34"),
    Claim("resnet34", TIMM_BENCHMARK, "resnet34 @224"),
    Claim("resnet50", PAPER_B_TEXT, "ResNet-50"),
    Claim("resnet50", TIMM_BENCHMARK, "resnet50 @224"),
    Claim("mobilenet_v2", TIMM_BENCHMARK, "mobilenetv2_100 @224"),
    Claim("brain_inspired_resnet18", PAPER_A, "Brain-Inspired Hybrid (Ours)"),
    Claim("quantum_resnet18", PAPER_A, "Quantum-Enhanced ResNet18"),
    Claim("medmamba_t", PAPER_B_SIZE, "MedMamba-T"),
    *(Claim(f"medmamba_{v.lower()}", MEDMAMBA, f"MedMamba-{v}") for v in "TSB"),
    *(Claim(f"medmamba_{v.lower()}", MEDMAMBA_CODE, f"MedMamba-{v}") for v in "TSB"),
    Claim("vmamba_t", PAPER_B_SIZE, "VMamba-T"),
    *(Claim(f"medvit_{v.lower()}", MEDVIT, f"MedViT-{v}") for v in "TSL"),
    *(Claim(f"medvit_{v.lower()}", MEDVIT_CODE, f"MedViT-{v}") for v in "TSL"),
    Claim("convnext_tiny", PAPER_B_COST, "ConvNeXt-T"),
    Claim("convnext_tiny", TORCH_COUNTER, "convnext_tiny"),
    Claim("convnext_tiny", TIMM, "convnext_tiny"),
    Claim("convnext_tiny", TIMM_BENCHMARK, "convnext_tiny @224"),
    Claim("swin_tiny", PAPER_B_SIZE, "Swin-T"),
    Claim("swin_tiny", PAPER_B_COST, "Swin-T"),
    Claim("swin_tiny", TORCH_COUNTER, "swin_t"),
    Claim("swin_tiny", TIMM, _SWIN),
    Claim("swin_tiny", TIMM_BENCHMARK, f"{_SWIN} @224"),
    Claim("mobilevit_s", TIMM, "mobilevit_s", 256),
    Claim("mobilevit_s", TIMM_BENCHMARK, "mobilevit_s @256", 256),
    Claim("mobilevitv2_100", TIMM, "mobilevitv2_100", 256),
    Claim("mobilevitv2_100", TIMM_BENCHMARK, "mobilevitv2_100 @256", 256),
    Claim("nest_tiny", TIMM, "nest_tiny"),
    Claim("nest_tiny", TIMM_CARD, "nest_tiny @224"),
    *(
        claim
        for name in ("mobilenetv4_conv_small", "mobilenetv4_conv_medium")
        for claim in (
            Claim(name, TIMM_SIZE, name),
            Claim(name, TIMM_BENCHMARK, f"{name} @224"),
            Claim(name, TIMM_BENCHMARK, f"{name} @256", 256),
        )
    ),
    *(
        claim
        for name in ("fastvit_t8", "fastvit_t12")
        for claim in (
            Claim(name, TIMM_SIZE, name),
            Claim(name, TIMM_MERGED, f"{name} @256", 256),
        )
    ),
    Claim("edgenext_small", TIMM_SIZE, "edgenext_small"),
    Claim("edgenext_small", TIMM_BENCHMARK, "edgenext_small @256", 256),
    *(
        claim
        for name in ("efficientformerv2_s0", "efficientformerv2_s1")
        for claim in (Claim(name, TIMM_SIZE, name), Claim(name, TIMM_CARD, f"{name} @224"))
    ),
    Claim("mambaout_femto", TIMM_SIZE, "mambaout_femto"),
    Claim("mambaout_femto", TIMM_BENCHMARK, "mambaout_femto @224"),
    Claim("densenet121", TIMM_BENCHMARK, "densenet121 @224"),
)


NONE_PUBLISHED = "none published"
_ATEN = torch.ops.aten
_BATCH_NORMS = (
    *(_ATEN.native_batch_norm, _ATEN._native_batch_norm_legit),
    *(_ATEN._native_batch_norm_legit_no_training, _ATEN.cudnn_batch_norm),
)
_MIXING = ("aten.bmm", "aten.baddbmm", "helpers.selective_scan")
_OTHER_NORMS = (_ATEN.native_layer_norm, _ATEN.native_group_norm)


# --- counting ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counts:
    """What a model costs.

    Attributes:
        parameters: buffers not counted.
        macs: multiply-accumulates of one image, by `helpers.models.counting.count_macs`.
        mixing_macs: those of `macs` that some tools miss: batched products, which are attention's
            in most networks, and the selective scan.
        norm_macs: those that fvcore adds for normalisation.
    """

    parameters: int
    macs: int
    mixing_macs: int
    norm_macs: int


def _batch_norm_flops(shape: torch.Size, *_, out_val: object = None, **__) -> int:
    return 2 * 2 * prod(shape)


def _norm_flops(shape: torch.Size, *_, out_val: object = None, **__) -> int:
    return 2 * 5 * prod(shape)


_NORM_FLOPS = {
    **dict.fromkeys(_BATCH_NORMS, _batch_norm_flops),
    **dict.fromkeys(_OTHER_NORMS, _norm_flops),
}


@cache
def count_sizes(model: str, *, num_classes: int, image_size: int, merged: bool = False) -> Counts:
    """Count a model of the registry from scratch, in evaluation mode, for one colour image.

    Args:
        model: name in the registry.
        num_classes: number of logits.
        image_size: side of the image in pixels.
        merged: merge parallel branches first, as timm does for inference.

    Raises:
        ValueError: unknown model, or a size that it cannot take.
    """
    with torch.device("meta"):
        network = build_model(
            model, num_classes=num_classes, image_size=image_size, pretrained="none"
        ).eval()
        if merged:
            from timm.utils.model import reparameterize_model

            network = reparameterize_model(network)
        return count_network(network, image_size=image_size)


def count_network(network: nn.Module, *, image_size: int) -> Counts:
    """Count a network in evaluation mode for one colour image, on the default device.

    Args:
        network: maps (1, 3, H, W) to anything.
        image_size: side H = W in pixels.
    """
    counter = FlopCounterMode(display=False, custom_mapping=_NORM_FLOPS)
    with sdpa_kernel(SDPBackend.MATH), torch.enable_grad(), counter:
        network(torch.zeros(1, 3, image_size, image_size))
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

    Args:
        count: in the unit of `printed`.
        printed: a number, a range or a bound.
        up_to: where ours is not one number but a range, its upper end; `count` is the lower one.

    Raises:
        ValueError: what is printed is none of them.
    """
    low, high, slack = printed.low, printed.high, 0.0
    if printed.value is not None:
        (low, high), slack = rounding(printed), _SLACK * last_digit(printed)
    elif low is None and high is None:
        raise ValueError(f"{printed.printed!r} ({printed.source}) cannot be compared.")
    above = low is None or (count if up_to is None else up_to) >= low - slack
    return above and (high is None or count <= high + slack)


def giga_macs(model: str, *, num_classes: int, image_size: int) -> tuple[float, float]:
    """Return the multiply-accumulates of one image that tools count, in units of 10^9.

    Args:
        model: name in the registry.
        num_classes: number of logits.
        image_size: side of the image in pixels.

    Returns:
        Without normalisation, and with it as fvcore counts it.
    """
    counts = count_sizes(model, num_classes=num_classes, image_size=image_size)
    return counts.macs / 1e9, (counts.macs + counts.norm_macs) / 1e9


# --- table ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Quantity:
    """A count beside a printed one, in millions or in units of 10^9.

    Attributes:
        count: ours.
        published: the printed one, None if there is none.
        up_to: the count by another way that the source leaves open, None where it says its own.
    """

    count: float
    published: Published | None
    up_to: float | None = None

    @property
    def differs(self) -> bool:
        """Whether something else is printed than `count`, by our first way of counting."""
        return self.published is not None and not matches(self.count, self.published)

    @property
    def verdict(self) -> str:
        """`MATCH`, `NO_MATCH`, unverified, or "" where nothing is printed."""
        if self.published is None:
            return ""
        if self.published.mark == "M":
            return UNVERIFIED
        return MATCH if matches(self.count, self.published, up_to=self.up_to) else NO_MATCH

    @property
    def printed(self) -> str:
        """What is printed, with its mark."""
        return f"{self.published.printed} [{self.published.mark}]" if self.published else ""


@dataclass(frozen=True)
class SizeRow:
    """A line of the table: a model as one source counts it, or as we count it.

    Attributes:
        model: name in the registry.
        source: how tables name the source, `NONE_PUBLISHED` if there is none.
        num_classes: number of logits.
        image_size: side of the image in pixels.
        norms: whether normalisation is counted.
        parameters: in millions.
        macs: of one image, in units of 10^9.
        note: why a number differs, or may differ.
    """

    model: str
    source: str
    num_classes: int
    image_size: int
    norms: bool
    parameters: Quantity
    macs: Quantity
    note: str


def _published(claim: Claim, column: str) -> Published | None:
    if not column:
        return None
    source = claim.source
    return lookup(paper=source.paper, table=source.table, row=claim.row, column=column)


def _size_row(claim: Claim) -> SizeRow:
    source = claim.source
    counts = count_sizes(
        claim.model,
        num_classes=source.num_classes,
        image_size=claim.image_size,
        merged=source.merged,
    )
    with_norms = (counts.macs + counts.norm_macs) / 1e9
    macs = Quantity(
        with_norms if source.norms else counts.macs / 1e9,
        _published(claim, source.macs),
        up_to=with_norms if source.norms is None else None,
    )
    notes = [claim.note, "branches merged, as for inference" if source.merged else ""]
    if macs.differs:
        notes.append(_other_ways(counts, norms=bool(source.norms)))
    return SizeRow(
        model=claim.model,
        source=source.title,
        num_classes=source.num_classes,
        image_size=claim.image_size,
        norms=bool(source.norms),
        parameters=Quantity(counts.parameters / 1e6, _published(claim, source.params)),
        macs=macs,
        note="; ".join(note for note in notes if note),
    )


def _other_ways(counts: Counts, *, norms: bool) -> str:
    """Say what another way of counting gives, for a cost that is printed otherwise."""
    if norms:
        ways = {"without normalisation": counts.macs}
    else:
        ways = {"with normalisation": counts.macs + counts.norm_macs}
    if counts.mixing_macs:
        ways["without batched products and scan"] = counts.macs - counts.mixing_macs
    return ", ".join(f"{way} {macs / 1e9:.2f}" for way, macs in ways.items())


def _own_row(model: str) -> SizeRow:
    counts = count_sizes(model, num_classes=NUM_CLASSES, image_size=IMAGE_SIZE)
    return SizeRow(
        model=model,
        source=NONE_PUBLISHED,
        num_classes=NUM_CLASSES,
        image_size=IMAGE_SIZE,
        norms=False,
        parameters=Quantity(counts.parameters / 1e6, None),
        macs=Quantity(counts.macs / 1e9, None),
        note="",
    )


def size_rows(models: Iterable[str] | None = None) -> list[SizeRow]:
    """Count models beside everything that is published about their size.

    Args:
        models: names in the registry, by default all.

    Returns:
        The rows of `CLAIMS` by model in the registry's order; one row with our counts alone for a
        model of which nothing is published.
    """
    rows = []
    for model in list_models() if models is None else models:
        claims = [claim for claim in CLAIMS if claim.model == model]
        rows += [_size_row(claim) for claim in claims] or [_own_row(model)]
    return rows


def size_frame(rows: Sequence[SizeRow]) -> pd.DataFrame:
    """Return the rows as a flat table; counts in millions of parameters and 10^9 MACs."""
    return pd.DataFrame(
        {
            "model": row.model,
            "source": row.source,
            "classes": row.num_classes,
            "image_size": row.image_size,
            "norms_counted": row.norms,
            "parameters": row.parameters.count,
            "parameters_expected": row.parameters.printed,
            "parameters_verdict": row.parameters.verdict,
            "macs": row.macs.count,
            "macs_expected": row.macs.printed,
            "macs_verdict": row.macs.verdict,
            "note": row.note,
        }
        for row in rows
    )


HEAD = (
    *("model", "source", "classes", "px"),
    *("parameters (M): we see", "expected", "verdict"),
    *("MACs (G): we see", "expected", "verdict", "note"),
)


def size_cells(rows: Sequence[SizeRow]) -> list[list[str]]:
    """Return the rows as text under `HEAD`; a `*` marks MACs with normalisation."""
    return [
        [
            *(row.model, row.source, str(row.num_classes), str(row.image_size)),
            *(f"{row.parameters.count:.2f}", row.parameters.printed, row.parameters.verdict),
            f"{row.macs.count:.2f}{'*' if row.norms else ''}",
            *(row.macs.printed, row.macs.verdict, row.note),
        ]
        for row in rows
    ]


def verdict_counts(rows: Sequence[SizeRow]) -> Counter[str]:
    """Count the verdicts on all printed numbers."""
    found = [quantity.verdict for row in rows for quantity in (row.parameters, row.macs)]
    return Counter(verdict for verdict in found if verdict)


def in_words(rows: Sequence[SizeRow]) -> str:
    """Say in a sentence how many printed numbers match."""
    counts = verdict_counts(rows)
    models = len({row.model for row in rows})
    return (
        f"{models} models, {counts.total()} printed numbers: {counts[MATCH]} match, "
        f"{counts[NO_MATCH]} do not, {counts[UNVERIFIED]} are quoted from memory and not judged."
    )


NOTE = (
    "A count matches if it rounds to the printed digits, with the source's classes, image size and "
    f"way of counting: convolutions and products ({MACS_TOOL}; attention and scan included), and, "
    "where a star stands, normalisation as fvcore counts it for timm. Sources that do not state "
    f"their classes are compared with {NUM_CLASSES}; the cost of one that does not state its way "
    "of counting matches from the count without normalisation to the one with it. Marks: T stated "
    "in paper A or B, S read in a public source, M quoted from memory and not judged."
)


def model_size_files() -> dict[str, str]:
    """Return the generated files: name -> content."""
    rows = size_rows()
    page = [
        f"<!-- Generated by `{COMMAND}`; do not edit. -->",
        "# Parameters and multiply-accumulates of every model, beside the published ones",
        f"{in_words(rows)} {NOTE}",
        markdown_table(HEAD, size_cells(rows)),
    ]
    return {
        "model_sizes.md": "\n\n".join(page) + "\n",
        "model_sizes.csv": csv_text(size_frame(rows)),
    }


def readme_model_sizes() -> str:
    """Return the README's block: how many printed sizes match, and each that does not."""
    rows = size_rows()
    lines = [
        f"- {row.model}, {row.source}: we see {quantity.count:.2f} {unit} with {row.num_classes} "
        f"classes, expected {quantity.printed}, {NO_MATCH}"
        + (f": {row.note}." if row.note else ".")
        for row in rows
        for quantity, unit in ((row.parameters, "M parameters"), (row.macs, "GMACs"))
        if quantity.verdict == NO_MATCH
    ]
    link = "All counts: [model sizes](results/tables/model_sizes.md)."
    return "\n\n".join(part for part in (in_words(rows), "\n".join(lines), link) if part)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, of all models or of those named."""
    escape_unshowable()
    parser = argparse.ArgumentParser(prog="python -m study.sizes", description=main.__doc__)
    parser.add_argument("models", nargs="*", help="names in the registry, by default all")
    names = parser.parse_args(arguments).models
    try:
        rows = size_rows(names or None)
    except ValueError as error:
        parser.error(str(error))
    print(markdown_table(HEAD, size_cells(rows)))
    print(f"\n{in_words(rows)} {NOTE}")


if __name__ == "__main__":
    main()
