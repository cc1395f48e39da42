"""Backbones against torchvision's own networks; no test touches the network."""

import re
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision
from torch import nn

from helpers.files import DamagedFile
from helpers.models import backbones
from helpers.models.backbones import (
    BACKBONES,
    WeightsUnavailable,
    build_backbone,
    build_resnet_28,
    build_trunk,
    imagenet_state,
    output_stride,
    weights_name,
)
from helpers.models.registry import build_model, resolve_weights

CACHE = Path(torch.hub.get_dir()) / "checkpoints"
each_backbone = pytest.mark.parametrize("name", BACKBONES)
small = pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])


def torchvision_net(name, **options):
    """Torchvision's own network with the batch-norm statistics of random images.

    With the statistics of a new network the signal dies out before the classifier, and all images
    get the same logits.
    """
    torch.manual_seed(1)  # another than a test begins with
    model = getattr(torchvision.models, name)(**options)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # average, not decay
            nn.init.uniform_(module.weight, 0.5, 1.5)
    with torch.no_grad():
        model(torch.randn(4, 3, 64, 64))
    return model.eval()


@pytest.fixture(scope="module")
def states():
    return {name: torchvision_net(name).state_dict() for name in ("resnet18", "mobilenet_v2")}


@pytest.fixture
def random_weights(monkeypatch, states):
    """Random ImageNet weights of 1000 classes in place of the files; returns them by name."""
    copies = {name: dict(state) for name, state in states.items()}
    monkeypatch.setattr(backbones, "imagenet_state", lambda name: copies[name])
    return copies


def fail_with(monkeypatch, error):
    """Make torchvision's loader of ResNet-18 weights raise an error."""

    def get_state_dict(self, *args, **options):
        raise error

    monkeypatch.setattr(torchvision.models.ResNet18_Weights, "get_state_dict", get_state_dict)


# --- the networks ---


@small
@pytest.mark.parametrize("size", [97, 128])
def test_from_97_px_a_backbone_is_torchvisions(name, size):
    reference = torchvision_net(name, num_classes=5)
    model = build_backbone(name, num_classes=5, image_size=size).eval()
    model.load_state_dict(reference.state_dict())
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        assert torch.allclose(model(images), reference(images), atol=1e-5)


@each_backbone
@pytest.mark.parametrize("size", [28, 64])
def test_weights_fit_also_where_strides_were_dropped(name, size):
    with torch.device("meta"):
        reference = getattr(torchvision.models, name)(num_classes=5)
        model = build_backbone(name, num_classes=5, image_size=size)
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    assert shapes == {key: value.shape for key, value in reference.state_dict().items()}


@small
def test_a_trunk_is_the_network_without_its_classifier(name, random_weights):
    options = {"image_size": 64, "pretrained": "imagenet"}
    trunk, channels = build_trunk(name, **options)
    model = build_backbone(name, num_classes=3, **options).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        base = trunk.eval()(images)
        if name == "resnet18":
            pooled = base.mean(dim=(2, 3))
            logits = model.fc(pooled)
        else:
            pooled = model.features[-1](base).mean(dim=(2, 3))
            logits = model.classifier(pooled)
        assert base.shape == (2, channels, 4, 4)
        assert torch.allclose(logits, model(images), atol=1e-5)


# --- image sizes ---


@pytest.mark.parametrize(
    ("image_size", "stride"),
    [(28, 8), (32, 8), (48, 8), (49, 16), (64, 16), (96, 16), (97, 32), (224, 32), (512, 32)],
)
def test_output_stride_is_the_largest_that_leaves_4_x_4(image_size, stride):
    assert output_stride(image_size) == stride


@each_backbone
@pytest.mark.parametrize("size", [28, 29, 33, 48, 49, 64, 96, 97, 224])
def test_maps_have_the_stride_that_was_announced(name, size):
    with torch.device("meta"):
        trunk, channels = build_trunk(name, image_size=size)
        base = trunk(torch.randn(1, 3, size, size))
    side = -(-size // output_stride(size))
    assert side >= 4
    assert base.shape == (1, channels, side, side)
    assert channels == {"resnet50": 2048, "mobilenet_v2": 320}.get(name, 512)


def test_too_small_an_image():
    with pytest.raises(ValueError, match="at least 28 px, got 27; enlarge the image"):
        build_backbone("resnet18", num_classes=2, image_size=27)


# --- the stem of the MedMNIST benchmark ---


@pytest.mark.parametrize(
    ("name", "parameters"), [("resnet18", 11_173_962), ("resnet50", 23_520_842)]
)
def test_28_px_stem_has_the_benchmarks_parameters(name, parameters):
    """Counts of the CIFAR-style ResNets (3 channels, 10 classes) that the benchmark took over."""
    with torch.device("meta"):
        model = build_resnet_28(name, num_classes=10)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_28_px_stem():
    model = build_resnet_28("resnet18", num_classes=2, in_channels=1)
    assert model.conv1.weight.shape == (64, 1, 3, 3)
    assert model.conv1.stride == model.conv1.padding == (1, 1)
    assert isinstance(model.maxpool, nn.Identity)
    sides = []
    for stage in (model.conv1, model.layer1, model.layer2, model.layer3, model.layer4):
        stage.register_forward_hook(lambda module, x, y: sides.append(y.shape[-1]))
    model.eval()(torch.randn(1, 1, 28, 28))
    assert sides == [28, 28, 14, 7, 4]


def test_28_px_stem_starts_at_the_scale_of_the_other_layers():
    model = build_resnet_28("resnet18", num_classes=2)
    fan_out = 64 * 3 * 3
    assert model.conv1.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.1)


# --- channels ---


@small
@pytest.mark.parametrize("in_channels", [1, 2, 6])
def test_equal_channels_give_what_three_gave(name, in_channels, random_weights):
    options = {"image_size": 28, "pretrained": "imagenet"}
    model = build_backbone(name, num_classes=4, in_channels=in_channels, **options).eval()
    reference = build_backbone(name, num_classes=4, **options).eval()
    layer = "fc" if name == "resnet18" else "classifier"
    getattr(model, layer).load_state_dict(getattr(reference, layer).state_dict())
    grey = torch.randn(2, 1, 28, 28)
    with torch.no_grad():
        logits = model(grey.expand(-1, in_channels, -1, -1))
        assert torch.allclose(logits, reference(grey.expand(-1, 3, -1, -1)), atol=1e-4)
        assert not torch.allclose(logits[0], logits[1], atol=1e-4)


# --- weights ---


@small
@pytest.mark.parametrize("num_classes", [3, 1000])
def test_all_but_the_classifier_is_loaded(name, num_classes, random_weights):
    model = build_backbone(name, num_classes=num_classes, pretrained="imagenet")
    for key, value in model.state_dict().items():
        loaded = random_weights[name][key]
        if key in ("fc.bias", "classifier.1.bias"):
            continue  # MobileNetV2's starts at zero
        if key in ("fc.weight", "classifier.1.weight"):
            assert value.shape != loaded.shape or not torch.equal(value, loaded), key
        else:
            assert torch.equal(value, loaded), key


def test_weights_that_do_not_fit(random_weights):
    del random_weights["resnet18"]["layer1.0.conv1.weight"]
    with pytest.raises(DamagedFile, match=r"no weights of resnet18: missing=.*layer1\.0\.conv1"):
        build_backbone("resnet18", num_classes=2, pretrained="imagenet")


def test_weights_that_cannot_be_had(monkeypatch, may_download):
    fail_with(monkeypatch, URLError("no route"))
    with pytest.raises(WeightsUnavailable) as caught:
        build_backbone("resnet18", num_classes=2, pretrained="imagenet")
    message = str(caught.value)
    for part in ("resnet18-f37072fd.pth", "no route", "TORCH_HOME", "pretrained='none'"):
        assert part in message
    assert isinstance(caught.value.__cause__, URLError)


def test_weights_are_not_downloaded_where_nothing_may_be(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(WeightsUnavailable, match=r"REPRO_OFFLINE=1.*resnet18-f37072fd.pth into"):
        build_backbone("resnet18", num_classes=2, pretrained="imagenet")


def test_auto_is_imagenet_if_it_can_be_had_else_none(monkeypatch, may_download, random_weights):
    assert resolve_weights("resnet18", "auto") == "imagenet"
    monkeypatch.undo()
    fail_with(monkeypatch, TimeoutError("too slow"))
    assert resolve_weights("resnet18", "auto") == "none"


def test_a_damaged_download_is_an_error_also_for_auto(monkeypatch, may_download):
    fail_with(monkeypatch, RuntimeError("invalid hash value"))
    with pytest.raises(DamagedFile, match=r"resnet18-f37072fd.*invalid hash value; delete it"):
        resolve_weights("resnet18", "auto")


class Trap:
    """What a pickle of it would do when it is opened: end the test."""

    def __reduce__(self):
        return pytest.fail, ("unpickled",)


@pytest.mark.parametrize("word", ["imagenet", "auto"])
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("empty", "not a zip file"),
        ("page", "not a zip file"),
        ("truncated", "not a zip file"),
        ("flipped", "the sum of .* is wrong"),
        ("pickle", "something else than tensors"),
        ("tensor", "it holds a Tensor"),
        ("other", r"missing=\['conv1.weight'"),
        ("shape", "size mismatch for conv1.weight"),
        ("numbers", "no tensors by name"),
        ("text", "numbers"),
    ],
)
def test_a_file_of_something_else_is_named_and_never_unpickled(
    kind, reason, word, monkeypatch, tmp_path
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    file.parent.mkdir(parents=True)
    held = {
        "pickle": Trap(),
        "tensor": torch.zeros(3),
        "shape": {"conv1.weight": torch.zeros(3)},
        "numbers": {2: torch.zeros(3)},
        "text": {"numbers": "x"},
    }
    torch.save(held.get(kind, {"weight": torch.full((99,), 7.0)}), file)
    content = file.read_bytes()
    damaged = {
        "empty": b"",
        "page": b"<html>not found</html>",
        "truncated": content[:-100],
        "flipped": content.replace(torch.full((9,), 7.0).numpy().tobytes(), b"x" * 36, 1),
    }
    file.write_bytes(damaged.get(kind, content))
    start = re.escape(f"{file} is truncated or damaged, or holds no weights of resnet18: ")
    with pytest.raises(DamagedFile, match=rf"(?s){start}.*{reason}.*; delete it, so that it is"):
        build_model("resnet18", num_classes=2, pretrained=word)


@pytest.mark.parametrize("word", ["imagenet", "none"])
def test_a_plain_word_is_kept_without_a_look_at_the_files(monkeypatch, word):
    fail_with(monkeypatch, AssertionError("looked"))
    assert resolve_weights("resnet18", word) == word


@pytest.mark.parametrize(
    "ask",
    [weights_name, imagenet_state, lambda name: build_backbone(name, num_classes=2), build_trunk],
)
def test_unknown_backbone(ask):
    with pytest.raises(ValueError, match=r"'vgg16'; known: resnet18, .*, mobilenet_v2"):
        ask("vgg16")


@small
def test_the_real_imagenet_weights(name):
    file = backbones._WEIGHTS[name].url.rsplit("/", 1)[-1]
    if not (CACHE / file).exists():
        pytest.skip(f"{file} is not in the cache of TORCH_HOME")
    reference = getattr(torchvision.models, name)(weights=backbones._WEIGHTS[name]).eval()
    trunk, _ = build_trunk(name, pretrained="imagenet")
    layers = list(reference.children())[:-2] if name == "resnet18" else reference.features[:-1]
    images = torch.randn(1, 3, 97, 97)
    with torch.no_grad():
        assert torch.allclose(trunk.eval()(images), nn.Sequential(*layers)(images), atol=1e-5)
