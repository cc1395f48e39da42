"""timm's networks under the names of the registry; no torch is imported here."""

from typing import NamedTuple


class TimmModel(NamedTuple):
    """A network of timm."""

    architecture: str  # timm's name
    tag: str | None  # timm's name of the ImageNet-1k weights, None where none are published for it
    fixed_size: bool = False  # whether the network is built for one image size


TIMM_MODELS = {
    "convnext_tiny": TimmModel("convnext_tiny", "fb_in1k"),
    "swin_tiny": TimmModel("swin_tiny_patch4_window7_224", "ms_in1k", fixed_size=True),
    "mobilevit_s": TimmModel("mobilevit_s", "cvnets_in1k"),
    "mobilevitv2_100": TimmModel("mobilevitv2_100", "cvnets_in1k"),
    "nest_tiny": TimmModel("nest_tiny", None, fixed_size=True),
    "mobilenetv4_conv_small": TimmModel("mobilenetv4_conv_small", "e2400_r224_in1k"),
    "mobilenetv4_conv_medium": TimmModel("mobilenetv4_conv_medium", "e500_r224_in1k"),
    "fastvit_t8": TimmModel("fastvit_t8", "apple_in1k"),
    "fastvit_t12": TimmModel("fastvit_t12", "apple_in1k"),
    "edgenext_small": TimmModel("edgenext_small", "usi_in1k"),
    "efficientformerv2_s0": TimmModel("efficientformerv2_s0", "snap_dist_in1k", fixed_size=True),
    "efficientformerv2_s1": TimmModel("efficientformerv2_s1", "snap_dist_in1k", fixed_size=True),
    "mambaout_femto": TimmModel("mambaout_femto", "in1k"),
    "densenet121": TimmModel("densenet121", "ra_in1k"),
}
