"""Forms of a network: graphs equal to the network, refusals that say why."""

import importlib

import numpy as np
import pytest
import torch
from torch import nn

from helpers.models.contextgate import ContextGate
from helpers.models.spectralflow import SpectralFlow
from study.costs import forms
from study.costs.forms import (
    BackendUnavailable,
    DeploymentError,
    Mismatch,
    check_export,
    check_logits,
    compiled_runner,
    eager_runner,
    export_onnx,
    onnx_runner,
    quantise,
    random_images,
    settle_batch_norm,
)

SIZE = 10  # not a multiple of SpectralFlow's patch: the graph must hold the padding


def small_net():
    """Every block of MedSpectralNet on a map of a few pixels."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 12, 3, stride=2, padding=1),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        SpectralFlow(channels=12),
        ContextGate(channels=12),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(12, 3),
    )


@pytest.fixture(scope="module")
def net():
    return settle_batch_norm(small_net(), random_images(8, image_size=SIZE, seed=5))


@pytest.fixture(scope="module")
def graph(net, tmp_path_factory):
    return export_onnx(net, tmp_path_factory.mktemp("onnx") / "net.onnx", image_size=SIZE)


# --- exported ---


def test_the_graph_gives_the_networks_logits_for_any_number_of_images(net, graph):
    run = onnx_runner(graph.path, threads=1)
    for count in (1, 2, 7):
        images = random_images(count, image_size=SIZE, seed=count)
        ours, theirs = eager_runner(net)(images), run(images)
        assert theirs.shape == (count, 3)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


def test_the_record_of_an_export(graph):
    assert graph.path.name == "net.onnx" and graph.opset == forms.OPSET
    assert 0 <= graph.difference <= 1e-4 < graph.scale


def test_a_graph_of_other_weights_is_refused(net, graph):
    other = small_net().eval()
    with torch.no_grad():
        other[-1].bias.add_(1e-3)
    with pytest.raises(Mismatch, match=r"ONNX, 1 images: its logits differ .*allowed are"):
        check_export(graph.path, other, image_size=SIZE)


def test_a_wrong_graph_is_not_written(net, tmp_path, monkeypatch):
    """An exporter that drops a part of the network."""
    export = torch.onnx.export
    monkeypatch.setattr(
        torch.onnx, "export", lambda model, *rest, **options: export(model[:-1], *rest, **options)
    )
    with pytest.raises(Mismatch, match="logits of shape"):
        export_onnx(net, tmp_path / "net.onnx", image_size=SIZE)
    assert not list(tmp_path.iterdir())


class Undecided(nn.Module):
    """Looks at its numbers to choose its way: no graph can."""

    def forward(self, images):
        return images.mean((2, 3)) if images.sum().item() > 0 else images.amax((2, 3))


def test_a_network_that_does_not_export_says_why(tmp_path):
    with pytest.raises(DeploymentError, match=r"ONNX export: .*[Dd]ata-dependent"):
        export_onnx(Undecided(), tmp_path / "net.onnx", image_size=SIZE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named(net, tmp_path, monkeypatch, package):
    load = importlib.import_module

    def without(name):
        if name == package:
            raise ImportError(name)
        return load(name)

    monkeypatch.setattr(forms.importlib, "import_module", without)
    with pytest.raises(BackendUnavailable, match=rf"{package} is not installed.*requirements\.txt"):
        export_onnx(net, tmp_path / "net.onnx", image_size=SIZE)


def test_a_file_that_is_no_graph(tmp_path):
    file = tmp_path / "net.onnx"
    file.write_bytes(b"no graph")
    with pytest.raises(DeploymentError, match=r"cannot open net\.onnx"):
        onnx_runner(file, threads=1)


# --- 8-bit integers ---


def test_integers_are_near_and_not_equal(net, graph, tmp_path):
    images = random_images(32, image_size=SIZE, seed=7)
    target = quantise(graph.path, tmp_path / "int8.onnx", images=images.numpy())
    exact, rough = eager_runner(net)(images), onnx_runner(target, threads=1)(images)
    error = (exact - rough).abs().max()
    assert 1e-4 < error < 0.2 * exact.abs().max()
    assert (exact.argmax(1) == rough.argmax(1)).float().mean() > 0.8
    import onnx

    kinds = {node.op_type for node in onnx.load(target).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds


def test_integers_need_images(graph, tmp_path):
    with pytest.raises(ValueError, match="needs images for its calibration"):
        quantise(graph.path, tmp_path / "int8.onnx", images=np.zeros((0, 3, SIZE, SIZE)))


# --- compiled ---


def test_a_compiler_that_computes_something_else(net, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda model, **_: nn.Sequential(model, nn.Softmax(1)))
    with pytest.raises(Mismatch, match="compiled: its logits differ"):
        compiled_runner(net, example=random_images(2, image_size=SIZE))


def test_no_compiler(monkeypatch):
    from torch._inductor import config

    monkeypatch.setattr(config.cpp, "cxx", ("no-such-compiler",))
    monkeypatch.setattr(config, "force_disable_caches", True)
    torch.compiler.reset()
    with pytest.raises(BackendUnavailable, match=r"needs a C\+\+ compiler"):
        compiled_runner(nn.Conv2d(3, 2, 3), example=random_images(1, image_size=SIZE))


def test_a_network_that_does_not_compile_says_why():
    torch.compiler.reset()
    with pytest.raises(DeploymentError, match=r"torch\.compile: "):
        compiled_runner(Undecided(), example=random_images(2, image_size=SIZE))


# --- pieces ---


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (torch.full((2, 3), 5.001), r"differ .* by up to 1\.0e-03, allowed are 1\.0e-04"),
        (torch.full((2, 3), float("nan")), "differ"),
        (torch.full((2, 2), 5.0), r"shape \(2, 2\), expected \(2, 3\)"),
    ],
)
def test_other_logits_are_refused(other, message):
    with pytest.raises(Mismatch, match=message):
        check_logits(torch.full((2, 3), 5.0), other, what="form")


def test_next_to_no_logits_must_agree_all_the_same():
    """Twice as much, and still less than 1e-4 away."""
    with pytest.raises(Mismatch):
        check_logits(torch.full((2, 3), 1e-6), torch.full((2, 3), 2e-6), what="form")
    assert check_logits(torch.ones(2, 3), torch.ones(2, 3) + 5e-5, what="form")[1] == 1


def test_settled_batch_norm_keeps_activations_at_their_scale():
    images = random_images(16, image_size=SIZE)
    model = settle_batch_norm(small_net(), images)
    assert not model.training and not model[1].training and model[1].momentum == 0.1
    normed = model[:2](images)
    assert normed.mean((0, 2, 3)).abs().max() < 1e-4
    assert (normed.var((0, 2, 3)) - 1).abs().max() < 0.05


def test_random_images_are_the_same_again():
    assert torch.equal(random_images(2, image_size=4), random_images(2, image_size=4))
    assert not torch.equal(random_images(2, image_size=4), random_images(2, image_size=4, seed=1))
