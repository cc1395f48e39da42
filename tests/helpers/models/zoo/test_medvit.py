"""MedViT: shapes at all sizes, the printed parameter counts, its blocks against plain formulas."""

import pytest
import torch
from torch.nn import functional
from torchvision.ops import StochasticDepth

from helpers.models.counting import count_parameters
from helpers.models.zoo import medvit
from helpers.models.zoo.medvit import (
    VARIANTS,
    EfficientConvBlock,
    EfficientSelfAttention,
    LocalTransformerBlock,
    build_medvit,
)
from study.published import lookup


def on_meta(variant, **options):
    with torch.device("meta"):
        return build_medvit(variant, **{"num_classes": 11, **options})


def attention(*, reduction):
    return EfficientSelfAttention(64, reduction=reduction).double().eval()


def picture(channels, side, *, batch=2):
    return torch.randn(batch, channels, side, side, dtype=torch.float64)


# --- the whole network ---


@pytest.mark.parametrize("variant", VARIANTS)
def test_parameters_are_those_of_the_released_code(variant):
    """As printed, with the few classes of a MedMNIST set; with 1000 they would be 1 M more."""
    row = f"MedViT-{variant.upper()}"
    printed = lookup(paper="medvit", table="sizes", row=row, column="params_of_released_code")
    assert f"{count_parameters(on_meta(variant)) / 1e6:.1f}" == printed.printed


@pytest.mark.parametrize(("variant", "blocks"), [("t", 20), ("s", 30), ("l", 40)])
def test_hybrid_stages(variant, blocks):
    stages = on_meta(variant).features
    kinds = [[isinstance(block, LocalTransformerBlock) for block in stage] for stage in stages]
    fifths = (blocks - 10) // 5
    assert kinds[0] == [False] * 3
    assert kinds[1] == [False] * 3 + [True]
    assert kinds[2] == ([False] * 4 + [True]) * fifths
    assert kinds[3] == [False] * 2 + [True]
    assert sum(map(len, kinds)) == blocks


def test_stride_is_32_and_odd_borders_are_kept():
    features = torch.nn.Sequential(*list(on_meta("t").children())[:2]).eval()
    for image_size, side in [(28, 1), (32, 1), (33, 2), (64, 2), (224, 7), (256, 8)]:
        images = torch.randn(1, 3, image_size, image_size, device="meta")
        assert features(images).shape == (1, 1024, side, side)


def test_drop_path_grows_to_its_last_value_and_rests_in_evaluation():
    rates = [
        block.drop.p if isinstance(block, EfficientConvBlock) else block.drop1.p / 0.75
        for stage in on_meta("s").features
        for block in stage
    ]
    assert rates == sorted(rates)
    assert rates[0] == 0
    assert rates[-1] == pytest.approx(0.2)
    model = build_medvit("t", num_classes=2, image_size=28).eval()
    images = torch.randn(2, 3, 28, 28)
    with torch.no_grad():
        assert torch.equal(model(images), model(images))
        assert torch.allclose(model(images[:1]), model(images)[:1], atol=1e-5)


def test_every_weight_gets_a_gradient():
    """In double precision; the biases left without one are taken away by batch norm or softmax."""
    model = build_medvit("t", num_classes=3, image_size=64).double().train()
    for module in model.modules():
        if isinstance(module, StochasticDepth):
            module.p = 0.0
    logits = model(picture(3, 64, batch=4))
    functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0])).backward()
    largest = {key: parameter.grad.abs().max() for key, parameter in model.named_parameters()}
    assert all(torch.isfinite(value) for value in largest.values())
    silent = {key.split(".", 3)[3] for key, value in largest.items() if value < 1e-12}
    attention = {f"self_attention.{part}.bias" for part in ("key", "value", "project", "reduce.1")}
    assert silent == {"norm.bias", "norm2.bias", "feed_forward.norm3.bias"} | attention


# --- its parts ---


@pytest.mark.parametrize("reduction", [1, 2])
def test_self_attention_is_the_formula(reduction):
    module, x = attention(reduction=reduction), picture(64, 4)
    with torch.no_grad():
        small = functional.avg_pool2d(x, reduction)
        if reduction > 1:
            small = module.reduce[1](small)
        tokens, context = (m.flatten(2).transpose(1, 2) for m in (x, small))
        heads = []
        for part in (slice(0, 32), slice(32, 64)):
            q = (module.query(tokens))[:, :, part]
            k, v = (layer(context)[:, :, part] for layer in (module.key, module.value))
            heads.append((q @ k.transpose(1, 2) / 32**0.5).softmax(dim=-1) @ v)
        expected = module.project(torch.cat(heads, dim=-1)).transpose(1, 2).reshape(x.shape)
        assert torch.allclose(module(x), expected, atol=1e-12)


def test_reduction_averages_squares_of_the_map_and_keeps_a_ragged_border():
    module = attention(reduction=4)
    x = torch.arange(25, dtype=torch.float64).reshape(1, 1, 5, 5).expand(1, 64, 5, 5)
    pooled = module.reduce[0](x)[0, 0]
    corner, right = x[0, 0, :4, :4].mean(), x[0, 0, :4, 4].mean()
    assert torch.equal(pooled, torch.tensor([[corner, right], [22 - 0.5, 24]]).double())


def test_self_attention_without_positions_does_not_depend_on_the_order():
    module, x = attention(reduction=1), picture(64, 3)
    order = torch.randperm(9)
    shuffled = x.flatten(2)[:, :, order].reshape(x.shape)
    with torch.no_grad():
        moved = module(x).flatten(2)[:, :, order].reshape(x.shape)
        assert torch.allclose(module(shuffled), moved, atol=1e-12)


def test_blocks_add_attention_then_feed_forward():
    block = EfficientConvBlock(32, 32, halve=False, drop_path=0.5).double().eval()
    x = picture(32, 5)
    with torch.no_grad():
        z = x + block.attention(x)
        assert torch.allclose(block(x), z + block.feed_forward(block.norm(z)), atol=1e-12)


def test_transformer_block_shares_its_channels_three_to_one():
    options = {"halve": True, "reduction": 2, "drop_path": 0.5}
    block = LocalTransformerBlock(96, 128, **options).double().eval()
    kept = {}
    block.norm2.register_forward_pre_hook(lambda module, inputs: kept.update(joined=inputs[0]))
    x = picture(96, 5)
    with torch.no_grad():
        out = block(x)
        low = block.embed(x)
        low = low + block.self_attention(block.norm1(low))
        local = block.project(low)
        local = local + block.conv_attention(local)
    assert (low.shape, local.shape, out.shape) == ((2, 96, 3, 3), (2, 32, 3, 3), (2, 128, 3, 3))
    assert torch.allclose(kept["joined"], torch.cat([low, local], dim=1), atol=1e-12)


def test_convolutional_heads_do_not_see_each_other():
    block = medvit.MultiHeadConvAttention(64).double().eval()
    x = picture(64, 4)
    changed = x.clone()
    changed[:, 40] += 1
    with torch.no_grad():
        difference = (block.conv(changed) - block.conv(x)).abs().amax(dim=(0, 2, 3))
    assert difference[:32].max() == 0
    assert difference[32:].min() > 0


def test_gate_lies_between_0_and_1_and_has_as_many_units_as_the_expansion():
    layer = medvit.LocalFeedForward(32, 3).double().eval()
    x = picture(96, 4)
    with torch.no_grad():
        share = layer.gate(x) / x
    assert layer.gate.reduce.out_channels == 3
    assert ((share >= 0) & (share <= 1)).all()
    assert torch.allclose(share, share[:, :, :1, :1].expand_as(share))
