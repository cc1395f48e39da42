"""VMamba: the four paths, SS2D against a loop over them, sizes, training."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from helpers.models.counting import count_parameters
from helpers.models.zoo.medmamba import SSConvSSM
from helpers.models.zoo.vmamba import (
    SS2D,
    HierarchicalClassifier,
    PatchEmbedding,
    PatchMerging,
    VSSBlock,
    build_vmamba,
    path_order,
)
from tests.helpers.models.zoo.test_selective_scan import naive_scan

sides = st.integers(1, 6)
each_block = pytest.mark.parametrize("block", [VSSBlock, SSConvSSM])


def tiny(block=VSSBlock, **options):
    defaults = {"depths": (1, 1), "num_classes": 2, "in_channels": 3, "drop_path": 0.0}
    return HierarchicalClassifier(block=block, width=16, **defaults | options)


# --- the four paths ---


def test_paths_visit_tokens_in_the_order_of_the_paper():
    paths = path_order(2, 3).tolist()  # 0 1 2 / 3 4 5
    assert paths[0] == [0, 1, 2, 3, 4, 5]
    assert paths[1] == [0, 3, 1, 4, 2, 5]
    assert paths[2] == paths[0][::-1]
    assert paths[3] == paths[1][::-1]


@settings(max_examples=30, deadline=None)
@given(height=sides, width=sides)
def test_every_path_visits_every_place_once(height, width):
    expected = torch.arange(height * width).expand(4, -1)
    assert torch.equal(path_order(height, width).sort(dim=1).values, expected)


# --- SS2D ---


@torch.no_grad()
@pytest.mark.parametrize("size", [(3, 3), (2, 5), (1, 1)])
def test_ss2d_equals_a_loop_over_the_paths(size):
    """Each path on its own: put tokens in order, project, scan, bring them back."""
    module = SS2D(channels=20).double()  # rank 2: 20 / 16 rounded up
    x = torch.randn(2, *size, 20, dtype=torch.float64)
    content, gate = module.widen(x).chunk(2, dim=-1)
    content = functional.silu(module.depthwise(content.permute(0, 3, 1, 2)))  # (B, D, H, W)
    order = torch.arange(size[0] * size[1]).reshape(size)
    total = 0
    for k, path in enumerate([order, order.T, order.flip(0, 1), order.T.flip(0, 1)]):
        path = path.flatten()
        tokens = content.flatten(2)[..., path].transpose(1, 2)  # (B, L, D)
        low_rank, b, c = (tokens @ module.to_coefficients[k].T).split([2, 16, 16], dim=-1)
        dt = functional.softplus(low_rank @ module.to_step[k] + module.step_bias[k])
        inputs = [i.unsqueeze(2) for i in (tokens, dt, b, c)]
        rates = -module.log_rates[k, None].exp()
        y = naive_scan(*inputs[:2], rates, *inputs[2:], module.direct[k, None])[:, :, 0]
        total = total + y[:, path.argsort()]
    mixed = module.norm(total.unflatten(1, size)) * functional.silu(gate)
    torch.testing.assert_close(module(x), module.narrow(mixed))


def test_every_position_sees_every_other():
    module = SS2D(channels=16).double()
    x = torch.randn(1, 6, 6, 16, dtype=torch.float64, requires_grad=True)
    for y, z in ((0, 0), (2, 3), (5, 5)):
        (grad,) = torch.autograd.grad(module(x)[0, y, z].sum(), x)
        assert (grad.abs().amax(dim=-1) > 0).all()


def test_state_space_model_starts_as_mamba_does():
    module = SS2D(channels=48)
    steps = functional.softplus(module.step_bias.detach().double())
    assert steps.min() > 0.99e-3
    assert steps.max() < 1.01e-1
    assert 0.2 < (steps < 1e-2).double().mean() < 0.8  # even on a log scale
    torch.testing.assert_close(module.log_rates.detach().exp()[3, 7], torch.arange(1, 17).float())
    assert torch.equal(module.direct, torch.ones(4, 96))


# --- patches ---


def test_patch_merging_joins_quads():
    merging = PatchMerging(channels=3)
    x = torch.randn(1, 4, 6, 3)
    changed = x.clone()
    changed[0, 2:4, 2:4] += 1
    difference = (merging(x) - merging(changed)).abs().sum(dim=-1)[0] > 0
    assert merging(x).shape == (1, 2, 3, 6)
    assert difference.nonzero().tolist() == [[1, 1]]


@pytest.mark.parametrize("size", [(7, 7), (1, 1), (4, 5), (3, 2)])
def test_patch_merging_pads_odd_maps(size):
    merging = PatchMerging(channels=3)
    x = torch.randn(2, *size, 3)
    height, width = (-(-side // 2) for side in size)
    padded = torch.zeros(2, 2 * height, 2 * width, 3)
    padded[:, : size[0], : size[1]] = x
    assert merging(x).shape == (2, height, width, 6)
    torch.testing.assert_close(merging(x), merging(padded))


def test_patch_embedding_keeps_the_border():
    embedding = PatchEmbedding(in_channels=1, channels=8)
    image = torch.zeros(1, 1, 30, 29)
    dotted = image.clone()
    dotted[..., -1, -1] = 1
    assert embedding(image).shape == (1, 8, 8, 8)
    assert not torch.equal(embedding(image)[0, -1, -1], embedding(dotted)[0, -1, -1])


# --- the whole network ---


def test_parameters_as_published_and_as_in_the_released_code():
    with torch.device("meta"):
        few, many = (count_parameters(build_vmamba("t", num_classes=n)) for n in (2, 1000))
    assert round(few / 1e6, 1) == 22.1
    assert many == 22_893_448


@torch.no_grad()
def test_tokens_are_normalised_before_the_mean():
    model = tiny(final_norm=True).eval()
    images, tokens = torch.randn(2, 3, 16, 16), []
    model.stages.register_forward_hook(lambda *call: tokens.append(call[-1]))
    logits = model(images)
    normal = functional.layer_norm(tokens[0], tokens[0].shape[-1:])
    torch.testing.assert_close(logits, model.fc(normal.mean(dim=(1, 2))))
    assert not torch.allclose(logits, model.fc(tokens[0].mean(dim=(1, 2))))
    assert isinstance(build_vmamba("t", num_classes=2).norm, torch.nn.LayerNorm)


def test_macs_as_published_and_with_the_scan():
    """4.5 G at 224 px in the first version of the paper."""
    with torch.device("meta"):
        model = build_vmamba("t", num_classes=1000).eval()
        with FlopCounterMode(display=False) as counter:
            model(torch.randn(1, 3, 224, 224))
    counts = counter.get_flop_counts()["Global"]
    assert round(sum(counts.values()) / 2e9, 1) == 4.5
    places = [depth * (56 >> i) ** 2 * (768 << i) for i, depth in enumerate((2, 2, 9, 2))]
    assert counts[torch.ops.helpers.selective_scan] == 2 * 4 * 16 * sum(places)  # 16 states


@each_block
@pytest.mark.parametrize("size", [(28, 28), (16, 24)])
def test_every_parameter_gets_a_finite_gradient(block, size):
    model = tiny(block)
    model(torch.randn(3, 3, *size)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


@each_block
def test_one_batch_overfits(block):
    model = tiny(block)
    images, labels = torch.randn(8, 3, 16, 16), torch.arange(8) % 2
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(40):
        loss = functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05


@each_block
def test_bfloat16_autocast(block):
    model = tiny(block)
    images = torch.randn(4, 3, 28, 28)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(images)
    logits.float().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    assert torch.isfinite(logits).all()
    if block is VSSBlock:  # batch norm takes other statistics from rounded maps
        torch.testing.assert_close(logits.float(), model(images), rtol=0.1, atol=0.05)


def test_drop_path_leaves_whole_blocks_out():
    block = VSSBlock(channels=16, drop_path=0.5)
    x = torch.randn(64, 2, 2, 16)
    same = (block(x) == x).flatten(1).all(dim=1)
    assert 10 < same.sum() < 54
    assert not (block.eval()(x) == x).flatten(1).all(dim=1).any()
