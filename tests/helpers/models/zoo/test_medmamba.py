"""MedMamba: sizes as published, the two branches of a block, training, export."""

import pytest
import torch

from helpers.models.counting import count_parameters
from helpers.models.zoo.medmamba import SSConvSSM, build_medmamba, shuffle_channels
from tests.helpers.models.zoo.test_vmamba import tiny


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


def test_onnx_equals_the_model(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    model = tiny(SSConvSSM, depths=(1,), in_channels=1).eval()
    images = torch.randn(2, 1, 12, 12)
    path = tmp_path / "model.onnx"
    torch.onnx.export(model, (images,), path, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), model(images), rtol=0, atol=1e-4)
