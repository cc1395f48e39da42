"""Class activation maps: against the grad-cam package and algebra, and what they leave alone."""

import matplotlib
import numpy as np
import pytest
import pytorch_grad_cam
import torch
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection_with_sign_correction
from torch import nn

from helpers.explain import cam as module
from helpers.explain.cam import (
    COLOUR_MAP,
    METHODS,
    ExplainError,
    explain,
    overlay,
    stage_layers,
    unit_range,
    upsample,
)
from helpers.models.brain_inspired import HeadedNet
from helpers.models.heads import build_head
from helpers.models.medspectralnet import MedSpectralNet
from helpers.models.registry import build_model, list_models
from study.sizes import is_comparator

SIZE = 16


def make_trunk(channels=12, *, inplace=True):
    """Map images (B, 3, 16, 16) to (B, channels, 8, 8), not below 0."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, stride=2),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=inplace),
        nn.Conv2d(6, channels, 3, padding=1),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=inplace),
    )


class Pooled(nn.Module):
    """trunk -> global average pooling -> head: the network for which CAM was invented."""

    def __init__(self, head, trunk=None):
        super().__init__()
        self.trunk = trunk or make_trunk()
        self.head = head
        self.unused = nn.Conv2d(3, 4, 3)
        self.aside = nn.Conv2d(3, 4, 1)

    def forward(self, images):
        self.aside(images)
        return self.head(self.trunk(images).mean(dim=(2, 3)))


def settle(model):
    """Give batch norm the statistics of noise, and gradients that are not tiny."""
    torch.manual_seed(1)
    model.train()
    with torch.no_grad():
        for _ in range(20):
            model(torch.randn(16, 3, SIZE, SIZE))
        for layer in model.modules():
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(20)
    return model.eval()


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture
def pixels():
    return torch.randn(5, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def pooled():
    return settle(Pooled(nn.Linear(12, 3)))


@pytest.fixture
def spectral():
    return settle(MedSpectralNet(trunk=make_trunk(), channels=12, num_classes=3))


CLASSES = np.array([0, 1, 2, 2, 1])


def one(model, pixels, *, layer="trunk", classes=1, method="gradcam", **options):
    """Return the maps of one layer and method."""
    maps = explain(model, pixels, layers=[layer], classes=classes, methods=[method], **options)
    return maps[layer, method]


# --- against the package ---


def the_package(model, pixels, layer, method, classes):
    """Maps as the package gives them when it is run in its own way."""
    with module._PACKAGE[method](model, [model.get_submodule(layer)]) as cam:
        return cam(pixels, [ClassifierOutputTarget(int(label)) for label in classes])


def as_the_package_shows(maps):
    return scale_cam_image(scale_cam_image(maps, (SIZE, SIZE)))


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam"])
def test_every_stage_agrees_with_the_package(spectral, pixels, method):
    layers = list(stage_layers(spectral, image_size=SIZE).values())
    maps = explain(spectral, pixels, layers=layers, classes=CLASSES, methods=METHODS)
    for layer in layers:
        expected = the_package(spectral, pixels, layer, method, CLASSES)
        assert expected.max() > 0.5
        got = as_the_package_shows(maps[layer, method])
        np.testing.assert_allclose(got, expected, atol=1e-4, err_msg=layer)


def test_eigencam_agrees_with_the_package_up_to_the_sign_of_the_component(spectral, pixels):
    signs = set()
    for layer in stage_layers(spectral, image_size=SIZE).values():
        maps = one(spectral, pixels, layer=layer, method="eigencam")
        expected = the_package(spectral, pixels, layer, "eigencam", CLASSES)
        activations = module._capture(
            spectral, pixels, CLASSES, layers=[layer], with_gradients=False
        )[layer][0]
        oriented = get_2d_projection_with_sign_correction(activations)
        np.testing.assert_allclose(maps, np.maximum(oriented, 0), atol=1e-5)
        other_side = as_the_package_shows(np.maximum(-oriented, 0))
        for ours, theirs, other in zip(
            as_the_package_shows(maps), expected, other_side, strict=True
        ):
            same = np.allclose(ours, theirs, atol=1e-4)
            signs.add(same)
            assert same or np.allclose(other, theirs, atol=1e-4)
    assert signs == {True, False}  # else this compared nothing but the package's sign


# --- against algebra ---


@pytest.mark.parametrize("num_classes", [2, 3])
def test_gradcam_of_a_pooled_linear_network_is_its_class_activation_map(pixels, num_classes):
    """Each image for its own class, in the layer's own resolution and on the method's own scale."""
    model, classes = settle(Pooled(nn.Linear(12, num_classes))), CLASSES % num_classes
    with torch.no_grad():
        maps = model.trunk(pixels).numpy()  # A
    weights = model.head.weight.detach().numpy()[classes]  # w (B, 12)
    cam = np.einsum("bk,bkij->bij", weights, maps) / maps[0, 0].size
    got = explain(model, pixels, layers=["trunk"], classes=classes, methods=("gradcam", "layercam"))
    np.testing.assert_allclose(got["trunk", "gradcam"], np.maximum(cam, 0), rtol=1e-4, atol=1e-6)
    assert cam.min() < 0 < cam.max()
    positive = np.einsum("bk,bkij->bij", np.maximum(weights, 0), maps) / maps[0, 0].size
    np.testing.assert_allclose(got["trunk", "layercam"], positive, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_maps_are_raw(pooled, pixels, method):
    """The layer's own resolution, never below 0, and neither stretched to 0 nor to 1."""
    maps = one(pooled, pixels, classes=CLASSES, method=method)
    assert maps.shape == (5, 8, 8)
    assert maps.dtype == np.float32
    assert np.isfinite(maps).all()
    assert (maps >= 0).all()
    largest = maps.max(axis=(1, 2))
    assert len(set(largest)) == 5


def test_a_class_against_which_everything_speaks_has_an_empty_map(pooled, pixels):
    with torch.no_grad():
        pooled.head.weight[0] = -1.0
    assert (one(pooled, pixels, classes=0) == 0).all()
    assert (one(pooled, pixels, classes=1) > 0).any()


# --- heads ---


@pytest.mark.parametrize("flat", [False, True])
def test_class_0_of_one_logit_is_its_negative(pixels, flat):
    model = settle(Pooled(nn.Linear(12, 1)))
    negative = Pooled(nn.Linear(12, 1), trunk=model.trunk).eval()
    negative.head.weight.data = -model.head.weight.data
    if flat:
        model.head = nn.Sequential(model.head, nn.Flatten(0))
    assert model(pixels).ndim == (1 if flat else 2)
    for label in (0, 1):
        maps = one(model, pixels, classes=label)
        np.testing.assert_allclose(maps, one(negative, pixels, classes=1 - label), rtol=1e-5)
        assert maps.max() > 0
    assert not np.allclose(one(model, pixels, classes=0), one(model, pixels, classes=1))


@pytest.mark.parametrize("head", ["linear", "spiking", "mlp", "quantum"])
def test_a_head_of_one_unit_explains_its_constant_logit_by_the_unit(pixels, head):
    """Logits (0, s): without care the map of class 0 would be empty everywhere."""
    unit = settle(
        HeadedNet(trunk=make_trunk(), head=build_head(head, in_features=12, num_classes=2))
    )
    assert (unit(pixels)[:, 0] == 0).all()

    class Single(nn.Module):
        def __init__(self):
            super().__init__()
            self.trunk = unit.trunk
            self.rest = nn.Sequential(unit.pool, nn.Flatten())

        def forward(self, images):
            return -unit.head(self.rest(self.trunk(images)))[:, 1:]

    maps = one(unit, pixels, classes=0)
    assert maps.max() > 0
    np.testing.assert_allclose(maps, one(Single(), pixels, classes=1), rtol=1e-5, atol=1e-9)


# --- one pass, whatever the order ---


def test_batch_size_and_repetition_do_not_matter(spectral, pixels):
    layers = list(stage_layers(spectral, image_size=SIZE).values())

    def run(batch_size):
        return explain(
            spectral, pixels, layers=layers, classes=CLASSES, methods=METHODS, batch_size=batch_size
        )

    whole, again, pieces = run(32), run(32), run(2)
    assert list(whole) == [(layer, method) for layer in layers for method in METHODS]
    for key, maps in whole.items():
        np.testing.assert_array_equal(again[key], maps)
        np.testing.assert_allclose(pieces[key], maps, rtol=2e-3, atol=1e-4 * maps.max())


def test_order_of_layers_and_methods_does_not_matter(spectral, pixels):
    layers = list(stage_layers(spectral, image_size=SIZE).values())
    forth = explain(spectral, pixels, layers=layers, classes=1, methods=METHODS)
    back = explain(spectral, pixels, layers=layers[::-1], classes=1, methods=METHODS[::-1])
    assert len({maps.tobytes() for maps in forth.values()}) == len(forth)
    twice = explain(spectral, pixels, layers=layers[:1] * 2, classes=1)
    np.testing.assert_array_equal(twice[layers[0], "gradcam"], forth[layers[0], "gradcam"])
    for key, maps in forth.items():
        np.testing.assert_array_equal(back[key], maps)


def test_all_layers_and_methods_cost_one_pass(spectral, pixels, monkeypatch):
    passes = []
    spectral.backbone.register_forward_hook(lambda *_: passes.append("forward"))
    original = torch.autograd.grad
    monkeypatch.setattr(
        torch.autograd, "grad", lambda *a, **k: passes.append("backward") or original(*a, **k)
    )
    layers = list(stage_layers(spectral, image_size=SIZE).values())
    explain(spectral, pixels, layers=layers, classes=1, methods=METHODS, batch_size=3)
    assert passes == ["forward", "backward"] * 2
    passes.clear()
    explain(spectral, pixels, layers=layers, classes=1, methods=["eigencam"])
    assert passes == ["forward"]


# --- awkward networks ---


@pytest.mark.parametrize("layer", ["trunk.1", "trunk.4", "trunk.0"])
def test_a_relu_that_overwrites_its_input_does_not_overwrite_the_map(pixels, layer):
    model = settle(Pooled(nn.Linear(12, 3)))
    careful = Pooled(model.head, trunk=make_trunk(inplace=False)).eval()
    careful.trunk.load_state_dict(model.trunk.state_dict())
    for method in METHODS:
        maps = one(model, pixels, layer=layer, method=method)
        expected = one(careful, pixels, layer=layer, method=method)
        np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)
    activations = module._capture(model, pixels, CLASSES, layers=[layer], with_gradients=True)
    assert activations[layer][0].min() < 0


class Repeats(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.relu = self.alias = nn.ReLU(inplace=True)
        self.last = nn.Identity()
        self.fc = nn.Linear(8, 2)

    def forward(self, images):
        once = self.relu(self.first(images))
        twice = self.last(self.relu(self.second(once)))
        return self.fc(twice.mean(dim=(2, 3)))


@pytest.mark.parametrize("name", ["relu", "alias"])
def test_a_module_called_twice_counts_with_its_last_call(pixels, name):
    model = Repeats()
    maps = one(model, pixels, layer=name)
    assert maps.max() > 0
    np.testing.assert_allclose(maps, one(model, pixels, layer="last"), rtol=1e-5)


class Overwrites(nn.Module):
    """Overwrites its input, and what a layer handed on unchanged."""

    def __init__(self):
        super().__init__()
        self.conv, self.same, self.fc = nn.Conv2d(3, 8, 3), nn.Identity(), nn.Linear(8, 2)

    def forward(self, images):
        maps = self.conv(images.mul_(2))
        same = self.same(maps)
        maps.relu_()
        return self.fc((maps + same).mean(dim=(2, 3)))


def test_what_overwrites_its_input_overwrites_neither_pixels_nor_maps(pixels):
    model, copy = Overwrites(), pixels.clone()
    expected = np.einsum(
        "k,bkij->bij", model.fc.weight[1].detach().numpy(), model.conv(2 * pixels).detach().numpy()
    )
    maps = one(model, pixels, layer="same")
    assert torch.equal(pixels, copy)
    np.testing.assert_allclose(maps, np.maximum(expected, 0) / 14**2, rtol=1e-4, atol=1e-7)


def test_no_graph_is_kept_where_no_gradient_is_wanted(pooled, pixels):
    kept = {}
    for name in ("trunk.0", "trunk.3", "head"):
        pooled.get_submodule(name).register_forward_hook(
            lambda layer, given, output, name=name: kept.update({name: output.requires_grad})
        )
    one(pooled, pixels, layer="trunk.2")
    assert kept == {"trunk.0": False, "trunk.3": True, "head": True}
    one(pooled, pixels, layer="trunk.2", method="eigencam")
    assert not any(kept.values())


def test_channels_last_images_and_weights_give_the_same_maps(spectral, pixels):
    expected = explain(spectral, pixels, layers=["backbone"], classes=1, methods=METHODS)
    spectral.to(memory_format=torch.channels_last)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    got = explain(spectral, pixels, layers=["backbone"], classes=1, methods=METHODS)
    for key, maps in expected.items():
        np.testing.assert_allclose(got[key], maps, rtol=1e-3, atol=1e-4 * maps.max())


def test_frozen_networks_have_the_same_maps(spectral, pixels):
    expected = one(spectral, pixels, layer="contextgate")
    spectral.requires_grad_(False)
    np.testing.assert_array_equal(one(spectral, pixels, layer="contextgate"), expected)
    assert not any(parameter.requires_grad for parameter in spectral.parameters())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_maps_do_not_need_the_callers_gradients(pooled, pixels, mode):
    expected = one(pooled, pixels)
    with mode():
        np.testing.assert_array_equal(one(pooled, pixels * 1.0), expected)
        assert not torch.is_grad_enabled()
        assert torch.is_inference_mode_enabled() == (mode is torch.inference_mode)


def test_maps_are_computed_in_full_precision(pooled, pixels):
    expected = one(pooled, pixels)
    with torch.autocast("cpu", torch.bfloat16):
        assert pooled(pixels).dtype == torch.bfloat16
        np.testing.assert_array_equal(one(pooled, pixels), expected)


# --- nothing is disturbed ---


def state_of(model):
    """Everything that a call could leave changed."""
    return {
        "training": [layer.training for layer in model.modules()],
        "flags": [parameter.requires_grad for parameter in model.parameters()],
        "hooks": [
            (len(layer._forward_hooks), len(layer._backward_hooks), len(layer._forward_pre_hooks))
            for layer in model.modules()
        ],
        "grads": [None if p.grad is None else p.grad.tolist() for p in model.parameters()],
        "tensors": [tensor.tolist() for tensor in model.state_dict().values()],
        "random": (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()),  # noqa: NPY002
        "grad mode": torch.is_grad_enabled(),
    }


def in_disorder(model):
    """Mixed modes and flags, a hook, and gradients of an unfinished step."""
    model.train()
    model.trunk[1].eval()
    model.trunk[3].weight.requires_grad_(False)
    model.trunk[4].register_forward_hook(lambda *_: None)
    model.head.weight.grad = torch.ones_like(model.head.weight)
    return model


def fail(*_):
    raise RuntimeError("broken on purpose")


@pytest.mark.parametrize(
    "options, error",
    [
        ({}, None),
        ({"classes": 7}, ExplainError),
        ({"layers": ["aside"]}, ExplainError),
        ({"layers": ["unused"]}, ExplainError),
        ({"layers": ["nothing"]}, ExplainError),
        ({"broken": "forward"}, RuntimeError),
        ({"broken": "backward"}, RuntimeError),
    ],
    ids=str,
)
def test_the_network_is_left_as_it_was(pooled, pixels, options, error):
    model = in_disorder(pooled)
    if options.get("broken") == "forward":
        model.head.register_forward_pre_hook(fail)
    if options.get("broken") == "backward":
        model.head.register_forward_hook(lambda m, i, output: output.register_hook(fail) and None)
    given = {"layers": ["trunk", "trunk.3"], "classes": 1, "methods": METHODS, "batch_size": 2}
    given |= {key: value for key, value in options.items() if key != "broken"}
    before, copy = state_of(model), pixels.clone()
    if error is None:
        explain(model, pixels, **given)
    else:
        with pytest.raises(error):
            explain(model, pixels, **given)
    assert state_of(model) == before
    assert torch.equal(pixels, copy)
    assert not pixels.requires_grad


def test_naming_the_layers_leaves_the_network_as_it_was(pooled):
    before = state_of(in_disorder(pooled))
    assert stage_layers(pooled, image_size=SIZE) == {"Last feature map": "trunk"}
    assert state_of(pooled) == before


# --- the registry ---


def last_map_of(name):
    if name in ("medspectralnet_no_both", "medspectralnet_no_spectralflow", "medspectralnet_plain"):
        return "contextgate" if name.endswith("no_spectralflow") else "backbone"
    if name.startswith("medspectralnet"):
        return "spectralflow2"
    if name.startswith("mobilenet"):
        return "features"
    return "layer4" if name.startswith("resnet") else "trunk"


@pytest.mark.parametrize("name", [name for name in list_models() if not is_comparator(name)])
def test_every_model_has_a_map(name):
    model = build_model(name, num_classes=2, image_size=28, pretrained="none").train()
    stages = stage_layers(model, image_size=28)
    assert list(stages.values())[-1] == last_map_of(name)
    pixels = torch.randn(1, 3, 28, 28).expand(2, -1, -1, -1)
    maps = one(model, pixels, layer=last_map_of(name), classes=np.array([0, 1]))
    assert maps.shape == (2, 4, 4)
    assert np.isfinite(maps).all()
    assert (maps >= 0).all()
    assert maps.max() > 0  # of one class at least: the other may find nothing in its favour


@pytest.mark.parametrize(
    ("name", "image_size", "side"),
    [
        ("swin_tiny", 224, 7),  # the first three take no other size than their own
        ("nest_tiny", 224, 14),
        ("efficientformerv2_s0", 64, 2),
        ("mambaout_femto", 96, 3),
        ("medmamba_t", 96, 3),
        ("convnext_tiny", 32, 2),  # one pixel after the last stage: the one before has places
        ("mobilevit_s", 32, 2),  # and what attention computes inside the last is no map
        ("edgenext_small", 32, 2),
    ],
)
def test_maps_of_comparators_are_square_in_either_layout(name, image_size, side):
    model = build_model(name, num_classes=2, image_size=image_size, pretrained="none")
    (layer,) = stage_layers(model, image_size=image_size).values()
    pixels = torch.randn(1, 3, image_size, image_size)
    maps = one(model, pixels, layer=layer, classes=np.array([1]))
    assert maps.shape == (1, side, side)


def test_a_network_is_asked_for_its_layers_at_its_own_size():
    model = build_model("efficientformerv2_s0", num_classes=2, image_size=64, pretrained="none")
    model.train()
    with pytest.raises(ExplainError, match="EfficientFormerV2 cannot take an image of 96 px: "):
        stage_layers(model, image_size=96)
    assert all(m.training for m in model.modules())
    assert all(p.requires_grad for p in model.parameters())
    with pytest.raises(ExplainError, match=r"no layer 'layer4'.* usual: norm"):
        one(model, torch.randn(1, 3, 64, 64), layer="layer4")


def test_what_a_block_computes_inside_is_not_its_map():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = nn.Conv2d(12, 12, 1)

        def forward(self, x):
            return self.inside(x).mean(dim=(2, 3), keepdim=True)

    trunk = nn.Sequential(make_trunk(), Block())
    assert stage_layers(trunk, image_size=SIZE) == {"Last feature map": "0"}
    # Unless it is all there is: here the one block hides whatever has places.
    hiding = Block()
    hiding.inside = make_trunk()
    assert stage_layers(nn.Sequential(hiding), image_size=SIZE) == {"Last feature map": "0.inside"}


def test_a_network_of_grey_images_has_its_stages():
    model = build_model("resnet18", num_classes=2, in_channels=1, image_size=28, pretrained="none")
    assert stage_layers(model, image_size=28) == {"Last feature map": "layer4"}


def test_a_map_with_channels_last_is_that_with_channels_first(pooled, pixels):
    class ChannelsLast(nn.Module):
        def __init__(self):
            super().__init__()
            self.pooled, self.layout = pooled, nn.Identity()

        def forward(self, x):
            maps = self.layout(self.pooled.trunk(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            return self.pooled.head(maps.mean(dim=(2, 3)))

    expected = one(pooled, pixels, layer="trunk", method="gradcam")
    got = one(ChannelsLast(), pixels, layer="layout", method="gradcam")
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_stages_of_medspectralnet_are_those_of_the_paper(spectral, pixels):
    stages = stage_layers(spectral, image_size=SIZE)
    assert stages == {
        "Backbone": "backbone",
        "First SpectralFlow": "spectralflow1",
        "ContextGate, depthwise path": "contextgate.depthwise",
        "ContextGate": "contextgate",
        "Second SpectralFlow": "spectralflow2",
    }
    maps = explain(spectral, pixels, layers=list(stages.values()), classes=1)
    assert all(found.shape == (5, 8, 8) for found in maps.values())


def test_a_network_without_maps_has_no_stage():
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    with pytest.raises(ExplainError, match=r"no module of Sequential gives a \(B, C, h, w\) map"):
        stage_layers(model, image_size=96)


# --- bad input ---


def test_an_unknown_layer_is_answered_with_near_ones_and_the_usual(spectral, pooled, pixels):
    with pytest.raises(ExplainError, match="no layer 'spectralflow'; near: spectralflow") as error:
        one(spectral, pixels, layer="spectralflow")
    for name in stage_layers(spectral, image_size=SIZE).values():
        assert name in str(error.value)
    with pytest.raises(ExplainError, match="'layer4'; near: none; usual: trunk"):
        one(pooled, pixels, layer="layer4")


@pytest.mark.parametrize(
    "head, label, message",
    [
        (nn.Linear(12, 3), 3, "class 3 is out of range: the model has 3 classes, 0..2"),
        (nn.Linear(12, 3), -1, "class -1 is out of range: the model has 3 classes, 0..2"),
        (nn.Linear(12, 1), 2, "class 2 is out of range: the model has 2 classes, 0..1"),
        (nn.Linear(12, 3), np.array([0, 1, 2, 9, 0]), "class 9 is out of range"),
        (
            build_head("mlp", in_features=12, num_classes=2),
            2,
            "class 2 is out of range: the model has 2 classes",
        ),
    ],
)
def test_a_class_out_of_range_is_named(pixels, head, label, message):
    with pytest.raises(ExplainError, match=message):
        one(Pooled(head), pixels, classes=label, batch_size=2)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"classes": 1.0}, "one integer or one for each of the 5 images, got float64"),
        ({"classes": np.zeros(4, int)}, r"each of the 5 images, got int64 \(4,\)"),
        ({"methods": ["scorecam"]}, "unknown method 'scorecam'; known: gradcam, gradcam\\+\\+"),
        ({"methods": "gradcam"}, r"methods must be a sequence of names.*write \('gradcam',\)"),
        ({"layers": "trunk"}, r"layers must be a sequence of names.*write \('trunk',\)"),
        ({"layers": []}, "layers is empty"),
        ({"methods": ()}, "methods is empty"),
        ({"batch_size": 0}, "batch_size must be a positive integer, got 0"),
        ({"layers": ["head"]}, r"layer 'head' gives \(5, 3\), not a map .* of the 5 images"),
        ({"layers": ["unused"]}, "layer 'unused' took no part in the forward pass"),
        ({"layers": ["aside"]}, "layer 'aside' has no gradient: the logits do not depend on"),
        ({"layers": ["trunk", "aside"]}, "layer 'aside' has no gradient"),
    ],
    ids=str,
)
def test_what_cannot_be_explained_is_refused(pooled, pixels, options, message):
    given = {"layers": ["trunk"], "classes": 1} | options
    with pytest.raises(ExplainError, match=message):
        explain(pooled, pixels, **given)


def test_a_layer_without_influence_has_a_component_all_the_same(pooled, pixels):
    maps = one(pooled, pixels, layer="aside", method="eigencam")
    assert maps.shape == (5, 16, 16)
    assert maps.max() > 0


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x: x.numpy(), "got ndarray"),
        (lambda x: x.double(), r"got torch.float64 \(5, 3, 16, 16\)"),
        (lambda x: x.byte(), "got torch.uint8"),
        (lambda x: x[0], r"got torch.float32 \(3, 16, 16\)"),
        (lambda x: x[:, :1], r"got torch.float32 \(5, 1, 16, 16\)"),
        (lambda x: x[:0], r"got no image, \(0, 3, 16, 16\)"),
        (lambda x: x.index_fill(0, torch.tensor([2, 4]), torch.inf), r"image 2 is not \(2 of 5"),
        (lambda x: x.index_fill(0, torch.tensor([3]), torch.nan), r"image 3 is not \(1 of 5"),
    ],
)
def test_pixels_that_are_not_pixels_are_refused(pooled, pixels, change, message):
    with pytest.raises(ExplainError, match=message):
        one(pooled, change(pixels))


def test_a_map_of_one_pixel_is_refused(pooled):
    with pytest.raises(ExplainError, match=r"one pixel \(1x1\): there is no place to point to"):
        one(pooled, torch.randn(2, 3, 2, 2))
    assert one(pooled, torch.randn(2, 3, 2, 4)).shape == (2, 1, 2)


def test_a_diverged_network_is_refused(pooled, pixels):
    with torch.no_grad():
        pooled.trunk[3].weight[0] = torch.nan
    with pytest.raises(ExplainError, match="'trunk' has activations or gradients that are not fin"):
        one(pooled, pixels)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_formula_that_overflows_is_refused(pooled, pixels, monkeypatch):
    monkeypatch.setattr(
        pytorch_grad_cam.GradCAMPlusPlus, "get_cam_weights", lambda *_: np.full((5, 12), np.inf)
    )
    with pytest.raises(ExplainError, match=r"gradcam\+\+ of layer 'trunk' is not finite"):
        one(pooled, pixels, method="gradcam++")


def test_a_model_that_gives_no_logits_is_refused(pixels):
    model = Pooled(nn.Unflatten(1, (3, 4)))
    with pytest.raises(ExplainError, match=r"must give logits \(B, K\), got \(5, 3, 4\)"):
        one(model, pixels)


# --- maps as pictures ---


def test_upsampling_is_that_of_images():
    # Pixels are areas: the value of a pixel stands at its centre, and beyond that it is held.
    row, enlarged = np.array([[[0.0, 1.0]]]), np.array([[[0, 0.25, 0.75, 1]]])
    np.testing.assert_allclose(upsample(row, (1, 4)), enlarged)
    np.testing.assert_allclose(upsample(row.mT, (4, 3)), np.repeat(enlarged.mT, 3, axis=2))
    assert upsample(row, (1, 4)).dtype == np.float32


def test_unit_range_divides_each_map_by_its_own_maximum():
    maps = np.array([[[0, 2, 4]], [[0, 0, 0]], [[1e-20, 0, 5e-21]]])
    got = unit_range(maps)
    np.testing.assert_allclose(got, [[[0, 0.5, 1]], [[0, 0, 0]], [[1, 0, 0.5]]], rtol=1e-6)
    assert got.dtype == np.float32
    assert maps[0, 0, 2] == 4  # the given maps stay as they are
    assert unit_range(np.array([[[2.0, 4.0]]]))[0, 0, 0] == 0.5  # and are not stretched down to 0


def test_overlay_shows_the_image_where_the_map_is_empty():
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (2, 5, 6, 1), dtype=np.uint8)
    colour = rng.integers(0, 256, (2, 5, 6, 3), dtype=np.uint8)
    nothing = np.zeros((2, 5, 6))
    np.testing.assert_array_equal(overlay(grey, nothing), np.repeat(grey, 3, axis=-1))
    np.testing.assert_array_equal(overlay(colour, nothing), colour)


def test_overlay_takes_the_colour_of_the_map_where_it_is_high():
    images = np.full((1, 1, 3, 3), 200, np.uint8)
    maps = np.array([[[0.0, 0.5, 1.0]]])
    got = overlay(images, maps)
    assert (got.shape, got.dtype) == (images.shape, np.uint8)
    colours = 255 * matplotlib.colormaps[COLOUR_MAP]([0.0, 0.5, 1.0])[:, :3]
    opacity = np.array([[0.0], [0.3], [0.6]])
    np.testing.assert_allclose(got[0, 0], (1 - opacity) * 200 + opacity * colours, atol=0.51)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda i, m: upsample(m[0], (8, 8)),
            r"maps must be float \(N, h, w\), got float64 \(4, 4\)",
        ),
        (lambda i, m: upsample(m.astype(int), (8, 8)), "got int64"),
        (lambda i, m: upsample(m, (8, 0)), r"size must be at least one pixel, got \(8, 0\)"),
        (lambda i, m: unit_range(-m), "finite and at least 0"),
        (lambda i, m: unit_range(m / 0), "finite and at least 0"),
        (lambda i, m: overlay(i / 255, m), "images must be uint8"),
        (lambda i, m: overlay(i[..., 0], m), "images must be uint8"),
        (lambda i, m: overlay(i[:, :3], m), r"`upsample` them to \(3, 4\)"),
        (lambda i, m: overlay(i, 2 * m), "maps must lie in 0..1; use `unit_range`"),
        (lambda i, m: overlay(i, m * np.nan), "maps must lie in 0..1"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_maps_that_cannot_be_drawn_are_refused(call, message):
    images, maps = np.zeros((2, 4, 4, 1), np.uint8), np.ones((2, 4, 4))
    with pytest.raises(ExplainError, match=message):
        call(images, maps)
