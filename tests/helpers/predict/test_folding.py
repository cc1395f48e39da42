"""Folded batch norms: fewer steps, the same answers."""

import pytest
import torch
from torch import nn

from helpers.models.registry import build_model
from helpers.predict.folding import fold_batch_norms


def norms(model):
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def pixels(count=3):
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def settled(model):
    """Give batch norms statistics that are not those of a new network."""
    model.train()
    with torch.no_grad():
        model(pixels(8))
    return model.eval()


@pytest.mark.parametrize(
    ("name", "left"),
    [("medspectralnet_light", None), ("resnet18", 0), ("mobilenet_v2", 0)],
)
def test_the_answers_stay_and_steps_go(name, left):
    torch.manual_seed(0)
    model = settled(build_model(name, num_classes=3, image_size=32, pretrained="none"))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    folded = fold_batch_norms(model, pixels(1))
    assert norms(folded) < norms(model)
    assert left is None or norms(folded) == left
    with torch.inference_mode():
        torch.testing.assert_close(folded(pixels()), model(pixels()), rtol=1e-4, atol=1e-4)
    assert all(value.equal(before[key]) for key, value in model.state_dict().items())


class Shared(nn.Module):
    """Convolution and norm in one block, joined in a way that no fold may touch."""

    def __init__(self, way):
        super().__init__()
        self.way = way
        self.convolution, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.norm.running_var.fill_(4)

    def forward(self, x):
        y = self.convolution(x)
        if self.way == "read twice":
            return self.norm(y) + y
        if self.way == "convolution twice":
            return self.norm(y) + self.convolution(x.flip(-1))
        if self.way == "norm twice":
            return self.norm(y) + self.norm(x)
        return self.norm(y.relu())


@pytest.mark.parametrize("way", ["read twice", "convolution twice", "norm twice", "between"])
def test_what_cannot_be_folded_answers_as_before(way):
    torch.manual_seed(0)
    model = Shared(way).eval()
    with torch.inference_mode():
        folded = fold_batch_norms(model, pixels(1))
        assert folded(pixels()).equal(model(pixels()))
    assert norms(folded) == 1
