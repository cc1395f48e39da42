"""Folded batch norms and recorded steps: the same answers sooner."""

import pytest
import torch
from torch import nn

from helpers.models.registry import build_model
from helpers.predict.graph import fold_batch_norms, record_steps


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


@pytest.mark.parametrize(
    "name",
    [
        "medspectralnet_light",
        "brain_inspired_resnet18",
        "quantum_resnet18",
        "medmamba_t",
        "medvit_t",
        "swin_tiny",
        "mobilevit_s",
        "fastvit_t8",
    ],
)
def test_steps_of_each_kind_are_recorded_for_any_number_of_images(name):
    torch.manual_seed(0)
    model = build_model(name, num_classes=3, image_size=32, pretrained="none").eval()
    graph = record_steps(model, pixels(2))
    assert graph is not model
    for count in (1, 5):
        with torch.inference_mode():
            for _ in range(2):  # the second call runs steps fused for the first one's shape
                torch.testing.assert_close(
                    graph(pixels(count)), model(pixels(count)), rtol=1e-4, atol=1e-5
                )


class Odd(nn.Module):
    """Steps that no graph can hold: they depend on the number of images."""

    def __init__(self, way):
        super().__init__()
        self.way = way
        self.linear = nn.Linear(3 * 32 * 32, 3)

    def forward(self, x):
        y = self.linear(x.flatten(1))
        if self.way == "a number kept":
            return y * len(y)
        return y + torch.ones(len(y), 1)


@pytest.mark.parametrize("way", ["a number kept", "a size kept"])
def test_a_network_that_no_graph_holds_stays_itself(way):
    torch.manual_seed(0)
    model = Odd(way).eval()
    assert record_steps(model, pixels(2)) is model
