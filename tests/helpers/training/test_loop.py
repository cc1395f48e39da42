"""The training loop: learning, selecting, stopping, and resuming bit for bit."""

import dataclasses
import math
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, nullcontext
from itertools import count

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from helpers.config import OPTIMIZERS, SCHEDULES
from helpers.models.registry import build_model
from helpers.runs import experiment
from helpers.training import inputs, loop
from helpers.training.ema import ExponentialAverage
from helpers.training.inference import as_tensor, predict
from helpers.training.loop import TrainingDiverged, fit, training_step
from helpers.training.schedules import learning_rates, make_optimizer, make_schedule
from helpers.training.seeds import epoch_generator
from helpers.training.selection import select_epoch, selection_rule
from study.published import lookup
from tests.conftest import toy_split
from tests.fabricated import phantom_config

CPU = torch.device("cpu")
QUICK = phantom_config(epochs=3, batch_size=16, augmentation="normal", cutmix=0.5, ema_decay=0.5)


def small_net(seed: int = 0, num_classes: int = 2) -> nn.Module:
    """A network with batch norm and dropout, which both have a state of their own."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=4),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(32, num_classes),
    )


def train(model, splits, config=QUICK, **options):
    return fit(
        model,
        train=splits.train,
        val=splits.val,
        num_classes=splits.num_classes,
        config=config,
        device=CPU,
        **options,
    )


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def without_seconds(history):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


def same(left, right):
    return all(torch.equal(left[name], right[name]) for name in left | right)


@contextmanager
def interrupted(name, after):
    """Let training stop in a function of the loop, after so many calls that went well."""
    function, calls = getattr(loop, name), count()

    def stopping(*arguments):
        if next(calls) == after:
            raise InterruptedError
        return function(*arguments)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(InterruptedError):
        patch.setattr(loop, name, stopping)
        yield


def test_it_learns_what_can_be_learnt(toy_splits):
    model = small_net()
    config = dataclasses.replace(QUICK, epochs=15, learning_rate=0.01, cutmix=0.0)
    result = train(model, toy_splits, config)
    assert result.history[-1]["val_accuracy"] == 1.0
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"]


def test_a_step_goes_down_the_gradient_of_its_batch_alone():
    torch.manual_seed(0)
    network, inputs = nn.Linear(5, 3), torch.randn(4, 5)
    targets = torch.eye(3)[[0, 1, 2, 0]]
    before = network.weight.detach().clone()
    network.weight.grad = torch.full_like(before, 1e6)  # of another batch
    p = (inputs @ before.T + network.bias.detach()).softmax(dim=1)
    loss, logits = training_step(
        network,
        inputs,
        targets,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        loss_function=nn.functional.cross_entropy,
        precision="fp32",
    )
    torch.testing.assert_close(loss, -(targets * p.log()).sum(dim=1).mean())
    torch.testing.assert_close(logits.softmax(dim=1), p)
    torch.testing.assert_close(network.weight, before - 0.1 * (p - targets).T @ inputs / 4)


def test_one_batch_overfits():
    split = toy_split(8)
    labels = np.array([0, 1, 1, 0, 1, 0, 0, 1])  # nothing to do with brightness
    split = dataclasses.replace(split, labels=labels)
    config = dataclasses.replace(
        QUICK,
        epochs=150,
        learning_rate=0.02,
        augmentation="none",
        cutmix=0.0,
        label_smoothing=0.0,
        ema_decay=None,
        schedule="constant",
    )
    model = small_net()
    model[5].p = 0.0
    result = fit(model, train=split, val=split, num_classes=2, config=config, device=CPU)
    assert result.history[-1]["train_accuracy"] == 1.0


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(toy_splits):
    runs = []
    for seed in (0, 0, 1):
        model = small_net()
        train(model, toy_splits, dataclasses.replace(QUICK, seed=seed))
        runs.append(weights(model))
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_the_model_ends_with_the_weights_of_the_selected_epoch(toy_splits):
    model = small_net()
    result = train(model, toy_splits)
    rows = result.history
    best = max(rows, key=lambda row: (row["val_auc"], -row["val_loss"], -row["epoch"]))
    assert result.epoch == best["epoch"]
    images, _ = as_tensor(toy_splits.val, CPU)
    probabilities = predict(model, images, image_size=28, flip_average=QUICK.flip_average)
    of_truth = probabilities[np.arange(len(images)), toy_splits.val.labels]
    assert -np.log(of_truth).mean() == pytest.approx(best["val_loss"], rel=1e-5)


def test_interrupted_after_any_epoch_it_ends_with_the_same_weights(toy_splits, tmp_path):
    whole = small_net()
    expected = train(whole, toy_splits)
    for stop_after in (1, 2, 3):
        file = tmp_path / f"{stop_after}.pt"
        with interrupted("_validate", stop_after) if stop_after < 3 else nullcontext():
            train(small_net(), toy_splits, checkpoint=file, checkpoint_seconds=0)
        resumed = small_net(seed=99)  # its own weights must not matter
        result = train(resumed, toy_splits, checkpoint=file, checkpoint_seconds=0)
        assert same(weights(resumed), weights(whole))
        assert without_seconds(result.history) == without_seconds(expected.history)


def test_watching_changes_nothing_but_what_is_kept(toy_splits):
    results, states = [], []
    for watch in (None, toy_splits.test):
        model = small_net()
        results.append(train(model, toy_splits, watch=watch))
        states.append(weights(model))
    unwatched, watched = results
    assert same(*states)
    assert unwatched.epoch == watched.epoch
    assert without_seconds(unwatched.history) == without_seconds(watched.history)
    assert unwatched.watched is None
    images, _ = as_tensor(toy_splits.test, CPU)
    options = {"image_size": 28, "flip_average": QUICK.flip_average}
    selected = predict(model, images, **options).argmax(axis=1)
    assert watched.watched.shape == (QUICK.epochs, len(images))
    assert (watched.watched[watched.epoch - 1] == selected).all()


@pytest.mark.parametrize("ema_decay", [0.5, None])
def test_what_was_watched_survives_an_interruption(ema_decay, toy_splits, tmp_path):
    config = dataclasses.replace(QUICK, ema_decay=ema_decay, learning_rate=0.01)
    whole = train(small_net(), toy_splits, config, watch=toy_splits.test)
    options = {"checkpoint": tmp_path / "c.pt", "checkpoint_seconds": 0, "watch": toy_splits.test}
    with interrupted("_predicted", 2):
        train(small_net(), toy_splits, config, **options)
    resumed = train(small_net(seed=99), toy_splits, config, **options)
    assert resumed.watched.shape == whole.watched.shape
    assert (resumed.watched == whole.watched).all()


def test_a_checkpoint_that_watched_nothing_is_refused(toy_splits, tmp_path):
    file = tmp_path / "c.pt"
    train(small_net(), toy_splits, checkpoint=file, checkpoint_seconds=0)
    with pytest.raises(ValueError, match=r"c\.pt has watched predictions of 0 of 3 epochs"):
        train(small_net(), toy_splits, checkpoint=file, watch=toy_splits.test)


KILLED = """
import sys
import torch
from helpers.config import make_config
from helpers.runs.experiment import run_experiment
from helpers.data.phantom import make_phantom
torch.set_num_threads(1)
config = make_config(recipe="common", dataset="phantom", model="mobilenet_v2", seed=3,
                     pretrained="none", image_size=28, epochs=4, batch_size=16, profile="quick",
                     test_curve=True)
splits = make_phantom(n_train=48, n_val=16, n_test=16)
import helpers.runs.experiment
import functools
helpers.runs.experiment.fit = functools.partial(helpers.runs.experiment.fit, checkpoint_seconds=0)
run = run_experiment(config, splits=splits)
print(run.path)
"""


def test_kill_9_and_a_rerun_give_the_same_run(tmp_path, monkeypatch):
    """The whole way: another process, SIGKILL while it trains, the same command again."""

    def start():
        return subprocess.Popen(
            [sys.executable, "-c", KILLED],
            env=os.environ | {"REPRO_RESULTS": str(tmp_path / "killed")},
            stdout=subprocess.PIPE,
            text=True,
        )

    killed = start()
    deadline = time.monotonic() + 600
    while not list(tmp_path.glob("killed/**/checkpoint.pt")):
        assert killed.poll() is None, "it ended before it wrote a checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not list(tmp_path.glob("killed/**/run.json"))

    assert start().wait(timeout=600) == 0
    monkeypatch.setenv("REPRO_RESULTS", str(tmp_path / "whole"))
    monkeypatch.setattr(experiment, "fit", fit)  # restored afterwards, as the code replaces it
    exec(KILLED, {})
    again, whole = (
        load_file(next(tmp_path.glob(f"{tree}/**/model.safetensors")))
        for tree in ("killed", "whole")
    )
    assert same(again, whole)
    again, whole = (
        next(tmp_path.glob(f"{tree}/**/test_curve.csv")).read_text() for tree in ("killed", "whole")
    )
    assert again == whole and again.count("\n") == 5
    assert not list(tmp_path.glob("**/checkpoint.pt"))


def test_a_checkpoint_of_another_run_is_refused(toy_splits, tmp_path):
    file = tmp_path / "c.pt"
    train(small_net(), toy_splits, checkpoint=file)
    with pytest.raises(ValueError, match="belongs to run"):
        train(small_net(), toy_splits, dataclasses.replace(QUICK, seed=1), checkpoint=file)


def test_a_checkpoint_is_not_continued_on_other_data(toy_splits, tmp_path):
    file = tmp_path / "c.pt"
    train(small_net(), toy_splits, checkpoint=file)
    before = file.read_bytes()
    turned = dataclasses.replace(toy_splits.train, labels=1 - toy_splits.train.labels)
    other = dataclasses.replace(toy_splits, train=turned)
    with pytest.raises(ValueError, match=r"belongs to run \w+_s0 on data \w{10}, not to"):
        train(small_net(), other, checkpoint=file)
    assert file.read_bytes() == before


def test_a_nan_loss_stops_and_keeps_the_last_good_checkpoint(toy_splits, tmp_path, monkeypatch):
    good = train(small_net(), toy_splits).history
    victim, file = small_net(), tmp_path / "c.pt"

    def poisoned(seed, epoch):
        if epoch == 3:
            nn.init.constant_(victim[0].weight, math.nan)
        return epoch_generator(seed, epoch)

    monkeypatch.setattr(loop, "epoch_generator", poisoned)
    with pytest.raises(TrainingDiverged, match=r"epoch 3.*Lower learning_rate"):
        train(victim, toy_splits, checkpoint=file, checkpoint_seconds=0)
    kept = torch.load(file, weights_only=True)
    assert without_seconds(kept["history"]) == without_seconds(good[:2])
    assert all(torch.isfinite(value).all() for value in kept["model"].values())


def test_it_stops_early_when_validation_does_not_improve(toy_splits):
    config = dataclasses.replace(QUICK, epochs=30, learning_rate=1e-9, patience=2, ema_decay=None)
    model = small_net()
    model[1].momentum = 0.0  # nothing changes, so nothing improves
    assert len(train(model, toy_splits, config).history) < 30


def test_averaged_weights_are_those_of_the_recursion(toy_splits, monkeypatch):
    """EMA after n steps against its definition, computed step by step."""
    config = dataclasses.replace(QUICK, epochs=1, ema_decay=0.9)
    seen = []
    update, model = ExponentialAverage.update, small_net()

    def recording(self):
        update(self)
        seen.append(model[6].weight.detach().clone())

    monkeypatch.setattr(ExponentialAverage, "update", recording)
    train(model, toy_splits, config)
    expected = seen[0]
    for weight in seen[1:]:
        expected = 0.9 * expected + 0.1 * weight
    torch.testing.assert_close(model[6].weight, expected)


def test_predict_averages_the_mirror_image_and_leaves_the_mode():
    model = small_net().train()
    images, _ = as_tensor(toy_split(5), CPU)
    images[:, :, :, :10] = 255  # not symmetric
    plain = predict(model, images, image_size=28)
    mirrored = predict(model, images.flip(-1), image_size=28)
    averaged = predict(model, images, image_size=28, flip_average=True)
    assert model.training
    assert not np.allclose(plain, mirrored)
    np.testing.assert_allclose(averaged, (plain + mirrored) / 2, rtol=1e-5)
    np.testing.assert_allclose(averaged.sum(axis=1), 1, rtol=1e-5)


def test_precision_bf16_trains(toy_splits):
    result = train(small_net(), toy_splits, dataclasses.replace(QUICK, precision="bf16"))
    assert math.isfinite(result.history[-1]["train_loss"])


def test_epochs_draw_different_numbers_and_the_same_again():
    draws = [torch.rand(3, generator=epoch_generator(0, epoch)) for epoch in (1, 2, 1)]
    assert torch.equal(draws[0], draws[2])
    assert not torch.equal(draws[0], draws[1])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_lowers_a_quadratic(name):
    x = nn.Parameter(torch.ones(4))
    optimizer = make_optimizer(name, [x], learning_rate=0.05, weight_decay=0.0)
    for _ in range(50):
        optimizer.zero_grad()
        (x**2).sum().backward()
        optimizer.step()
    assert x.abs().max() < 0.2


def rates(name, steps):
    config = dataclasses.replace(QUICK, schedule=name, learning_rate=0.1, epochs=1)
    return learning_rates(config, steps_per_epoch=steps)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 7, 40])
def test_every_schedule_lasts_its_steps_within_the_peak(name, steps):
    values = rates(name, steps)
    assert (values > 0).all()
    assert values.max() <= 0.1 * (1 + 1e-9)


def test_schedules_have_their_shapes():
    assert rates("one_cycle", 100)[0] == pytest.approx(0.1 / 25)
    assert rates("one_cycle", 100).argmax() == 29
    assert rates("cosine", 100)[50] == pytest.approx(0.05)
    np.testing.assert_allclose(rates("step", 8), [0.1] * 4 + [0.01] * 2 + [0.001] * 2)
    np.testing.assert_allclose(rates("warm_restarts", 70)[[0, 10, 30]], 0.1)
    np.testing.assert_allclose(rates("constant", 5), 0.1)


@pytest.mark.parametrize(("name", "key"), [("sgd", "momentum"), ("adam", "b1"), ("adamw", "b1")])
def test_one_cycle_moves_the_momentum_against_the_rate_as_torch_does_by_default(name, key):
    courses = {}
    for kind in (True, False, "torch"):
        x = nn.Parameter(torch.ones(4))
        optimizer = make_optimizer(name, [x], learning_rate=0.01, weight_decay=0.0)
        if kind == "torch":
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=20)
        else:
            schedule = make_schedule("one_cycle", optimizer, total_steps=20, cycle_momentum=kind)
        momenta = []
        for _ in range(20):
            group = optimizer.param_groups[0]
            momenta.append(group["momentum"] if key == "momentum" else group["betas"][0])
            optimizer.zero_grad()
            (x**2).sum().backward()
            optimizer.step()
            schedule.step()
        courses[kind] = (momenta, x.detach())
    assert courses[True][0] == courses["torch"][0] and torch.equal(
        courses[True][1], courses["torch"][1]
    )
    assert courses[True][0][0] == pytest.approx(0.95)
    assert min(courses[True][0]) == pytest.approx(0.85)
    assert set(courses[False][0]) == {0.9}


def test_a_momentum_cycle_of_another_schedule_is_refused():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.raises(ValueError, match="belongs to the schedule one_cycle, not to cosine"):
        make_schedule("cosine", optimizer, total_steps=5, cycle_momentum=True)


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="known: adamw, adam, sgd, rmsprop"):
        make_optimizer("lion", [nn.Parameter(torch.zeros(1))], learning_rate=1, weight_decay=0)
    with pytest.raises(ValueError, match="known: one_cycle"):
        make_schedule("x", torch.optim.SGD([nn.Parameter(torch.zeros(1))]), total_steps=1)
    with pytest.raises(ValueError, match="total_steps must be at least 1"):
        make_schedule("cosine", torch.optim.SGD([nn.Parameter(torch.zeros(1))]), total_steps=0)


def history(*rows):
    keys = ("val_auc", "val_loss", "val_accuracy")
    return [{"epoch": e, **dict(zip(keys, row, strict=True))} for e, row in enumerate(rows, 1)]


def test_selection_takes_the_highest_auc_then_the_lowest_loss_then_the_earliest():
    rows = [(0.7, 0.5, 0.9), (0.8, 0.6, 0.5), (0.8, 0.4, 0.6), (0.8, 0.4, 0.7), (None, 0.1, 1.0)]
    assert select_epoch(history(*rows)) == 3
    assert select_epoch(history((None, 0.5, 0.5), (None, 0.4, 0.5))) == 2


def test_a_target_selects_the_first_epoch_that_reaches_it():
    rows = [(0.9, 0.5, 0.7), (0.7, 0.5, 0.9), (0.8, 0.5, 0.95)]
    assert select_epoch(history(*rows), 0.9) == 2
    assert select_epoch(history(*rows), 0.99) == 1  # never reached: the rule


def test_training_stops_at_the_target_and_keeps_that_epoch(toy_splits):
    config = dataclasses.replace(QUICK, epochs=30, ema_decay=None, stop_at_accuracy=0.9)
    model = small_net()
    result = train(model, toy_splits, config)
    reached = [row["val_accuracy"] >= 0.9 for row in result.history]
    assert len(result.history) < 30
    assert reached == [False] * (len(reached) - 1) + [True]
    assert result.epoch == len(result.history)
    assert "0.9" in selection_rule(config) and "0.9" not in selection_rule(QUICK)


def staged(**overrides):
    config = phantom_config(
        recipe="brain_inspired", seed=3, epochs=3, warmup_epochs=1, batch_size=16
    )
    return dataclasses.replace(config, precision="fp32", **overrides)


def spiking_net():
    torch.manual_seed(0)
    return build_model("brain_inspired_resnet18", num_classes=2, image_size=28, pretrained="none")


@pytest.fixture
def few(toy_splits):
    return dataclasses.replace(toy_splits, train=toy_split(32), val=toy_split(8, seed=1))


@pytest.mark.parametrize("augmentation", ["none", "normal"])
def test_a_staged_run_resumes_bit_for_bit(few, tmp_path, augmentation):
    config = staged(augmentation=augmentation)
    whole = spiking_net()
    train(whole, few, config)
    for stop_after in (1, 2):
        file = tmp_path / f"{stop_after}.pt"
        with interrupted("_validate", stop_after):
            train(spiking_net(), few, config, checkpoint=file, checkpoint_seconds=0)
        resumed = spiking_net()
        train(resumed, few, config, checkpoint=file, checkpoint_seconds=0)
        assert same(weights(whole), weights(resumed)), stop_after


def test_kept_features_train_as_computed_ones(few, monkeypatch):
    """Nothing but speed depends on whether frozen features are kept."""
    kept = spiking_net()
    history = train(kept, few, staged()).history
    monkeypatch.setattr(inputs, "LARGEST_KEPT_BYTES", 0)
    computed = spiking_net()
    other = train(computed, few, staged()).history
    for one, two in zip(history, other, strict=True):
        assert math.isclose(one["train_loss"], two["train_loss"], rel_tol=1e-3)


def test_the_warm_up_asks_the_backbone_for_no_gradient_and_sees_it_once(toy_splits):
    model, calls = spiking_net(), []
    model.trunk[0].register_forward_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    train(model, toy_splits, dataclasses.replace(staged(), plasticity="head", warmup_epochs=0))
    assert not any(calls)
    # One image to measure, 48 training images in one batch, 24 validation images in one batch.
    assert len(calls) == 3


def test_validation_on_kept_features_is_that_of_the_whole_network(few):
    model = spiking_net()
    result = train(model, few, staged())
    images, _ = as_tensor(few.val, CPU)
    whole = loop._validate(model, images, few.val.labels, staged())
    best = result.history[result.epoch - 1]
    assert math.isclose(best["val_loss"], whole["val_loss"], rel_tol=1e-4)


def test_one_cycle_prints_table_1s_learning_rates():
    """559 images in batches of 16 are 35 steps an epoch; 20 epochs, peak 5e-3 (recovered)."""
    config = phantom_config(recipe="table1")
    steps = math.ceil(559 / config.batch_size)
    rates = learning_rates(config, steps_per_epoch=steps)
    assert len(rates) == steps * config.epochs
    for epoch in range(1, 5):
        printed = lookup(paper="A", table="Table 1", row=f"epoch {epoch}", column="learning_rate")
        assert f"{rates[epoch * steps]:.2e}" == f"{printed.value:.2e}"


def test_warm_restarts_return_to_the_peak_when_the_warm_up_ends():
    config = phantom_config(recipe="brain_inspired")
    rates = learning_rates(config, steps_per_epoch=35)
    peaks = [step / 35 for step, rate in enumerate(rates) if rate == config.learning_rate]
    assert peaks == [0, config.warmup_epochs, 3 * config.warmup_epochs]


def test_the_average_is_torchs_to_the_last_bit_also_after_loading():
    """With integer buffers, a network without any, and a state loaded in the middle."""
    for make in (small_net, lambda: nn.Linear(3, 2)):
        model = make()
        ours = ExponentialAverage(model, decay=0.9)
        theirs = torch.optim.swa_utils.AveragedModel(
            model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9), use_buffers=True
        )
        for step in range(6):
            with torch.no_grad():
                for value in (*model.parameters(), *model.buffers()):
                    value += 7 if not value.is_floating_point() else torch.randn_like(value)
            if step == 3:
                state = ours.state_dict()
                ours = ExponentialAverage(model, decay=0.9)
                ours.load_state_dict(state)
            ours.update()
            theirs.update_parameters(model)
            assert same(ours.state_dict(), theirs.state_dict())
    assert ours.n_averaged == 6
