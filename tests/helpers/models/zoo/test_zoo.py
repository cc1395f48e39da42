"""The comparators: shapes, classes, channels, gradients and sizes, all through the registry."""

import re
from contextlib import nullcontext

import pytest
import torch
from torch.nn import functional

from helpers.files import DamagedFile
from helpers.models.registry import build_model, list_models
from helpers.models.zoo.timm_table import TIMM_MODELS
from study.sizes import is_comparator

COMPARATORS = tuple(name for name in list_models() if is_comparator(name))
AT_256_PX = ("mobilevit", "fastvit", "edgenext")  # published so, the others at 224 px
# One of each family: the others differ in depth and width, and `study.sizes` counts all of them.
FAMILIES = (
    *("medmamba_t", "vmamba_t", "medvit_t", "convnext_tiny", "swin_tiny", "mobilevit_s"),
    *("mobilevitv2_100", "nest_tiny", "mobilenetv4_conv_small", "fastvit_t8", "edgenext_small"),
    *("efficientformerv2_s0", "mambaout_femto", "densenet121"),
)
each_family = pytest.mark.parametrize("name", FAMILIES)


def build(name, *, meta=False, **options):
    torch.manual_seed(0)
    with torch.device("meta") if meta else nullcontext():
        return build_model(name, pretrained="none", **{"num_classes": 2, **options})


def test_every_comparator_is_in_the_registry():
    families = {name.split("_")[0] for name in FAMILIES}
    assert families == {name.split("_")[0] for name in COMPARATORS}
    written_anew = {*(f"medmamba_{v}" for v in "tsb"), "vmamba_t", *(f"medvit_{v}" for v in "tsl")}
    assert set(COMPARATORS) == written_anew | set(TIMM_MODELS)


@each_family
def test_small_grey_images_of_two_classes_give_every_parameter_a_gradient(name):
    model = build(name, in_channels=1, image_size=32).train()
    logits = model(torch.randn(2, 1, 32, 32))
    assert logits.shape == (2, 2)
    assert logits.dtype == torch.float32
    assert torch.isfinite(logits).all()
    functional.cross_entropy(logits, torch.tensor([0, 1])).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{key} has no gradient"
        assert torch.isfinite(parameter.grad).all(), f"{key} has no finite gradient"


@each_family
def test_large_colour_images_of_eleven_classes(name):
    image_size = 256 if name.startswith(AT_256_PX) else 224
    model = build(name, num_classes=11, image_size=image_size).eval()
    with torch.no_grad():
        logits = model(torch.randn(1, 3, image_size, image_size))
    assert logits.shape == (1, 11)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize(
    ("name", "image_size", "nearest"), [("nest_tiny", 30, "32 px"), ("densenet121", 28, "29 px")]
)
def test_a_size_that_does_not_fit_is_answered_with_the_nearest_that_do(name, image_size, nearest):
    message = rf"{name} cannot take images of {image_size} px \(.+\); the nearest .*: {nearest}\."
    with pytest.raises(ValueError, match=message):
        build(name, meta=True, image_size=image_size)
    possible = int(nearest.split()[0])
    images = torch.randn(1, 3, possible, possible, device="meta")
    assert build(name, meta=True, image_size=possible).eval()(images).shape == (1, 2)


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"<html>not found</html>"])
def test_a_damaged_file_of_timms_weights_is_named(content, monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--timm--mambaout_femto.in1k"
    file = repository / "snapshots" / ("0" * 40) / "model.safetensors"
    file.parent.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    file.write_bytes(content)
    start = re.escape(f"{file} does not hold the weights timm mambaout_femto.in1k")
    with pytest.raises(DamagedFile, match=rf"{start}(.|\n)*; delete it, so that it is fetched"):
        build_model("mambaout_femto", num_classes=2, pretrained="imagenet")
