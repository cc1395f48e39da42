"""Staged plasticity: who is trained in which stage, and what stays as it was to the last bit."""

import copy

import pytest
import torch
from torch import nn

from helpers.models.parts import split_model
from helpers.models.registry import build_model
from helpers.training.loop import fit
from helpers.training.plasticity import Stage, enter_stage, make_plan, stage_at, trainable_by_stage
from tests.conftest import toy_split
from tests.fabricated import phantom_config

MODELS = (
    "resnet18",
    "resnet50",
    "mobilenet_v2",
    "medspectralnet",
    "medspectralnet_light",
    "linear_resnet18",
    "brain_inspired_resnet18",
)
STAGED = make_plan("staged", epochs=3, warmup_epochs=1)


def build(name):
    torch.manual_seed(0)
    return build_model(name, num_classes=2, image_size=32, pretrained="none")


def names(model, part):
    """Return the names that the tensors of a part have in the network's state."""
    own = {id(tensor) for tensor in part.state_dict(keep_vars=True).values()}
    return {key for key, tensor in model.state_dict(keep_vars=True).items() if id(tensor) in own}


def changed(model, before):
    """Return the names of the tensors that are not what they were to the last bit."""
    return {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}


@pytest.mark.parametrize("name", MODELS)
def test_the_parts_one_after_the_other_are_the_network(name):
    model = build(name).eval()
    parts = split_model(model)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(parts.head(parts.high(parts.low(images))), model(images))
    owned = [p for part in (parts.low, parts.high, parts.head) for p in part.parameters()]
    assert sorted(map(id, owned)) == sorted(map(id, model.parameters()))


def test_theta_0_is_the_linear_head_and_theta_1_adds_the_last_stage():
    counts = trainable_by_stage(build("linear_resnet18"), STAGED)
    assert counts == {"warm-up": 513, "selective fine-tuning": 513 + 8_393_728}


@pytest.mark.parametrize("name", MODELS)
def test_each_stage_trains_more_than_the_one_before_it(name):
    model = build(name)
    head, high = trainable_by_stage(model, STAGED).values()
    assert 0 < head < high < sum(p.numel() for p in model.parameters())
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "brain_inspired_resnet18"])
@pytest.mark.parametrize("trainable", ["head", "high"])
def test_what_is_frozen_stays_bit_identical(name, trainable):
    model = build(name)
    active = enter_stage(model, Stage("test", trainable, 1))
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    active.train_mode()
    for _ in range(2):
        with torch.no_grad():
            features = active.frozen(torch.randn(4, 3, 32, 32))
        optimizer.zero_grad()
        active.plastic(features).square().sum().backward()
        optimizer.step()
    frozen = names(model, active.frozen)
    assert frozen and not changed(model, before) & frozen
    assert changed(model, before) - frozen


@pytest.mark.parametrize("augmentation", ["none", "normal"])
def test_a_staged_run_leaves_the_low_layers_and_trains_the_rest(augmentation):
    config = phantom_config(
        recipe="brain_inspired",
        epochs=2,
        warmup_epochs=1,
        batch_size=8,
        augmentation=augmentation,
        precision="fp32",
    )
    model = build("linear_resnet18")
    before = copy.deepcopy(model.state_dict())
    split = toy_split(16)
    result = fit(
        model, train=split, val=split, num_classes=2, config=config, device=torch.device("cpu")
    )
    assert [r["stage"] for r in result.history] == ["warm-up", "selective fine-tuning"]
    parts = split_model(model)
    after = changed(model, before)
    assert not after & names(model, parts.low)
    if result.epoch == 2:
        assert "trunk.layer4.0.conv1.weight" in after
    assert names(model, parts.head) <= after


def test_stages_follow_the_plan():
    assert [stage_at(STAGED, epoch).name for epoch in range(5)] == [
        "warm-up",
        *["selective fine-tuning"] * 4,
    ]
    for part in ("all", "high", "head"):
        assert [s.trainable for s in make_plan(part, epochs=2)] == [part]


def test_an_unknown_stage_or_plan_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="head, high, all"):
        Stage("x", "low", 1)
    with pytest.raises(ValueError, match="staged"):
        make_plan("stages", epochs=3)
    with pytest.raises(ValueError, match="at least 1 epoch"):
        make_plan("staged", epochs=3, warmup_epochs=3)


def test_a_stage_that_trains_nothing_is_refused():
    model = build("resnet18")
    model.fc = nn.Identity()
    with pytest.raises(ValueError, match="trains nothing"):
        enter_stage(model, Stage("warm-up", "head", 1))


def test_a_foreign_network_is_refused():
    with pytest.raises(ValueError, match="Linear"):
        split_model(nn.Linear(2, 2))
