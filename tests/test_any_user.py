"""Data of anybody: names, paths, terminals, splits and numbers of classes that are not ours."""

import os
import re
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

from helpers.data.datasets import load_if_there
from helpers.data.splits import Split, Splits, largest_against_rest
from helpers.paths import repo_root
from helpers.plots import data as data_plots
from helpers.plots import figures, style
from helpers.runs.experiment import config_from_parameters
from helpers.runs.groups import group_runs
from helpers.runs.store import load_run, run_dir, write_run
from study.report.page import render
from tests.fabricated import fabricate_run

HARD_NAMES = (
    "gain $_$",
    "5$ or 6$",
    "a_b^c%",
    "$a$",
    r"\$x",
    "two\nlines",
    "狭窄",
    "{x}",
    "$\\frac$",
)


def many(num_classes, channels=1, n=12, names=None):
    rng = np.random.default_rng(0)

    def split(k):
        labels = np.arange(k * num_classes) % num_classes
        images = rng.integers(0, 255, (len(labels), 28, 28, channels), dtype=np.uint8)
        return Split(images=images, labels=labels.astype(np.int64))

    names = names or tuple(f"class {k}" for k in range(num_classes))
    return Splits("toy", split(n), split(2), split(2), class_names=names, source="toy")


def one_class(results_tree, where=("val",), seed=0, profile="paper"):
    """A stored run whose metrics of some splits are undefined, as the loop stores them."""
    run = fabricate_run("cag:one_class", seed=seed, epochs=2, wrong=3, profile=profile)
    record = {k: v for k, v in run.record.items() if k != "schema"}
    undefined = {"value": None, "low": None, "high": None}
    for split in where:
        for name in ("auc", "average_precision", "sensitivity", "ppv", "f1"):
            record["metrics"][split][name] |= undefined
    for epoch in record["history"]:
        epoch["val_auc"] = None
    record["selection"]["value"] = None
    predictions = dict(np.load(run.path / "predictions.npz"))
    for split in where:
        predictions[f"{split}_y_true"] *= 0
    (run.path / "run.json").unlink()
    return write_run(run.path, record, predictions)


@pytest.fixture(autouse=True)
def figures_are_closed():
    yield
    plt.close("all")


@pytest.mark.parametrize("where", [("val",), ("test",), ("val", "test")])
def test_a_report_takes_a_run_whose_auc_is_undefined(results_tree, where):
    fabricate_run(seed=0, profile="quick")
    run = one_class(results_tree, where, profile="quick")
    html = render("quick")
    assert "cag:one_class" in html and ("undefined" in html) == ("test" in where)
    assert (group_runs([load_run(run.path)])[0].values("auc") == [None]) == ("test" in where)


@pytest.mark.parametrize("name", ["roc", "precision_recall", "reliability", "training"])
def test_figures_of_undefined_values(results_tree, name):
    figures.draw(name, one_class(results_tree, ("val", "test"))).canvas.draw()


def test_a_damaged_run_is_listed_in_the_report_and_blocks_no_other(results_tree, capsys):
    fabricate_run(seed=0)
    bad = fabricate_run(seed=1)
    (bad.path / "run.json").write_text("{")
    html = render("paper")
    assert "Left out: " in html and bad.path.name in html


@pytest.mark.parametrize("name", HARD_NAMES)
def test_names_are_drawn_as_they_are(results_tree, name):
    names = (name, "plain")
    splits = many(2, names=names)
    with style.style():
        figure = data_plots.plot_samples(splits.train, names, title=name)
        figure.canvas.draw()
        shown = style.plain(name)
        text = figure.text(0, 0, shown)
        drawn, math = text._preprocess_math(shown)
        assert not math and drawn == name.replace("\n", " ")
    run = fabricate_run(f"cag:{name.replace(chr(10), ' ')}", classes=names, wrong=5)
    for kind in ("confusion_matrix", "roc", "precision_recall"):
        figures.draw(kind, run).canvas.draw()
    figures.draw_overview([run]).canvas.draw()


def test_letters_without_a_font_are_said_once(capsys, monkeypatch):
    monkeypatch.setattr(style, "_SAID", [])
    for _ in range(2):
        style.plain("\U0001f9ff and \u1bc0")
    assert capsys.readouterr().out.count("No installed font") <= 1


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_name_that_the_terminal_lacks_is_escaped(encoding):
    code = (
        "from helpers.terminal import escape_unshowable; escape_unshowable(); import sys; "
        "print('日本.txt'); print('狭窄', file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(repo_root())},
        capture_output=True,
    )
    assert done.returncode == 0 and rb"\u65e5" in done.stdout and rb"\u72ed" in done.stderr


def test_every_command_escapes_what_it_cannot_show():
    packages = [repo_root() / name for name in ("helpers", "study", "benchmarks")]
    files = [file for package in packages for file in package.rglob("*.py")]
    commands = [file for file in files if "\ndef main(" in file.read_text()]
    assert len(commands) > 8
    said = re.compile(r"escape_unshowable\(\)|^@command$", re.MULTILINE)
    assert not [p.name for p in commands if not said.search(p.read_text())]


@pytest.mark.parametrize("num_classes", [2, 3, 14])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_largest_class_against_the_rest(num_classes, channels):
    splits = many(num_classes, channels)
    binary = largest_against_rest(splits)
    assert binary.class_names == ("all others", "class 0")
    np.testing.assert_array_equal(binary.test.labels, splits.test.labels == 0)
    assert binary.train.labels.dtype == np.int64


def test_data_that_something_can_do_without(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("REPRO_DATA", str(tmp_path))
    assert load_if_there("npz:nowhere") is None
    assert "left out, since npz:nowhere cannot be had here" in capsys.readouterr().out


def test_phantom_runs_go_to_their_own_tree(results_tree):
    values = {
        "recipe": "common",
        "dataset": "phantom",
        "model": "mobilenet_v2",
        "seed": 0,
        "pretrained": "none",
        "profile": "paper",
    }
    config = config_from_parameters(values)
    assert config.profile == "phantom" and run_dir(config).is_relative_to(results_tree / "phantom")
