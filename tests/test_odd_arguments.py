"""What nobody means to say: every command and every parameter answers it in one line."""

import math
import subprocess
import sys

import pytest

import benchmarks.coverage
import benchmarks.heads
from benchmarks import common
from helpers.config import TRAIN_PARAMETERS, ConfigError, make_config
from helpers.data.datasets import load_dataset
from helpers.paths import given_path, repo_root
from helpers.plots import figures
from helpers.predict import __main__ as predict
from helpers.runs import matrix, tuning, weights
from study import __main__ as study
from tests.fabricated import fabricate_run

ODD = ("", " ", "~", "~nobody_here/x", "no/such", "a\nb", "-1", "nan", "1e999", "9" * 40, "{x}$_%")
HERE = str(repo_root())  # a folder where a file or a run is meant
FILE = str(repo_root() / "README.md")


def refused(call, arguments, capsys):
    """Call a command; it must end with a status and a line on stderr that says why."""
    try:
        status = call(arguments)
    except SystemExit as stopped:  # argparse: its usage goes before the line
        status = stopped.code
    said = capsys.readouterr().err
    assert status in (1, 2), (arguments, status)
    reason = said.strip().splitlines()[-1]
    assert "error: " in reason and "Traceback" not in said, said
    assert status == 2 or len(said.strip().splitlines()) == 1, said
    return reason


@pytest.mark.parametrize("value", [*ODD, HERE, FILE])
@pytest.mark.parametrize("name", ["--run", "--images", "--output", "--overlays", "--workers"])
def test_predict(results_tree, tmp_path, monkeypatch, capsys, name, value):
    run = fabricate_run()  # which has no weights, so that nothing is ever predicted
    monkeypatch.chdir(tmp_path)
    given = {"--run": str(run.path), "--images": HERE, "--output": str(tmp_path / "out")}
    arguments = [text for pair in (given | {name: value}).items() for text in pair]
    refused(predict.main, arguments, capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", [*ODD, HERE, FILE])
@pytest.mark.parametrize(
    "call",
    [
        weights.main,
        tuning.main,
        figures.main,
        lambda given: figures.main(["--dpi", *given]),
        lambda given: study.main(given),
        lambda given: study.main(["leakage", *given]),
        lambda given: study.main(["costs", "--threads", *given]),
        lambda given: study.main(["costs", "--only", *given]),
        lambda given: study.main(["maps", "--study", *given]),
        lambda given: study.main(["automl", "--seed", *given]),
        lambda given: study.main(["automl", "--dataset", *given]),
        lambda given: common.main(benchmarks.heads.measure, ["--steps", *given]),
        lambda given: benchmarks.coverage.main(["--replicates", *given]),
    ],
)
def test_commands(results_tree, tmp_path, monkeypatch, capsys, call, value):
    monkeypatch.chdir(tmp_path)
    refused(call, [value], capsys)
    assert not [path for path in tmp_path.iterdir() if path != results_tree]


def test_a_folder_for_figures_that_is_empty_or_a_file(results_tree, capsys):
    run = fabricate_run()
    for value in ("", FILE):
        refused(figures.main, [str(run.path), "--folder", value], capsys)


@pytest.mark.parametrize("value", [*ODD, HERE, "params", "a" * 300, "\0"])
def test_profiles_of_a_sweep(value):
    with pytest.raises(ConfigError, match="no matrix"):
        matrix.load_matrix(value)


NAMES = ("cag:", "folder:", "npz:", "cag:..", "npz:../x", "folder:/etc", "cag:a/b/c", "npz:\0", "x")


@pytest.mark.parametrize(
    "name", [*ODD, *NAMES, *(f"folder:{odd}" for odd in ODD), "npz:" + "x" * 300]
)
def test_data_sets(name, monkeypatch, tmp_path):
    monkeypatch.setenv("REPRO_DATA", str(tmp_path))
    (tmp_path / "folders").mkdir()
    with pytest.raises(ValueError) as error:
        load_dataset(name)
    assert str(error.value)


GOOD = {
    "recipe": "common",
    "dataset": "breastmnist",
    "model": "resnet18",
    "seed": 0,
    "pretrained": "none",
}
NUMBERS = (-1, 10**40, math.nan, math.inf, -math.inf, "", "nan", "\n", [], {}, b"x")


@pytest.mark.parametrize("name", TRAIN_PARAMETERS)
def test_parameters_of_a_run(name):
    """Some take a huge number or any name; none takes text for a number, or what is no number."""
    taken = set()
    for value in NUMBERS:
        try:
            config = make_config(**GOOD | {name: value})
        except ConfigError as error:
            assert name in str(error)
        else:
            got = getattr(config, name)
            assert got == type(got)(value)
            taken.add(value)
    # Of text alone nobody knows whether it is a name: data set and model are looked up later.
    assert taken <= ({"nan"} if name in ("dataset", "model", "augmentation") else {10**40})


def test_paths_that_somebody_gives(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert given_path("images", "~/x") == tmp_path / "x"
    assert str(given_path("images", "~nobody_here/x")) == "~nobody_here/x"
    for value in ("", " \n", "a\0b"):
        with pytest.raises(ValueError, match=r"images is .*expected a path"):
            given_path("images", value)


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        (["PROFILE="], "no matrix .yaml"),
        (["EXECUTOR=nowhere"], "invalid choice: 'nowhere'"),
    ],
)
def test_variables_of_make(variables, reason):
    make = ["make", "--old-file=setup", "sweep", f"BIN={sys.prefix}/bin", "FLAGS=--dry-run"]
    done = subprocess.run([*make, *variables], cwd=repo_root(), capture_output=True, text=True)
    assert done.returncode != 0
    assert reason in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout
