"""Tables and pictures of the study from made-up measurements; the Pareto front's properties."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.metrics.scores import Estimate
from helpers.runs.groups import group_runs
from helpers.runs.store import list_runs
from study.costs.findings import (
    Point,
    accuracy_group,
    int8_findings,
    judge_target,
    judge_targets,
    pareto_front,
    points,
    published_points,
    published_sizes,
)
from study.costs.measure import about
from study.costs.memory import FORWARD
from study.costs.store import QUIET, Store, disturbance_text, store_path
from study.plans.costs import BACKENDS, EAGER, ONNX, Candidate, load_plan
from study.plots.costs import plot_forms
from study.published import lookup
from study.tables.costs import NOT_MEASURED, cost_pages, form_table, model_table
from study.verdicts import INCONCLUSIVE, MATCH, MET, MISSED, NO_MATCH, NOT_RUN
from tests.fabricated import fabricate_from, fabricate_run

PLAN = load_plan()
# Milliseconds of an image; MedSpectralNet exported is faster than ResNet-18, the light one is not
# twice as fast as MedSpectralNet but exported.
COST = {
    "medspectralnet": (40, 35, 20, 8),
    "medspectralnet_light": (25, 12, 5, 3),
    "resnet18": (30, 28, 18, 6),
    "mobilenet_v2": (15, 11, 4, 2),
}


def rounds(ms_each, n=9):
    return [ms_each * (1 + 0.01 * (k % 3 - 1)) / 1000 for k in range(n)]


@pytest.fixture
def store(results_tree):
    store = Store.open(store_path("cpu", 2), about=about(torch.device("cpu")))
    for model, params, macs in (
        ("medspectralnet", 13_020_000, 1_880_000_000),
        ("swin_tiny", 27_520_000, 4_490_000_000),
        ("resnet18", 11_180_000, 1_810_000_000),
    ):
        store.add("sizes", model=model, image_size=224, params=params, macs=macs)
    seconds = {
        f"{model} {form}": rounds(cost)
        for model, costs in COST.items()
        for form, cost in zip(BACKENDS, costs, strict=True)
    }
    shared = {"image_size": 224, "others": 0.01}
    broken = {k: v for k, v in seconds.items() if k != "medspectralnet compiled"}
    reason = {"medspectralnet compiled": "torch.compile: no compiler | here"}
    store.add("times", group="main latency", batch_size=1, seconds=broken, failed=reason, **shared)
    others = {"resnet18 eager": rounds(60, 3), "swin_tiny eager": rounds(120, 3)}
    store.add("times", group="others 1 latency", batch_size=1, seconds=others, failed={}, **shared)
    store.add("memory", model="resnet18", step=FORWARD, batch_size=1, bytes=80 * 2**20, reason=None)
    exported = {"image_size": 224, "opset": 18, "difference": 2e-6, "scale": 0.5, "reason": None}
    failed = {"image_size": 224} | dict.fromkeys(("opset", "difference", "scale"))
    store.add("exports", model="resnet18", **exported)
    store.add("exports", model="swin_tiny", **failed, reason="no operator")
    protocol = {"recipe": "common", "dataset": "pneumoniamnist", "pretrained": "imagenet"}
    for seed, (eager, int8, lost, gained) in enumerate([(540, 538, 5, 3), (550, 544, 8, 2)]):
        counts = {"eager": eager, "int8": int8, "lost": lost, "gained": gained, "n": 624}
        name = {"run": f"abc_s{seed}", "seed": seed, "model": "resnet18", "image_size": 64}
        store.add("accuracy", **protocol, **counts, **name)
    return store


def ranking_run(model, *, seed=0, wrong, start="none"):
    from study.plans.ranking import load_plan as load_ranking

    config = load_ranking().config("breastmnist", model, start)
    return fabricate_from(replace(config, seed=seed), wrong=wrong, source_size=28)


# --- targets ---


def estimate(value, low, high):
    return Estimate(value, low, high, 9, "")


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [
        (None, NOT_RUN),
        (estimate(0.3, None, None), INCONCLUSIVE),
        (estimate(0.4, 0.3, 0.5), MET),
        (estimate(0.49, 0.4, 0.51), INCONCLUSIVE),
        (estimate(0.6, 0.5, 0.7), INCONCLUSIVE),
        (estimate(0.6, 0.51, 0.7), MISSED),
    ],
)
def test_a_target_needs_the_whole_interval(ratio, verdict):
    assert judge_target(ratio, 0.5) == verdict


def test_targets_are_ratios_of_one_group(store):
    found = {(j.target.title, j.batch_size): j for j in judge_targets(store, PLAN)}
    titles = [target.title for target in PLAN.targets]
    first, eager, exported = (found[title, 1] for title in titles)
    assert first.ratio.value == pytest.approx(20 / 30) and first.verdict == MET
    assert eager.ratio.value == pytest.approx(25 / 40) and eager.verdict == MISSED
    assert exported.ratio.value == pytest.approx(5 / 20) and exported.verdict == MET
    assert {found[title, 64].verdict for title in titles} == {NOT_RUN}


# --- sizes ---


def test_printed_sizes_beside_counted(store):
    found = {(s.row, s.quantity): s for s in published_sizes(store, PLAN)}
    own = found["MedSpectralNet", "params"]
    printed = lookup(paper="B", table="Fig. 14", row="MedSpectralNet", column="params")
    assert own.published == printed and own.count == pytest.approx(13.02)
    assert own.verdict == NO_MATCH == found["MedSpectralNet", "flops"].verdict
    assert found["Swin-T", "params"].verdict == MATCH == found["Swin-T", "flops"].verdict
    assert found["VMamba-T", "params"].verdict == NOT_RUN  # not counted in this store
    nest = found["Nest-Tiny", "params"]
    assert replace(nest, count=10.0).verdict == ""  # no number is printed
    bound = found["ResNet-50", "flops"]
    assert replace(bound, count=4.1).verdict == MATCH
    assert replace(bound, count=3.9).verdict == NO_MATCH


# --- accuracy ---


def test_accuracy_is_that_of_table_3s_protocol_or_else_of_common(store):
    ranking_run("resnet18", wrong=20)
    fabricate_run(model="resnet18", pretrained="none", wrong=30)
    fabricate_run(model="mobilenet_v2", pretrained="none", wrong=40, epochs=15)
    groups = group_runs(list_runs())
    wanted = {"dataset": "breastmnist", "start": "none"}
    assert accuracy_group(groups, model="resnet18", **wanted).config["recipe"] == "ranking"
    assert accuracy_group(groups, model="mobilenet_v2", **wanted).config["recipe"] == "common"
    assert accuracy_group(groups, model="swin_tiny", **wanted) is None
    other = accuracy_group(groups, model="resnet18", dataset="breastmnist", start="imagenet")
    assert other is None


def test_points_are_what_was_measured(store):
    ranking_run("resnet18", wrong=39)
    ranking_run("swin_tiny", wrong=20)
    fabricate_run(model="medspectralnet", pretrained="none", epochs=15)  # another protocol
    groups = group_runs(list_runs())
    wanted = {"dataset": "breastmnist", "start": "none"}
    found = points(store, PLAN, groups, cost="latency", **wanted)
    # The first group with a network gives its time: ResNet-18's is not that of the other group.
    assert [(p.title, p.cost) for p in found] == [
        ("ResNet-18", pytest.approx(30)),
        ("Swin-T", pytest.approx(120)),
    ]
    assert found[0].accuracy == pytest.approx(1 - 39 / 156)
    assert found[0].low < found[0].accuracy < found[0].high
    assert [p.cost for p in points(store, PLAN, groups, cost="params", **wanted)] == [11.18, 27.52]
    exported = points(store, PLAN, groups, cost="exported", **wanted)
    assert [p.title for p in exported] == ["ResNet-18"]


def test_published_points_are_verified_ones():
    found = {p.title: p for p in published_points("breastmnist", "params")}
    assert found["MedSpectralNet (paper)"].cost == 8.5
    assert found["MedSpectralNet (paper)"].accuracy == pytest.approx(0.865)
    assert "MedViT-T (paper)" not in found  # quoted from memory
    assert all(p.published and p.low is None for p in found.values())
    assert published_points("breastmnist", "latency") == []


def test_integers_over_all_seeds(store):
    (found,) = int8_findings(store)
    assert (found.seeds, found.n, found.model) == (2, 624, "resnet18")
    assert found.drop == pytest.approx((1090 - 1082) / 1248)
    assert found.changed.value == pytest.approx(18 / 1248) and found.changed.low > 0


# --- the front ---

systems = st.lists(
    st.builds(
        Point, st.just("x"), st.integers(1, 6).map(float), st.integers(0, 5).map(lambda k: k / 5)
    ),
    min_size=1,
    max_size=12,
)


def beats(a, b):
    return (
        a.cost <= b.cost
        and a.accuracy >= b.accuracy
        and (a.cost, a.accuracy) != (b.cost, b.accuracy)
    )


@given(systems)
def test_nobody_beats_the_front_and_the_front_beats_the_rest(found):
    front = pareto_front(found)
    assert front
    assert not any(beats(a, b) for b in front for a in found)
    assert all(any(beats(a, b) for a in front) for b in found if b not in front)


@given(systems)
def test_along_the_front_accuracy_rises_with_cost(found):
    front = list(dict.fromkeys((p.cost, p.accuracy) for p in pareto_front(found)))
    assert front == sorted(front)
    assert [accuracy for _, accuracy in front] == sorted({accuracy for _, accuracy in front})


@given(systems, st.randoms())
def test_the_front_does_not_depend_on_the_order(found, random):
    mixed = random.sample(found, len(found))
    assert sorted(pareto_front(mixed), key=repr) == sorted(pareto_front(found), key=repr)


# --- tables ---


def cell(table, row, title):
    (found,) = [line for line in table.cells if line[0] == row]
    return found[table.head.index(title)]


def test_memory_or_why_not(store):
    store.add("memory", model="nest_tiny", step=FORWARD, batch_size=1, bytes=None, reason="killed")
    table = model_table(store, PLAN, [])
    title = "memory of a forward pass, MiB"
    assert cell(table, "ResNet-18", title) == "80"
    assert cell(table, "Nest-Tiny", title) == "killed"
    assert cell(table, "Swin-T", title) == NOT_MEASURED


def test_throughput_is_that_of_a_batch(store):
    seconds = {"nest_tiny eager": [1.0, 2.0, 4.0]}
    place = {"image_size": 224, "batch_size": 64, "others": 0.01, "failed": {}}
    store.add("times", group="throughput", seconds=seconds, **place)
    table = model_table(store, PLAN, [])
    title = "images per second, 64 at a time"
    assert cell(table, "Nest-Tiny", title) == "32 (21.3 to 42.7), n = 3"
    assert cell(table, "Swin-T", title) == NOT_MEASURED


def test_a_form_that_failed_says_why_once(store):
    (line,) = [x for x in form_table(store, PLAN).cells if x[:2] == ["MedSpectralNet", "compiled"]]
    assert line[2:] == ["torch.compile: no compiler | here", "", "", ""]


def test_times_of_a_busy_machine_are_provisional(store):
    assert disturbance_text(store).startswith("Other processes took at most 1%")
    place = {"image_size": 64, "batch_size": 1, "seconds": {}, "failed": {}}
    store.add("times", group="late", others=QUIET + 0.2, **place)
    assert disturbance_text(store).startswith("**Provisional times**")


def test_the_page(store):
    ranking_run("resnet18", wrong=20)
    files = cost_pages(group_runs(list_runs())).files
    page = files["efficiency.md"]
    for heading in ("Targets", "Table 4", "All networks, 224 px", "Forms", "Export", "8-bit"):
        assert f"### {heading}" in page or f"### Paper B's {heading}" in page or heading in page
    line = next(x for x in page.splitlines() if x.startswith("| ResNet-18 | 11.18 | 1.81 | 80 |"))
    assert "30.0 (29.7 to 30.3)" in line and "87.2 (n = 1)" in line and NOT_RUN in line
    swin = next(x for x in page.splitlines() if x.startswith("| Swin-T | 27.52"))
    # Its ratio is to ResNet-18 in its own group, not to the faster one of the main group.
    assert "2.00, n = 3" in swin and "does not export" in swin
    assert "| Swin-T | no |  | no operator |" in page
    assert "torch.compile: no compiler \\| here" in page
    assert "| ResNet-18 | pneumoniamnist | 64 px | 2 x 624 | 87.3 | 86.7 | -0.6 |" in page
    table = files["efficiency.csv"].splitlines()
    assert len(table) == 1 + 15 + 1 and table[0].startswith("device,model,form")


def test_the_readme(store):
    text = cost_pages([]).block
    assert "| MedSpectralNet | parameters, M | 8.5 | 13.02 | +53% |" in text
    assert "/tmp" not in text


def test_nothing_measured(results_tree):
    assert cost_pages([]).files == {}
    assert cost_pages([]).block == "Not measured yet: `python -m study costs`."


# --- pictures ---


def test_bars_are_medians(store, axes):
    plot_forms(store, PLAN, batch_size=1, axes=axes)
    heights = sorted(round(patch.get_height(), 6) for patch in axes.patches)
    expected = sorted(float(cost) for costs in COST.values() for cost in costs)
    expected.remove(35.0)  # MedSpectralNet is not compiled
    assert heights == pytest.approx(expected)
    reference = store.times(Candidate("resnet18", EAGER), image_size=224, batch_size=1)
    assert any(line.get_ydata()[0] == pytest.approx(1000 * reference.median) for line in axes.lines)
    assert store.times(Candidate("swin_tiny", ONNX), image_size=224, batch_size=1) is None
