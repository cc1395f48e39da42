"""Benchmarks: what is timed, what is counted, and the tables made from it."""

import dataclasses
import importlib
import json
import time

import pytest
import torch

from benchmarks import __main__ as all_benchmarks
from benchmarks import common, scan, training, usual_loop
from study.table import Pages, measured
from study.tables.speed import (
    BENCHMARKS,
    NOT_MEASURED,
    Record,
    Speed,
    SpeedError,
    load_records,
    record_path,
    save_record,
    speed_pages,
    speed_table,
)

CASE = training.Case(training.SMALL, 28, 4)


class FakeClock:
    """Time that passes only when it is told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def spend(self, seconds, result=None):
        self.now += seconds
        return result


@pytest.fixture
def clock(monkeypatch):
    fake = FakeClock()
    monkeypatch.setattr(time, "perf_counter", fake)
    return fake


def record(benchmark="training", speeds=None, **changes):
    speeds = speeds or (
        Speed(name="loop", unit="x", values=(0.9, 0.97, 0.96), target=0.95, headline=True),
        Speed(name="bare", unit="images/s", values=(12345.0,)),
    )
    values = {
        "benchmark": benchmark,
        "date": "2026-11-01",
        "settings": {"rounds": 3},
        "env": {"device": "CPU toy", "processors": 2, "python": "3.11", "torch": "2.15"},
        "git": {"sha": "0123456789abcdef", "dirty": False},
        "speeds": tuple(speeds),
    }
    return Record(**values | changes)


# --- what is timed -------------------------------------------------------------------------------


def test_the_loop_clock_leaves_out_validation_and_what_comes_before_the_first_batch(
    clock, monkeypatch
):
    """Set-up 3 s, then twice 10 s of training, 5 of validation and 1 of bookkeeping."""
    monkeypatch.setattr(training.training, "_train_epoch", lambda: clock.spend(10))
    monkeypatch.setattr(training.training, "_validate", lambda: clock.spend(5))
    validate = training.training._validate
    with training.loop_clock() as found:
        clock.spend(3)
        for _ in range(2):
            training.training._train_epoch()
            training.training._validate()
            clock.spend(1)
    assert found.setup == 3
    assert found.loop == 2 * (10 + 1)
    assert training.training._validate is validate  # the patches are gone


def test_our_speed_counts_the_images(clock, monkeypatch):
    def fit(model, *, train, **_):
        training.training._train_epoch(train)

    monkeypatch.setattr(training, "fit", fit)
    monkeypatch.setattr(
        training.training, "_train_epoch", lambda t: clock.spend(0.5 * len(t.labels))
    )
    config = training.configuration(CASE, "normal")
    assert training.our_speed(CASE, config, steps=3) == pytest.approx(2.0)


def test_bare_steps_are_forward_backward_and_optimizer_and_nothing_else(clock):
    model = training.build(CASE)
    model.register_forward_hook(lambda *_: clock.spend(1))
    model[-1].register_full_backward_hook(lambda *_: clock.spend(2))
    config = training.configuration(CASE, "normal")
    batches = training.prepared_batches(CASE, config, count=2)
    clock.spend(1000)
    before = [parameter.clone() for parameter in model.parameters()]
    assert training.bare_seconds(model, batches, config, steps=5) == 5 * (1 + 2)
    assert not any(map(torch.equal, before, model.parameters()))


def test_prepared_batches_have_the_shape_that_the_loop_feeds_the_network():
    config = training.configuration(CASE, "full")
    seen = []
    model = training.build(CASE)
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "build", lambda case: model)
        training.our_run(CASE, config, steps=2)
    (pixels, targets) = training.prepared_batches(CASE, config, count=1)[0]
    assert pixels.shape == seen[0].shape
    assert pixels.stride() == seen[0].stride()
    assert pixels.dtype == seen[0].dtype
    assert targets.shape == (CASE.batch_size, training.NUM_CLASSES)


def test_the_usual_loop_and_ours_train_on_the_same_number_of_images(monkeypatch):
    monkeypatch.setattr(usual_loop, "WORKERS", 0)
    config, steps = training.configuration(CASE, "full"), 3
    counts = {}
    for name, speed in (("ours", training.our_speed), ("usual", training.usual_speed)):
        model, sizes = training.build(CASE), []

        def count(module, inputs, sizes=sizes):
            if torch.is_grad_enabled():  # training, not validation
                sizes.append(len(inputs[0]))

        model.register_forward_pre_hook(count)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training, "build", lambda case, model=model: model)
            speed(CASE, config, steps=steps)
        counts[name] = sizes
    assert counts["ours"] == counts["usual"] == [CASE.batch_size] * steps


def test_the_usual_loops_batches_are_those_of_the_recipe():
    config = training.configuration(CASE, "full")
    split = training.random_split(8)
    images = usual_loop.PilImages(split, config)
    pixels, targets = usual_loop.collate([images[k] for k in range(8)], cutmix=1.0)
    assert pixels.shape == (8, 3, 28, 28) and pixels.dtype == torch.float32
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(8))
    _, plain = usual_loop.collate([images[k] for k in range(8)], cutmix=0.0)
    assert plain.argmax(dim=1).tolist() == split.labels.tolist()


def test_only_the_full_augmentation_is_with_cutmix():
    assert training.configuration(CASE, "full").cutmix == 0.5
    assert training.configuration(CASE, "normal").cutmix == 0.0


def test_runs_take_turns_and_ratios_are_those_of_one_round():
    calls = []

    def named(name, values):
        return lambda: calls.append(name) or values.pop(0)

    runs = {"a": named("a", [2.0, 6.0]), "b": named("b", [1.0, 2.0])}
    results = common.by_turns(runs, rounds=2)
    assert calls == ["a", "b", "a", "b"]
    assert common.ratio("a over b", results["a"], results["b"]).values == (2.0, 3.0)


# --- the command line ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_has_plain_options(name):
    options = common.default_options(importlib.import_module(f"benchmarks.{name}").measure)
    assert options
    assert all(type(value) in (int, bool) for value in options.values())


def fake_measure(*, rounds: int = 3, coverage: bool = False) -> list[Speed]:
    torch.set_num_threads(2)
    return [Speed(name="f", unit="ms", values=(1.0,) * rounds, target=2.0 if coverage else None)]


def test_a_benchmark_alone_takes_its_options_and_stores_only_when_asked(
    results_tree, capsys, monkeypatch
):
    monkeypatch.setattr(common.inspect, "getfile", lambda _: "benchmarks/training.py")
    common.main(fake_measure, ["--rounds", "2", "--coverage"])
    printed = capsys.readouterr().out
    assert "missed" in printed and "'rounds': 2" in printed
    assert torch.get_num_threads() == 1  # as before
    assert load_records() == []
    common.main(fake_measure, ["--rounds", "2", "--save"])
    (stored,) = load_records()
    assert stored.settings == {"rounds": 2, "coverage": False}
    assert stored.speeds[0].values == (1.0, 1.0)
    assert stored.env["processors"] >= 1


def test_all_benchmarks_run_in_order_and_end_with_one_table(results_tree, capsys, monkeypatch):
    ran = []

    def fake_run(measure, options, *, save):
        name = measure.__module__.removeprefix("benchmarks.")
        ran.append(name)
        result = record(name)
        if save:
            save_record(result)
        return result

    monkeypatch.setattr(all_benchmarks, "run", fake_run)
    all_benchmarks.main(["--save"])
    assert tuple(ran) == BENCHMARKS
    printed = capsys.readouterr().out
    assert printed.count("0.960 x") == len(BENCHMARKS)
    assert f"{len(BENCHMARKS)} of {len(BENCHMARKS)} targets met" in printed
    assert [r.benchmark for r in load_records()] == list(BENCHMARKS)


# --- records and tables --------------------------------------------------------------------------


def test_a_figure_is_judged_by_its_median():
    speed = Speed(name="a", unit="x", values=(0.1, 0.94, 0.99), target=0.95)
    assert speed.median == 0.94 and speed.met is False
    assert dataclasses.replace(speed, target=0.94).met is True
    assert dataclasses.replace(speed, target=None).met is None
    cells = ["a", "0.940 x", "0.100 to 0.990", "at least 0.95", "missed"]
    assert speed_table([speed]).cells == [cells]


@pytest.mark.parametrize("values", [(), (0.0,), (1.0, float("nan")), (float("inf"),)])
def test_a_figure_that_is_none_is_refused(values):
    with pytest.raises(SpeedError, match="positive numbers"):
        Speed(name="a", unit="x", values=values)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123, "0.0123"), (0.956, "0.956"), (3.14159, "3.14"), (72.04, "72.0"), (12345, "12,300")],
)
def test_numbers_have_three_digits(value, text):
    assert measured(value) == text


def test_records_survive_the_disk_in_order(tmp_path):
    for name in reversed(BENCHMARKS):
        save_record(record(name), root=tmp_path)
    assert load_records(root=tmp_path) == [record(name) for name in BENCHMARKS]


def test_bad_records_say_what_to_do(tmp_path):
    with pytest.raises(SpeedError, match=r"unknown benchmark 'x'; known: training, "):
        record_path("x")
    path = save_record(record(), root=tmp_path)
    good = json.loads(path.read_text())
    for bad, message in (
        (good | {"schema": 0}, "schema 0, expected 1"),
        ({"schema": 1}, "cannot read training.json"),
        (good | {"benchmark": "heads"}, "holds the record of 'heads'"),
        ([], "cannot read training.json"),
    ):
        path.write_text(json.dumps(bad))
        with pytest.raises(SpeedError, match=message) as caught:
            load_records(root=tmp_path)
        assert "python -m benchmarks.training --save" in str(caught.value)
    path.write_text("{")
    with pytest.raises(SpeedError, match=r"cannot read training\.json"):
        load_records(root=tmp_path)


def test_tables_are_made_from_the_records_alone(tmp_path):
    assert speed_pages(root=tmp_path) == Pages({}, NOT_MEASURED)
    save_record(record(), root=tmp_path)
    made = speed_pages(root=tmp_path)
    (page,), block = made.files.values(), made.block
    line = "| loop | 0.960 x | 0.900 to 0.970 | at least 0.95 | met |"
    assert line in page and line in block
    assert block.index("1 of 1 targets met.") < block.index("<details>") < block.index(line)
    assert "12,300 images/s" in page and "12,300" not in block  # the README shows headlines only
    for text in (page, block):
        assert "CPU toy, 2 processors" in text and "0123456789" in text and "2026-11-01" in text
    assert "a step's memory not kept" in block
    kept = {"malloc": {"MALLOC_TRIM_THRESHOLD_": "1"}}
    save_record(record(env=record().env | kept), root=tmp_path)
    assert "a step's memory kept by glibc" in speed_pages(root=tmp_path).block
    assert f"Not measured yet: {', '.join(BENCHMARKS[1:])}." in block
    for name in BENCHMARKS:
        save_record(record(name), root=tmp_path)
    made = speed_pages(root=tmp_path)
    assert "Not measured yet" not in made.block
    assert made.files["speed.md"].count("\n## ") == len(BENCHMARKS)


def test_a_small_network_trains_every_parameter():
    model = training.small_network()
    model(torch.randn(4, 3, 28, 28)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_set_up_and_checkpoint_are_timed_once_a_round(monkeypatch):
    written = []
    save = training.training._State.save
    monkeypatch.setattr(
        training.training._State,
        "save",
        lambda self, path, **options: (save(self, path, **options), written.append(path.exists())),
    )
    checkpoint = training.checkpoint_time(CASE, rounds=2)
    assert written == [True, True] and len(checkpoint.values) == 2
    assert len(training.setup_time(CASE, rounds=2).values) == 2


def test_the_scan_is_timed_compiled_and_as_pytorch_does_it(monkeypatch):
    monkeypatch.setattr(scan, "TOKENS", 5)
    monkeypatch.setattr(scan, "CHANNELS", 3)
    compiled = []
    has_kernels = scan.module._has_kernels
    monkeypatch.setattr(
        scan.module, "_has_kernels", lambda dt: compiled.append(True) or has_kernels(dt)
    )
    once = scan.scan_timer(batch_size=1)
    compiled.clear()
    once()
    a_scan = len(compiled)
    compiled.clear()
    speeds = scan.scan_alone(rounds=2, batch_size=1)
    assert len(compiled) == 3 * a_scan  # one to compile, two rounds; none of the reference's
    assert [len(speed.values) for speed in speeds] == [2, 2]
    assert speeds[1].target == scan.LEAST_OF_REFERENCE


def test_networks_of_scans_are_compared_with_paper_bs(monkeypatch):
    monkeypatch.setattr(scan, "IMAGE_SIZE", 32)
    speeds = scan.whole_networks(rounds=1, steps=1, batch_size=2)
    assert [speed.target for speed in speeds] == [None, None, None, 0.5, 0.33]
    bare = [speed.values[0] for speed in speeds[:3]]
    assert [s.values[0] for s in speeds[3:]] == [bare[1] / bare[0], bare[2] / bare[0]]
