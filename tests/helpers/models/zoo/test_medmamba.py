"""MedMamba: sizes as published, the two branches of a block, training, export."""

import pytest
import torch
from torch.nn import functional

from helpers.models.counting import count_parameters
from helpers.models.zoo.medmamba import SSConvSSM, build_medmamba, shuffle_channels
from tests.helpers.models.zoo.test_vmamba import tiny


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize(("variant", "millions"), [("t", 14.46), ("s", 18.63), ("b", 39.86)])
def test_parameters_as_in_the_released_code(variant, millions):
    with torch.device("meta"):
        count = count_parameters(build_medmamba(variant, num_classes=6))
    assert round(count / 1e6, 2) == millions


@torch.no_grad()
def test_tokens_go_into_the_mean_as_they_are():
    """Unlike VMamba's."""
    model = build_medmamba("t", num_classes=2).eval()
    images = torch.randn(2, 3, 32, 32)
    tokens = model.stages(model.stem(images))
    assert torch.equal(model(images), model.fc(tokens.mean(dim=(1, 2))))


@pytest.mark.parametrize(
    ("variant", "size", "channels", "batch"),
    [("t", 28, 1, 2), ("t", 32, 3, 2), ("s", 28, 3, 1), ("b", 64, 1, 1), ("t", 224, 3, 1)],
)
def test_forward(variant, size, channels, batch):
    model = build_medmamba(variant, num_classes=11, in_channels=channels, image_size=size).eval()
    with torch.no_grad():
        logits = model(torch.randn(batch, channels, size, size))
    assert logits.shape == (batch, 11)
    assert torch.isfinite(logits).all()


def test_shuffle_interleaves_the_halves():
    x = torch.randn(2, 3, 3, 8)
    shuffled = shuffle_channels(x)
    assert torch.equal(shuffled[..., 0::2], x[..., :4])
    assert torch.equal(shuffled[..., 1::2], x[..., 4:])


@torch.no_grad()
def test_halves_go_through_different_branches():
    """Convolutions reach two pixels and write even channels; the scan sees all, writes odd."""
    block = SSConvSSM(channels=16).double().eval()
    for parameter in block.convolutions.parameters():  # no unit silent
        torch.nn.init.uniform_(parameter, 0.1, 0.2)
    x = torch.randn(1, 7, 7, 16, dtype=torch.float64)
    far, near = x.clone(), x.clone()
    near[0, 0, 0, :8] += 1
    far[0, 0, 0, 8:] += torch.linspace(-1, 1, 8)  # layer norm would not see a constant
    own = block(x) - x  # without the residual
    changed_near = (block(near) - near - own).abs() > 1e-12
    changed_far = (block(far) - far - own).abs() > 1e-12
    assert not changed_near[..., 1::2].any()
    assert changed_near[0, ..., 0::2].any(dim=-1).nonzero().amax() == 2
    assert not changed_far[..., 0::2].any()
    assert changed_far[0, ..., 1::2].any(dim=-1).all()


@pytest.mark.parametrize("size", [(28, 28), (16, 24)])
def test_every_parameter_gets_a_finite_gradient(size):
    model = tiny(SSConvSSM)
    model(torch.randn(3, 3, *size)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


def test_smallest_images_train():
    """At 28 px the last stage has one token: nothing decays there, and nothing breaks."""
    model = build_medmamba("t", num_classes=2, in_channels=1, image_size=28)
    model(torch.randn(2, 1, 28, 28)).square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_one_batch_overfits():
    model = tiny(SSConvSSM)
    images, labels = torch.randn(8, 3, 16, 16), torch.arange(8) % 2
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(40):
        loss = functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05


def test_bfloat16_autocast():
    model = tiny(SSConvSSM).train()
    images = torch.randn(4, 3, 28, 28)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(images)
    logits.float().sum().backward()
    assert torch.isfinite(logits).all()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_onnx_equals_the_model(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    model = tiny(SSConvSSM, depths=(1,), in_channels=1).eval()
    images = torch.randn(2, 1, 12, 12)
    path = tmp_path / "model.onnx"
    torch.onnx.export(model, (images,), path, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), model(images), rtol=0, atol=1e-4)
