"""The study: what is stored is not measured again, and never mixed; small networks, real phases."""

from dataclasses import replace

import pytest
import torch
import yaml
from torch import nn

from helpers.config import IMAGENET_RGB
from helpers.paths import repo_root
from study.costs import integers, measure, memory
from study.costs.forms import DeploymentError, random_images
from study.costs.integers import int8_accuracy
from study.costs.measure import (
    about,
    exported,
    fresh_model,
    main,
    measure_exports,
    measure_sizes,
    measure_times,
    run_study,
    time_group,
)
from study.costs.memory import FORWARD, TRAINING, MemoryUnknown, peak_memory
from study.costs.store import PHASES, QUIET, EfficiencyError, Store, store_path
from study.plans.costs import EAGER, INT8, ONNX, Candidate, Rounds, load_plan
from study.plans.form import PlanError

PLAN = load_plan()
CPU = torch.device("cpu")
SMALL = PLAN.model_copy(
    update={
        "image_size": 32,
        "small_size": 28,
        "throughput_batch": 2,
        "main": ("resnet18",),
        "claimed": ("resnet18", "mobilenet_v2"),
        "others": ("mobilenet_v2",),
        "rounds": {name: Rounds(rounds=3, budget=1.0) for name in PLAN.rounds},
    }
)


def tiny(name, plan, *, image_size):
    torch.manual_seed(len(name))
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=4), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


@pytest.fixture
def store(results_tree):
    return Store.open(store_path("cpu", 1), about=about(CPU))


@pytest.fixture
def small_networks(monkeypatch, tmp_path):
    """Networks of one layer in the places of the real ones, and no compiler."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(measure, "fresh_model", tiny)

    def refuse(model, *, example):
        raise DeploymentError("torch.compile: not today")

    def export_here(export, model, path, image_size, seconds, *, ended):
        measure.deployment.export_onnx(model, path, image_size=image_size)

    monkeypatch.setattr(measure.deployment, "compiled_runner", refuse)
    monkeypatch.setattr(measure, "run_apart", export_here)


# --- the plan ---


def test_the_plan_speaks_of_known_networks():
    assert set(PLAN.models) == set(PLAN.titles) and len(set(PLAN.models)) == len(PLAN.models)
    assert PLAN.reference in PLAN.main
    bounds = {(t.time.model, t.of.model): t.at_most for t in PLAN.targets}
    assert bounds["medspectralnet", "resnet18"] == 1.0
    assert bounds["medspectralnet_light", "medspectralnet"] == 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"roundz": 1}, "unknown key 'roundz'; known: .* Did you mean 'rounds'"),
        ({"main": ["resnet19"]}, "unknown model 'resnet19'"),
        (
            {"main": ["linear_resnet18", "resnet18"]},
            "unknown model of params/ranking.yaml 'linear_resnet18'",
        ),
        ({"reference": "densenet121"}, "unknown model of main 'densenet121'"),
        ({"claimed": ["medspectralnet"]}, "claimed: .*at least 2 items"),
        ({"claimed": ["medspectralnet", "resnet19"]}, "unknown model .*'resnet19'.*'resnet18'"),
        ({"image_size": "224"}, "image_size: .*valid integer, got '224'"),
        ({"rounds": {}}, "needs the groups main_latency"),
        (
            {"targets": [{"title": "x", "time": {"model": "resnet18", "backend": "tensorrt"}}]},
            r"targets\..*\.time: unknown backend 'tensorrt'; known: eager",
        ),
    ],
)
def test_a_wrong_plan(tmp_path, change, message):
    content = yaml.safe_load((repo_root() / "params" / "efficiency.yaml").read_text()) | change
    file = tmp_path / "efficiency.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(PlanError, match=rf"^efficiency.yaml.*{message}"):
        load_plan(file)


# --- the store ---


SIZE = {"image_size": 224, "params": 1, "macs": 1}


def test_rows_come_back_and_the_file_is_whole(store):
    store.add("sizes", model="resnet18", **SIZE)
    store.add("sizes", model="resnet34", **SIZE | {"params": 2})
    again = Store.read(store.path)
    assert again.row("sizes", model="resnet34")["params"] == 2
    assert again.row("sizes", model="resnet50") is None
    assert again.missing("sizes", ["resnet34", "resnet50"]) == ["resnet50"]
    (phase,) = again.content["phases"].values()
    assert phase["about"]["env"]["torch"] == torch.__version__


def test_numbers_of_two_machines_do_not_mix(store):
    store.add("sizes", model="resnet18", **SIZE)
    other = about(CPU)
    other["env"] |= {"device": "CPU of another machine"}
    with pytest.raises(EfficiencyError, match=r"sizes was measured elsewhere.*--anew sizes"):
        Store.open(store.path, about=other)
    fresh = Store.open(store.path, about=other, anew=["sizes"])
    assert fresh.rows("sizes") == []


def test_a_file_older_than_a_fact_about_the_machine_is_gone_on_with(store):
    store.add("sizes", model="resnet18", **SIZE)
    newer = about(CPU)
    newer["env"] |= {"a fact that older files lack": "x"}
    assert len(Store.open(store.path, about=newer).rows("sizes")) == 1


@pytest.mark.parametrize(
    ("text", "message"), [("{", "cannot read"), ('{"schema": 0}', "has schema 0, expected 1")]
)
def test_a_file_that_cannot_be_read(store, text, message):
    store.path.parent.mkdir(parents=True)
    store.path.write_text(text)
    with pytest.raises(EfficiencyError, match=message):
        Store.open(store.path, about=about(CPU))


def test_a_missing_file(store):
    with pytest.raises(EfficiencyError, match=r"python -m study costs"):
        Store.read(store.path)


def test_ratios_only_within_a_group(store):
    a, b = Candidate("a", EAGER), Candidate("b", EAGER)
    place = {"image_size": 224, "batch_size": 1}
    for name, seconds in (("one", {"a eager": [2.0] * 6}), ("two", {"b eager": [1.0] * 6})):
        store.add("times", group=name, **place, others=0.0, seconds=seconds, failed={})
    assert store.ratio(a, b, **place) is None
    assert store.times(a, **place).median == 2.0
    assert store.times(a, image_size=64, batch_size=1) is None
    both = {"a eager": [3.0] * 6, "b eager": [1.0] * 6}
    store.add("times", group="three", **place, others=2 * QUIET, seconds=both, failed={})
    assert store.ratio(a, b, **place).value == 3.0
    assert store.disturbance == 2 * QUIET and not store.is_quiet


# --- phases ---


def test_sizes_are_counted_once(store, monkeypatch):
    measure_sizes(store, SMALL)
    assert [row["model"] for row in store.rows("sizes")] == ["resnet18", "mobilenet_v2"]
    monkeypatch.setattr(measure, "build_model", None)  # would fail
    measure_sizes(store, SMALL)


def test_times_of_all_forms(store, small_networks):
    measure_exports(store, SMALL)
    measure_times(store, SMALL, threads=1, device=CPU)
    groups = {row["group"]: row for row in store.rows("times")}
    names = ["main latency", "main throughput", "small latency"]
    kinds = [
        f"{group} {kind}" for group in ("others 1", "claimed") for kind in ("latency", "throughput")
    ]
    assert list(groups) == [*names, *kinds]
    assert set(groups["claimed latency"]["seconds"]) == {f"{m} eager" for m in SMALL.claimed}
    assert set(groups["main latency"]["seconds"]) == {f"resnet18 {f}" for f in (EAGER, ONNX, INT8)}
    assert groups["main latency"]["failed"] == {"resnet18 compiled": "torch.compile: not today"}
    assert store.failure(Candidate("resnet18", "compiled")) == "torch.compile: not today"
    timed = set(groups["others 1 latency"]["seconds"])
    assert timed == {"resnet18 eager", "mobilenet_v2 eager", "mobilenet_v2 onnx"}
    assert all(len(s) == 3 for row in groups.values() for s in row["seconds"].values())
    ratio = store.ratio(
        Candidate("mobilenet_v2", ONNX), Candidate("resnet18", EAGER), image_size=32, batch_size=1
    )
    assert ratio.n == 3 and ratio.low is None


def test_a_stored_group_is_not_timed_again(store, small_networks, monkeypatch):
    options = {"group": "g", "candidates": [("resnet18", EAGER)], "place": SMALL.latency}
    options |= {"rounds": Rounds(rounds=3, budget=1.0), "threads": 1, "device": CPU}
    time_group(store, SMALL, **options)
    monkeypatch.setattr(measure, "interleave", None)  # would fail
    time_group(store, SMALL, **options)
    assert len(store.rows("times")) == 1


def test_a_network_that_does_not_export_says_why(store, small_networks, monkeypatch):
    def refuse(name, model, plan, *, image_size):
        if name == "mobilenet_v2":
            raise DeploymentError("ONNX export: no such operator")
        return exported(name, model, plan, image_size=image_size)

    monkeypatch.setattr(measure, "exported", refuse)
    measure_exports(store, SMALL)
    assert store.row("exports", model="mobilenet_v2")["reason"] == "ONNX export: no such operator"
    row = store.row("exports", model="resnet18")
    assert row["reason"] is None and row["difference"] <= 1e-4 and row["opset"] == 18


def test_a_cached_graph_of_another_network_is_made_anew(small_networks):
    first = exported("net", tiny("net", PLAN, image_size=32), PLAN, image_size=32)
    written = first.path.stat().st_mtime_ns
    assert exported("net", tiny("net", PLAN, image_size=32), PLAN, image_size=32) == first
    assert first.path.stat().st_mtime_ns == written
    other = tiny("another", PLAN, image_size=32)
    assert exported("net", other, PLAN, image_size=32).difference <= 1e-4
    assert first.path.stat().st_mtime_ns != written


class Slow(nn.Module):
    """Takes its time whenever it is looked at."""

    def forward(self, images):
        while True:
            images = images * 1.0


def test_an_exporter_that_takes_too_long_is_ended(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DeploymentError, match="ended after 1 s of processor time"):
        exported("slow", Slow(), PLAN.model_copy(update={"export_seconds": 1}), image_size=32)


def test_fresh_networks_have_logits_of_about_one_and_are_the_same_again():
    images = random_images(4, image_size=32, seed=9)
    for name in ("mobilenet_v2", "mobilenetv4_conv_small"):
        model = fresh_model(name, PLAN, image_size=32)
        logits = model(images)
        assert 0.05 < logits.abs().max() < 20 and not model.training
        assert torch.equal(logits, fresh_model(name, PLAN, image_size=32)(images))


def test_integers_are_judged_on_the_test_split(toy_splits, monkeypatch):
    """A network that knows bright from dark is right in both forms, but where the label is not."""
    labels = toy_splits.test.labels.copy()
    labels[:6] = 1 - labels[:6]
    splits = replace(toy_splits, test=replace(toy_splits.test, labels=labels))
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([-1.0, 1.0]).reshape(2, 1, 1, 1).expand(2, 3, 1, 1))
        model[0].bias.zero_()

    class Stored:
        path = type("Path", (), {"name": "abc_s0"})
        config = dict.fromkeys(("recipe", "model", "pretrained"), "x") | {
            "dataset": "toy",
            "seed": 0,
            "image_size": 28,
            "flip_average": True,
        }
        form = IMAGENET_RGB

    monkeypatch.setattr(integers, "load_dataset", lambda name: splits)
    monkeypatch.setattr(integers, "check_data", lambda run, splits: None)
    monkeypatch.setattr(integers, "load_model", lambda run: model.eval())
    row = int8_accuracy(Stored(), PLAN.model_copy(update={"calibration_images": 10}), threads=1)
    assert (row["n"], row["calibration_images"]) == (24, 10)
    assert row[EAGER] == row[INT8] == 18 and row["lost"] == row["gained"] == 0


# --- memory ---


def test_peak_memory_holds_weights_and_what_training_adds():
    """ResNet-18: 45 MB of weights; a step of AdamW adds gradients and two states of each."""
    options = {"image_size": 64, "batch_size": 1}
    forward = peak_memory("resnet18", step=FORWARD, **options)
    training = peak_memory("resnet18", step=TRAINING, **options)
    weights = 4 * 11_177_538
    assert weights < forward < 3 * weights
    assert training > forward + 2.5 * weights


def test_memory_on_another_system(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "absent")
    with pytest.raises(MemoryUnknown, match="Linux"):
        peak_memory("resnet18", image_size=32, batch_size=1, step=FORWARD)


def test_an_unknown_step():
    with pytest.raises(ValueError, match="unknown step 'backward'; known: forward"):
        peak_memory("resnet18", image_size=32, batch_size=1, step="backward")


# --- the command line ---


def test_phases_one_by_one_and_anew(results_tree, monkeypatch):
    measured = []

    def mark(store, plan):
        measured.append(len(store.rows("sizes")))
        store.add("sizes", model=f"m{len(measured)}", **SIZE)

    monkeypatch.setattr(measure, "measure_sizes", mark)
    path = run_study(SMALL, phases=["sizes"], threads=1)
    run_study(SMALL, phases=["sizes"], threads=1)
    run_study(SMALL, phases=["sizes"], threads=1, anew=["sizes"])
    assert measured == [0, 1, 0]
    assert path.name == "cpu_1_thread.json"
    assert [row["model"] for row in Store.read(path).rows("sizes")] == ["m3"]


@pytest.mark.parametrize(
    ("words", "phases", "anew"),
    [
        ([], PHASES, ()),
        (["--anew"], PHASES, PHASES),
        (["--only", "times", "--anew"], ["times"], ["times"]),
        (["--anew", "times"], PHASES, ["times"]),
    ],
)
def test_the_command_line(monkeypatch, tmp_path, words, phases, anew):
    asked = {}

    def run(plan, **options):
        asked.update(options)
        return tmp_path / "cpu.json"

    monkeypatch.setattr(measure, "run_study", run)
    assert main(words) == 0
    assert list(asked["phases"]) == list(phases) and list(asked["anew"]) == list(anew)


def test_no_gpu(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        main(["--device", "cuda"])
    assert "torch finds no GPU here" in capsys.readouterr().err
