"""Where the sizes of our models are published, and how each source counts.

The numbers are in `results/published`; here is which row speaks of which model.
"""

from dataclasses import dataclass

from helpers.models.zoo.timm_models import TIMM_MODELS

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
        paper: key of `helpers.published`.
        table: key of `helpers.published`.
        num_classes: classes of the counted networks; `NUM_CLASSES` where it is not stated.
        params: column of the parameters, "" if it prints none.
        macs: column of the multiply-accumulates, "" if it prints none.
        norms: whether normalisation is counted.
        merged: whether branches were merged before counting, as for inference (FastViT).
    """

    title: str
    paper: str
    table: str
    num_classes: int = NUM_CLASSES
    params: str = "params"
    macs: str = "macs"
    norms: bool = False
    merged: bool = False


@dataclass(frozen=True)
class Claim:
    """One row of a source that speaks of one of our models.

    Attributes:
        model: name in the registry.
        source: where it is printed.
        row: key of `helpers.published`.
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
PAPER_B_COST = Source("paper B, Table 4", "B", "Table 4", params="", macs="flops")
PAPER_B_TEXT = Source("paper B, section 4.7", "B", "section 4.7", params="", macs="flops")
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
MEDMAMBA = Source("MedMamba's paper", "medmamba", "sizes")
MEDMAMBA_CODE = Source(
    "MedMamba's code", "medmamba", "sizes", params="params_of_released_code", macs=""
)
MEDVIT = Source("MedViT's paper", "medvit", "sizes")
MEDVIT_CODE = Source(
    "MedViT's code",
    "medvit",
    "sizes",
    params="params_of_released_code",
    macs="macs_of_released_code",
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
