"""Every model by name: shapes, gradients, weights, sizes against the published ones."""

from functools import partial

import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers.models import backbones, contextgate, medspectralnet
from helpers.models.backbones import WeightsUnavailable, weights_name
from helpers.models.counting import count_macs, count_parameters
from helpers.models.registry import (
    build_model,
    list_models,
    model_entry,
    resolve_weights,
    weights_label,
)
from helpers.models.spectralflow import SpectralFlow
from helpers.models.zoo.timm_models import TimmWeights
from helpers.models.zoo.timm_table import TIMM_MODELS
from study.published import lookup

SMALL = (
    *("medspectralnet", "medspectralnet_light", "resnet18", "mobilenet_v2", "resnet18_28"),
    *("brain_inspired_resnet18", "quantum_resnet18"),
)
LARGER = {"medmamba_s", "medmamba_b", "medvit_s", "medvit_l"}  # siblings of what is tested
OURS = tuple(name for name in list_models() if name not in {*LARGER, *TIMM_MODELS})  # of any size
each_small = pytest.mark.parametrize("name", SMALL)


def build(name, *, num_classes=2, pretrained="none", **options):
    torch.manual_seed(0)
    return build_model(name, num_classes=num_classes, pretrained=pretrained, **options)


def on_meta(name, **options):
    """Shapes without numbers: large models cost nothing."""
    with torch.device("meta"):
        return build(name, **options)


@pytest.fixture
def no_weights(monkeypatch):
    def fail(backbone):
        raise WeightsUnavailable(f"no file for {backbone}")

    monkeypatch.setattr(backbones, "imagenet_state", fail)
    monkeypatch.setattr(TimmWeights, "find", lambda weights: fail(weights.name))


# --- shapes ---


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize(
    ("image_size", "num_classes", "in_channels"), [(28, 2, 1), (33, 11, 3), (97, 7, 1)]
)
def test_logits_have_the_shape_of_batch_and_classes(name, image_size, num_classes, in_channels):
    sizes = {"image_size": image_size, "in_channels": in_channels}
    model = on_meta(name, num_classes=num_classes, **sizes)
    images = torch.randn(2, in_channels, image_size, image_size, device="meta")
    assert model(images).shape == (2, num_classes)


@pytest.mark.parametrize(
    ("name", "image_size"),
    [*((name, 28) for name in SMALL), *(("medspectralnet_light", s) for s in (29, 33, 64, 97))],
)
def test_one_image_gets_the_logits_that_it_gets_in_a_batch(name, image_size):
    model = build(name, num_classes=7, image_size=image_size).eval().double()
    images = torch.randn(2, 3, image_size, image_size, dtype=torch.float64)
    with torch.no_grad():
        alone, together = model(images[:1]), model(images)
    assert alone.shape == (1, 7)
    assert torch.isfinite(together).all()
    assert torch.allclose(alone, together[:1])


@pytest.mark.parametrize("name", ["medspectralnet", "medspectralnet_light"])
def test_equal_seeds_give_equal_models(name):
    first, second = build(name), build(name)
    pairs = zip(first.state_dict().items(), second.state_dict().items(), strict=True)
    assert all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


# --- gradients ---


def removed_by_batch_norm(name):
    """Biases that only shift a channel of the next batch norm's input, which takes it away."""
    silent = {"spectralflow2.fuse.bias"} if name.startswith("medspectralnet") else set()
    if name == "mobilenet_v2":  # its bottlenecks end without an activation
        silent |= {"features.1.conv.2.bias", *(f"features.{i}.conv.3.bias" for i in range(2, 18))}
    if name == "medspectralnet_light":  # the last of them feeds SpectralFlow, not a batch norm
        silent |= {"backbone.1.conv.2.bias", *(f"backbone.{i}.conv.3.bias" for i in range(2, 17))}
    return silent


@each_small
def test_every_parameter_gets_a_gradient(name):
    """In training mode and double precision, where what must be zero is zero to 1e-12."""
    model = build(name, num_classes=3, image_size=28).train().double()
    logits = model(torch.randn(4, 3, 28, 28, dtype=torch.float64))
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0])).backward()
    largest = {key: parameter.grad.abs().max() for key, parameter in model.named_parameters()}
    assert all(torch.isfinite(value) for value in largest.values())
    silent = {key for key, value in largest.items() if value < 1e-12}
    assert silent == removed_by_batch_norm(name)


# --- weights ---


@each_small
def test_state_survives_safetensors(name, tmp_path):
    model = build(name, num_classes=3, image_size=28)
    model(torch.randn(2, 3, 28, 28))  # batch-norm statistics of its own
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    torch.manual_seed(1)
    other = build_model(name, num_classes=3, image_size=28, pretrained="none")
    other.load_state_dict(load_file(tmp_path / "model.safetensors"))
    images = torch.randn(2, 3, 28, 28)
    assert torch.equal(other.eval()(images), model.eval()(images))


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("medspectralnet", "backbone.layer4.1.conv2.weight"),
        ("resnet18", "layer4.1.conv2.weight"),
        ("brain_inspired_resnet18", "trunk.layer4.1.conv2.weight"),
    ],
)
def test_auto_starts_from_imagenet_where_it_can_be_had(name, key, monkeypatch):
    torch.manual_seed(5)
    state = build_model("resnet18", num_classes=1000, pretrained="none").state_dict()
    monkeypatch.setattr(backbones, "imagenet_state", lambda backbone: state)
    for word in ("auto", "imagenet"):
        loaded = build(name, pretrained=word).state_dict()[key]
        assert torch.equal(loaded, state["layer4.1.conv2.weight"])
    assert not torch.equal(build(name).state_dict()[key], state["layer4.1.conv2.weight"])


def test_auto_without_weights_is_none(no_weights):
    assert {resolve_weights(name, "auto") for name in list_models()} == {"none"}


def test_imagenet_without_weights_is_an_error(no_weights):
    with pytest.raises(WeightsUnavailable, match="no file for mobilenet_v2"):
        build_model("medspectralnet_light", num_classes=2, pretrained="imagenet")


@pytest.mark.parametrize("name", ["resnet18_28", "resnet34_28", "resnet50_28"])
def test_the_28_px_stem_has_no_imagenet_weights(name):
    assert resolve_weights(name, "auto") == resolve_weights(name, "none") == "none"
    assert weights_label(name, "none") is None
    with pytest.raises(ValueError, match=f"{name} has no ImageNet weights.*pretrained='none'"):
        build_model(name, num_classes=2, pretrained="imagenet")


def test_weights_label():
    assert weights_label("medspectralnet", "imagenet") == weights_name("resnet18")
    assert weights_label("medspectralnet_light", "imagenet") == weights_name("mobilenet_v2")
    assert weights_label("medspectralnet", "none") is None


# --- errors ---


@pytest.mark.parametrize("ask", [model_entry, build, partial(resolve_weights, pretrained="none")])
def test_unknown_model(ask):
    with pytest.raises(ValueError) as caught:
        ask("medspectralnet_tiny")
    assert "unknown model 'medspectralnet_tiny'" in str(caught.value)
    assert all(name in str(caught.value) for name in list_models())


@pytest.mark.parametrize("name", ["medspectralnet", "resnet18_28", "swin_tiny", "vmamba_t"])
def test_bad_arguments(name):
    for options, message in [
        ({"num_classes": 1}, "num_classes must be at least 2, got 1"),
        ({"image_size": 27}, "image_size must be at least 28 px, got 27"),
        ({"in_channels": 0}, "in_channels must be at least 1, got 0"),
        ({"in_channels": 1.5}, r"in_channels must be a whole number, got 1\.5"),
        ({"image_size": 28.0}, r"image_size must be a whole number, got 28\.0"),
        ({"num_classes": "2"}, "num_classes must be a whole number, got '2'"),
        ({"pretrained": "yes"}, "pretrained must be one of auto, imagenet, none, got 'yes'"),
    ]:
        with pytest.raises(ValueError, match=message):
            build(name, **options)


# --- sizes ---


def test_medspectralnet_is_larger_than_printed():
    model = on_meta("medspectralnet")
    parameters, macs = count_parameters(model), count_macs(model, image_size=224)
    assert (parameters, macs) == (13_023_927, 1_876_553_334)
    printed = lookup(paper="B", table="Fig. 14", row="MedSpectralNet", column="params")
    trunk = count_parameters(model.backbone)
    assert trunk / 1e6 > printed.value  # the printed number has no room for the backbone alone
    counted = lookup(
        paper="torchvision", table="sizes", row="ResNet-18 without classifier", column="params"
    )
    assert f"{trunk / 1e6:.2f}" == counted.printed


@pytest.mark.parametrize("name", ["medspectralnet_light", "medspectralnet_resnet16"])
@pytest.mark.parametrize("num_classes", [2, 11])
def test_light_keeps_what_the_paper_prints(name, num_classes):
    model = on_meta(name, num_classes=num_classes)
    size = lookup(paper="B", table="Fig. 14", row="MedSpectralNet", column="params")
    cost = lookup(paper="B", table="Table 4", row="MedSpectralNet", column="flops")
    assert count_parameters(model) <= 1e6 * size.value
    assert count_macs(model, image_size=224) <= 1e9 * cost.value


def test_reduction_is_not_settled_by_the_printed_numbers(monkeypatch):
    """Backs the docstring of SpectralFlow."""
    found = {}
    for reduction in (2, 4, 8, 16):
        module = partial(SpectralFlow, reduction=reduction)
        monkeypatch.setattr(medspectralnet, "SpectralFlow", module)
        monkeypatch.setattr(contextgate, "SpectralFlow", module)
        model = on_meta("medspectralnet")
        size, macs = count_parameters(model) / 1e6, count_macs(model, image_size=224) / 1e9
        found[reduction] = f"{size:.1f} M, {macs:.2f} G"
    assert found == {
        2: "13.9 M, 1.89 G",
        4: "13.0 M, 1.88 G",
        8: "12.6 M, 1.87 G",
        16: "12.4 M, 1.87 G",
    }
