"""Replicas: listed beside their run, counted as draws, their scatter beside that of seeds."""

import math

import numpy as np
import pytest
from scipy import stats

from helpers.metrics import intervals
from helpers.metrics.scores import evaluate
from helpers.runs import checks, replicas
from helpers.runs.groups import group_runs, paired_scores
from helpers.runs.run import is_replica
from helpers.runs.store import (
    RunError,
    find_run,
    list_replicas,
    list_runs,
    list_unreadable,
    load_run,
    replica_dir,
    run_id,
    write_run,
)
from study.tables import replicas as replica_tables
from tests.fabricated import fabricate_run

ELSEWHERE = {"processor": "Other (family 6)", "instruction_set": "avx2", "threads": 1}


def make_replica(run, *, wrong, seed=100, **env):
    """Store a replica whose accuracy on the test split is exactly 1 - wrong / n."""
    rng = np.random.default_rng(seed)
    found = {}
    for split in ("val", "test"):
        labels, probabilities = run.predictions(split)
        right = np.eye(probabilities.shape[1])[labels]
        mistaken = rng.choice(len(labels), min(wrong, len(labels)), replace=False)
        right[mistaken] = right[mistaken][:, ::-1]
        scores = right + rng.uniform(0, 0.9, right.shape)
        found[f"{split}_y_true"] = labels
        found[f"{split}_probabilities"] = scores / scores.sum(axis=1, keepdims=True)
    record = dict(run.record)
    record["env"] = run.record["env"] | ELSEWHERE | env
    record["metrics"] = {
        split: {
            name: value.to_dict()
            for name, value in evaluate(
                found[f"{split}_y_true"], found[f"{split}_probabilities"], n_resamples=20
            ).items()
        }
        for split in ("val", "test")
    }
    return write_run(replica_dir(run, record["env"]), record, found)


@pytest.fixture
def runs(results_tree):
    return [fabricate_run(seed=seed, wrong=20 + seed) for seed in range(4)]


# --- the store ------------------------------------------------------------------------------------


def test_replicas_lie_beside_their_run_and_in_no_list_of_runs(runs):
    first = make_replica(runs[0], wrong=30)
    second = make_replica(runs[0], wrong=31, threads=2)
    assert {r.path for r in list_replicas(runs[0])} == {first.path, second.path}
    assert list_replicas(runs[1]) == list_replicas(first) == []
    assert [run.path for run in list_runs()] == sorted(run.path for run in runs)
    assert is_replica(first) and not is_replica(runs[0])
    assert first.config == runs[0].config
    assert len(group_runs(list_runs())) == 1


def test_a_kind_of_machine_has_one_replica_which_is_never_overwritten(runs):
    replica = make_replica(runs[0], wrong=30)
    before = (replica.path / "run.json").read_bytes()
    with pytest.raises(RunError, match="stored already"):
        make_replica(runs[0], wrong=40)
    assert (replica.path / "run.json").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "value"), [("processor", "P"), ("threads", 3), ("torch", "3"), ("portable", True)]
)
def test_what_changes_sums_is_another_machine(runs, name, value):
    env = runs[0].record["env"]
    assert replica_dir(runs[0], env | {name: value}) != replica_dir(runs[0], env)


def test_what_changes_no_sum_is_the_same_machine(runs):
    env = runs[0].record["env"]
    same = env | {"python": "3.12.1", "portable": False}
    assert replica_dir(runs[0], same) == replica_dir(runs[0], env)


def test_a_replica_is_found_by_its_name(runs):
    replica = make_replica(runs[2], wrong=30)
    name = run_id(replica)
    assert name == f"{run_id(runs[2])}/replicas/{replica.path.name}"
    assert find_run(name).path == replica.path
    assert find_run("/".join(name.split("/")[-3:])).path == replica.path
    with pytest.raises(RunError, match="no run in"):
        find_run(f"{run_id(runs[2])}/replicas/0123456789")
    wanted = dict.fromkeys(checks.PARAMETERS, None) | {"profile": "paper", "run": name}
    assert checks.open_run(wanted).path == replica.path
    assert [r.path for r in checks.seeds_of(replica)] == [r.path for r in runs]


# --- scatter --------------------------------------------------------------------------------------


def test_a_seed_that_fixes_all_has_no_scatter_between_processors():
    found = replicas.scatter([0.7, 0.8, 0.9], [0.75, 0.85, 0.95])
    assert found.by_processors == pytest.approx(0, abs=1e-12)
    assert found.by_seeds == pytest.approx(0.1)
    assert (found.shift, found.largest) == pytest.approx((0.05, 0.05))


def test_a_seed_that_fixes_nothing_has_the_scatter_of_seeds():
    rng = np.random.default_rng(0)
    stored, again = rng.normal(0.8, 0.02, (2, 20_000))
    found = replicas.scatter(stored.tolist(), again.tolist())
    assert found.by_seeds == pytest.approx(0.02, rel=0.03)
    assert found.by_processors == pytest.approx(0.02, rel=0.03)
    assert found.n_pairs == 20_000


def test_undefined_values_leave_their_pair_out():
    found = replicas.scatter([0.7, None, 0.9, 0.8], [0.8, 0.9, None, 0.8])
    assert found.n_pairs == 2 and found.shift == pytest.approx(0.05)
    assert found.by_processors == pytest.approx(np.std([0.1, 0], ddof=1) / math.sqrt(2))
    assert replicas.scatter([None], [0.9]) == replicas.Scatter(0, None, None, None, None)
    one = replicas.scatter([0.7], [0.9])
    assert one.by_seeds is None and one.by_processors is None and one.largest == pytest.approx(0.2)


def test_unpaired_values_are_refused():
    with pytest.raises(ValueError, match="got 2 and 1 values"):
        replicas.scatter([0.7, 0.8], [0.7])


def test_one_more_draw_lies_within_its_interval_as_often_as_it_says():
    values = np.random.default_rng(1).normal(0, 1, (4000, 5))
    within = 0
    for row in values:
        low, high = replicas.one_more(row[:4].tolist())
        within += low <= row[4] <= high
    assert stats.binomtest(within, len(values), 0.95).pvalue > 0.001
    assert replicas.one_more([0.7, 0.8, None]) is None


# --- what the study takes -------------------------------------------------------------------------


def test_a_replica_counts_as_a_draw(runs):
    replica = make_replica(runs[1], wrong=30)
    assert [d.path for d in replicas.draws(runs)] == [
        runs[0].path,
        runs[1].path,
        replica.path,
        runs[2].path,
        runs[3].path,
    ]
    assert [(a.path, b.path) for a, b in replicas.pairs_of(runs)] == [(runs[1].path, replica.path)]


def test_replicas_enter_mean_interval_and_difference_alike(runs):
    make_replica(runs[1], wrong=36)
    other = [fabricate_run(model="resnet18", seed=seed, wrong=15 + 3 * seed) for seed in range(4)]
    ours, plain = (group_runs(members)[0] for members in (runs, other))
    wrong = [156 * (1 - run.record["metrics"]["test"]["accuracy"]["value"]) for run in runs]
    by_seed = [wrong[0], (wrong[1] + 36) / 2, *wrong[2:]]
    mean, sd = ours.mean_and_sd(lambda run: replicas.metric_of(run, "accuracy"))
    assert mean == pytest.approx(1 - np.mean(by_seed) / 156) == ours.accuracy.value
    assert ours.values("accuracy") == pytest.approx([1 - w / 156 for w in by_seed])
    assert sd == pytest.approx(np.std([*wrong, 36], ddof=1) / 156)
    a, b, of_seed = paired_scores(ours, plain, "accuracy")
    assert of_seed == [0, 1, 1, 2, 3] and b.values[1] == b.values[2]
    apart = intervals.mean(intervals.less(a, b), groups=of_seed)
    assert apart.value == pytest.approx(mean - plain.accuracy.value)
    assert paired_scores(plain, plain, "accuracy")[2] is None


def test_a_processor_that_gives_the_same_answers_to_the_bit_is_no_further_draw(runs):
    first = make_replica(runs[0], wrong=30)
    twin = make_replica(runs[0], wrong=30, processor="Third (family 6)")
    other = make_replica(runs[0], wrong=30, seed=101, processor="Fourth (family 6)")
    assert len(list_replicas(runs[0])) == 3
    found = {r.path for r in replicas.distinct_replicas(runs[0])}
    assert len(found) == 2 and other.path in found and found & {first.path, twin.path}
    assert len(replicas.draws(runs)) == len(runs) + 2
    # Replicas of one seed say nothing of the scatter of seeds.
    assert replica_tables.replica_files(group_runs(list_runs())) == {}


def test_a_replica_is_described_beside_the_seeds(runs):
    near, far = make_replica(runs[0], wrong=22), make_replica(runs[1], wrong=90)
    lines = replicas.describe(near, runs)
    assert "Other (family 6) with torch 2.15.0 and 1 thread(s)" in lines[0]
    assert any(line.startswith("test accuracy: 0.859, stored 0.872; within") for line in lines)
    assert any(
        line.startswith("test accuracy: 0.423, stored 0.865; outside")
        for line in replicas.describe(far, runs)
    )
    few = replicas.describe(near, runs[:2])
    assert all("2 seed(s) are stored, too few" in line for line in few[2:])


def test_the_table_pools_variances_over_protocols(runs):
    assert replica_tables.replica_files(group_runs(list_runs())) == {}
    for run, wrong in zip(runs, (30, 22, 41, 25), strict=True):
        make_replica(run, wrong=wrong)
    others = [fabricate_run(model="resnet18", seed=s, wrong=15 + 3 * s) for s in range(3)]
    for run, wrong in zip(others, (20, 10, 28), strict=True):
        make_replica(run, wrong=wrong)
    groups = group_runs(list_runs())
    table = replica_tables.scatter_table(groups).set_index(["protocol", "metric"])
    parts = table.xs("accuracy", level="metric")
    expected = replicas.scatter(
        [1 - w / 156 for w in (15, 18, 21)], [1 - w / 156 for w in (20, 10, 28)]
    )
    row = parts[parts.index.str.contains("resnet18")].iloc[0]
    assert row["by_processors"] == pytest.approx(expected.by_processors)
    single = parts.drop("all")
    pooled = math.sqrt(np.average(single["by_seeds"] ** 2, weights=single["n_pairs"] - 1))
    assert parts.loc["all", "by_seeds"] == pytest.approx(pooled)
    assert parts.loc["all", "n_pairs"] == 7
    files = replica_tables.replica_files(groups)
    assert (
        "Other (family 6)" in files["replicas.md"] and "| all | AUC | 7 |" in files["replicas.md"]
    )
    assert files["replicas.csv"].startswith("protocol,metric,n_pairs,by_seeds,by_processors")


def test_a_damaged_replica_is_named(runs):
    replica = make_replica(runs[0], wrong=30)
    (replica.path / "run.json").write_text("{")
    with pytest.raises(RunError, match="not valid JSON"):
        list_replicas(runs[0])
    assert load_run(runs[0].path).record == runs[0].record


@pytest.mark.parametrize("name", ["run.json", "predictions.npz"])
def test_a_damaged_replica_stops_no_reader_of_many_runs(runs, capsys, name):
    whole, damaged = make_replica(runs[0], wrong=30), make_replica(runs[1], wrong=31)
    (damaged.path / name).write_text("{")
    assert [r.path for r in replicas.draws(runs) if is_replica(r)] == [whole.path]
    said = capsys.readouterr().err
    assert said.count("left out: ") == 1 and f"{run_id(damaged)}: cannot read {name}" in said
    assert replica_tables.replica_files(group_runs(list_runs())) is not None
    (reason,) = list_unreadable().items()
    assert reason[0] == run_id(damaged) and "move the folder away" in reason[1]
