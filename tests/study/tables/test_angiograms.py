"""Paper A's tables: what runs they show, what they say of them, and what stands where none ran."""

import io
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from helpers.runs.groups import group_runs, is_real
from helpers.runs.store import list_runs
from study.plans.comparisons import load_plan
from study.table import interval
from study.tables.angiograms import angiogram_pages, reached
from study.words import protocol_text
from tests.fabricated import fabricate_from, fabricate_run, fabricate_seeds

DATASET = "cag:arcade_patches/subset800"


def course(accuracies):
    """The course of a training whose epochs take 10, 11, 12, ... seconds."""
    return [
        {
            "epoch": i + 1,
            "stage": "high",
            "train_loss": 0.5,
            "train_accuracy": 0.5 + 0.1 * i,
            "val_loss": 0.5,
            "val_accuracy": accuracy,
            "val_auc": 0.8 + 0.01 * i,
            "learning_rate": 2e-4,
            "learning_rate_end": 1e-3 * (i + 1),
            "seconds": 10.0 + i,
        }
        for i, accuracy in enumerate(accuracies)
    ]


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    """A store with runs of the framework, without its focal term, of ResNet18, stops and noise."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPRO_RESULTS", str(folder))
        plan = load_plan()
        pairs = {(f.name, p.name): p for f in plan.families for p in f.pairs}
        focal, plain = pairs["ablation", "focal"], pairs["table4", "over_resnet18"]
        stop = pairs["stopping", "at_target"]
        for config, wrong in ((focal.a, 15), (focal.b, 16), (plain.b, 50)):
            fabricate_seeds(config, wrong=wrong)
        for seed, accuracies in enumerate([(0.6, 0.92), (0.6, 0.7, 0.7)]):
            config = replace(stop.a, seed=seed)
            fabricate_from(config, wrong=20, history=course(accuracies))
            config = replace(stop.b, seed=seed)
            fabricate_from(config, wrong=30, history=course((*accuracies, 0.8, 0.8)))
        for name in ("undamaged", "noise_20"):
            pair = pairs["robustness", name]
            fabricate_from(replace(pair.a, seed=0), wrong=20 if name == "undamaged" else 40)
        # What must not enter: the quick profile, even astray, and another set of angiograms.
        quick = fabricate_from(replace(pairs["ablation", "sampling"].b, profile="quick"))
        target = folder / "runs" / quick.path.relative_to(folder / "quick" / "runs")
        target.parent.mkdir(parents=True, exist_ok=True)
        quick.path.rename(target)
        fabricate_run("cag:patches", "brain_inspired_resnet18", recipe="brain_inspired", epochs=9)
        return group_runs(filter(is_real, list_runs()))


@pytest.fixture(scope="module")
def files(groups):
    return angiogram_pages(groups, load_plan()).files


def line_of(text, start):
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {start} |")]
    return [cell.strip() for cell in line.strip("|").split(" |")]


def csv_of(files, name):
    return pd.read_csv(io.StringIO(files[name]))


# --- nothing ran ---------------------------------------------------------------------------------


def test_where_nothing_ran_every_row_says_so():
    files, block = angiogram_pages([], load_plan())
    assert set(files) == {
        f"cag_{name}.{kind}"
        for name in ("ablation", "table4", "table1", "robustness")
        for kind in ("md", "csv")
    }
    for name in ("ablation", "robustness"):
        assert set(csv_of(files, f"cag_{name}.csv")["verdict"]) == {"not run"}
    assert csv_of(files, "cag_table4.csv")["accuracy_mean"].isna().all()
    assert csv_of(files, "cag_table1.csv")["mean"].isna().all()
    for name, text in files.items():
        if name.endswith(".md"):
            assert "No run of the paper profile on real images is stored yet." in text
            assert "not run" in text
    pairs = [pair for family in load_plan().families for pair in family.pairs]
    assert block.count("not run") == 2 * 5 + len(pairs), "each system, each comparison"


# --- comparisons ---------------------------------------------------------------------------------


def test_the_ablation_shows_numbers_protocols_and_verdict(files):
    line = line_of(files["cag_ablation.md"], "The focal term")
    assert line[1].startswith("focal loss directs ")
    assert line[2:5] == [
        "brain_inspired_resnet18, brain_inspired",
        "brain_inspired_resnet18, brain_inspired, focal_gamma 0.0",
        "n = 5",
    ]
    assert line[9].startswith("+0.8 ("), "one image of 120 in each seed"
    assert line[11] == "inconclusive"
    assert re.fullmatch(r"\d+ %", line[12])
    table = csv_of(files, "cag_ablation.csv").set_index("comparison")
    row = table.loc["focal"]
    ends = (row.auc_difference, row.auc_low, row.auc_high)
    assert line[7] == interval(*ends, spec="+.3f")
    assert (row.seeds, row.n_seeds, row.n_test_images) == ("0 1 2 3 4", 5, 120)
    assert row.accuracy_difference == pytest.approx(1 / 120, abs=1e-4)
    assert table.loc["all_parts"].verdict == "shown"
    whole = table.loc["all_parts"]
    assert whole.p_auc_holm == pytest.approx(8 * whole.p_auc, abs=5e-8)  # of eight decimals


def test_quick_runs_and_other_angiograms_do_not_enter(files, groups):
    table = csv_of(files, "cag_ablation.csv").set_index("comparison")
    assert table.loc["sampling"].verdict == "not run"
    # Three protocols of five seeds, and the linear head's one.
    assert "\n\n16 runs on real images;" in files["cag_ablation.md"]
    others = [group for group in groups if group.config["dataset"] != DATASET]
    assert others, "they are stored"
    alone = angiogram_pages(others, load_plan()).files
    assert alone == angiogram_pages([], load_plan()).files


# --- Table 4 -------------------------------------------------------------------------------------


def test_systems_stand_beside_the_published_ones(files):
    imagenet, scratch = files["cag_table4.md"].split("## Trained from scratch")
    line = line_of(imagenet.split("| what A has")[0], "Brain-Inspired Hybrid")
    accuracies = 100 * (1 - np.arange(15, 20) / 120)
    assert line[2:5] == ["n = 5", "", "12.3 (11.4)"]
    assert line[5] == f"{accuracies.mean():.1f} ± {accuracies.std(ddof=1):.1f} (85.00)"
    assert re.fullmatch(r"\d\d\.\d to \d\d\.\d", line[6])
    assert line[7].endswith("(0.9372)")
    low, high = map(float, line[8].split(" to "))
    assert low < float(line[7].split()[0]) < high
    assert line[9].endswith("(0.8657)")
    assert line[10].endswith("(96.67)")
    assert line_of(imagenet, "ResNet34")[2] == "not run"
    assert line_of(scratch.split("| what A has")[0], "Brain-Inspired Hybrid")[2] == "not run"
    table = csv_of(files, "cag_table4.csv").set_index(["pretrained", "system"])
    row = table.loc["imagenet", "Brain-Inspired Hybrid"]
    assert row.accuracy_mean == pytest.approx(accuracies.mean() / 100, abs=1e-4)
    assert row.accuracy_low < row.accuracy_mean < row.accuracy_high
    assert row.published_accuracy == 0.85
    assert table.loc["none", "ResNet18"].n_seeds == 0


def test_no_number_gets_a_verdict_but_gains_do(files):
    imagenet = files["cag_table4.md"].split("## Trained from scratch")[0]
    systems = imagenet.split("| what A has")[0]
    assert "reproduced |" not in systems
    gains = imagenet.split("Printed gains beside ours:")[1]
    accuracy, auc = [line for line in gains.splitlines() if "a plain ResNet18" in line]
    assert "| +8.33 | +29.2 (" in accuracy
    assert re.search(r"\| shown \| \d+ % \| other images, no verdict \|$", accuracy)
    assert "| +0.0919 | +0." in auc
    assert re.search(r"\| shown \| \d+ % \| other images, no verdict \|$", auc)
    assert sum("| not run |" in line for line in gains.splitlines()) == 2


# --- Table 1 -------------------------------------------------------------------------------------


def table1_of(files):
    table = csv_of(files, "cag_table1.csv")
    return table[~table.cycle_momentum].set_index(["row", "quantity"])


def test_the_course_stands_beside_the_printed_one(files):
    text = files["cag_table1.md"].split("## The target")[0]
    third = line_of(text, "3")
    # Runs that go on: both seeds have a third epoch, validation accuracy .8 and .7.
    assert third[1] == "n = 2"
    assert third[2:4] == ["77.10", "70.0 ± 0.0"]
    assert third[4:6] == ["81.82", "75.0 ± 7.1"]
    assert third[6:8] == ["0.9153", "0.820 ± 0.000"]
    assert third[8:] == ["2.62e-3", "3.00e-3"]
    table = table1_of(files)
    assert table.loc[("epoch 3", "learning_rate"), "published"] == 0.00262
    assert table.loc[("epoch 3", "val_accuracy"), "mean"] == pytest.approx(0.75)


def test_the_target_is_reached_or_not(files):
    text = files["cag_table1.md"].split("## The target")[1].split("## The first epochs")[0]
    assert line_of(text, "paper")[1:] == ["4", "132", "85.0", ""]
    assert line_of(text, "0")[1:] == ["2", "21", "83.3", "75.0"]
    assert line_of(text, "1")[1:3] == ["not reached", ""]
    assert "| 33 | 10.8 ± 0.4 | n = 2 |" in files["cag_table1.md"]
    table = table1_of(files)
    assert table.loc[("seed 0", "epochs_to_target"), "mean"] == 2
    assert table.loc[("seed 1", "epochs_to_target"), "n_seeds"] == 0
    assert "too few seeds" in text


def test_reaching_a_target_takes_the_first_epoch_at_it():
    history = course((0.5, 0.9, 0.95))
    assert reached(history, 0.9) == (2, 21)
    assert reached(history, 0.96) == (None, None)


# --- robustness ----------------------------------------------------------------------------------


def test_what_damage_costs_is_paired_with_the_undamaged_runs(files):
    costs = files["cag_robustness.md"].split("## What the damage costs")[1]
    noise = line_of(costs, "noise 20")
    assert re.fullmatch(r"-0\.\d{3} \(-0\.\d{3} to [-+]0\.\d{3}\), n = 1", noise[1])
    assert noise[2] == "not run"
    assert line_of(costs, "imbalance 4")[1:] == ["not run", "not run"]


# --- words, README --------------------------------------------------------------------


def test_a_protocol_is_written_with_what_departs_from_its_recipe():
    plan = load_plan()
    pair = {p.name: p for p in plan.family("ablation").pairs}["plasticity"]
    assert protocol_text(pair.a) == "brain_inspired_resnet18, brain_inspired"
    assert protocol_text(pair.b).endswith(", plasticity all, warmup_epochs 0")


def test_the_readme_has_systems_and_all_comparisons(groups):
    block = angiogram_pages(groups, load_plan()).block
    imagenet, scratch = block.split("Trained from scratch**")
    assert line_of(imagenet, "ResNet18")[3:] == ["n = 5", "76.67", "0.8453"]
    focal = line_of(scratch, "The focal term")
    assert focal[3:5] == ["n = 5", "inconclusive"]
    assert re.fullmatch(r"\d+ %", focal[5])
    assert all(p.title in block for family in load_plan().families for p in family.pairs)
