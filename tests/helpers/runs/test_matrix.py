"""The matrix of runs and its way to papermill."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from helpers.config import PROFILES, TRAIN_PARAMETERS, ConfigError, make_config
from helpers.data.names import check_name
from helpers.paths import cache_dir, repo_root
from helpers.runs.matrix import expand_matrix, load_matrix, papermill_yaml
from helpers.runs.store import run_dir
from tests.fabricated import fabricate_from

ROW = {
    "recipe": "common",
    "dataset": ["breastmnist", "pneumoniamnist"],
    "model": ["medspectralnet", "resnet18"],
    "pretrained": "none",
    "seed": [0, 1],
}


def test_a_row_is_the_product_of_its_lists_first_seeds_first():
    configs = expand_matrix({"profile": "paper", "rows": [ROW]}, file=Path("x.yaml"))
    assert len(configs) == 8
    assert [config.seed for config in configs] == [0] * 4 + [1] * 4
    assert len(set(configs)) == 8


@pytest.mark.parametrize("profile", PROFILES)
def test_the_shipped_matrices_are_valid_and_of_their_profile(profile):
    assert {config.profile for config in load_matrix(profile)} == {profile}


def test_the_runs_at_the_papers_scale_are_none_of_the_others():
    evidence = load_matrix("evidence")
    assert {config.profile for config in evidence} == {"paper"}
    assert not {run_dir(run) for run in evidence} & {run_dir(run) for run in load_matrix("paper")}
    long = [run for run in evidence if run.recipe == "paper_b" and run.dataset == "breastmnist"]
    assert {run.epochs for run in long} == {200}
    assert all(run.test_curve for run in long)


@pytest.fixture
def refusal(tmp_path):
    """Return the message with which a params file of this text is refused."""

    def read(text: str) -> str:
        file = tmp_path / "x.yaml"
        file.write_text(text)
        with pytest.raises(ConfigError) as error:
            load_matrix(str(file))
        return str(error.value)

    return read


def matrix(*rows: dict, **top) -> str:
    return yaml.safe_dump({"profile": "quick", "rows": list(rows)} | top)


ONE = ROW | {"dataset": "breastmnist", "model": "resnet18", "seed": 0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rows: [}", "x.yaml: not valid YAML: .*line 1"),
        ("", "x.yaml: expected keys with values, it holds None"),
        ("profile: quick\nrow: []\n", "unknown key 'row'; did you mean rows\\?"),
        ("rows: []\n", "x.yaml lacks the key 'profile'"),
        ("profile: quick\nrows: []\n", "rows must be a list of runs, got an empty one"),
        ("profile: quick\nrows: {a: 1}\n", "rows must be a list of runs, got dict"),
        ("profile: quick\nrows: [resnet18]\n", "row 1: a row must be a mapping, got str"),
        ("profile: quick\nrows:\n- seed: 0\n  seed: 1\n", "seed stands twice .*line 4"),
        (matrix(ONE, profile="quik"), "row 1: profile must be one of paper, quick"),
        (matrix(ONE, ONE | {"sede": 1}), "row 2: unknown key 'sede'; did you mean seed\\?"),
        # A value that no notebook parameter carries to the run would be lost on the way.
        (matrix(ONE | {"ema_decay": 0.5}), "row 1: unknown key 'ema_decay'; .*Known: recipe"),
        (matrix(ONE | {"profile": "paper"}), "row 1: profile belongs at the top"),
        (matrix(ONE | {"seed": []}), "row 1: seed is an empty list, so the row asks for no run"),
        (matrix({k: v for k, v in ONE.items() if k != "seed"}), "row 1: seed missing; every row"),
        (matrix(ONE | {"seed": "0"}), "row 1: seed must be int, got '0'"),
        (matrix(ONE).replace("seed: 0", "seed: 010"), "010 is read as another number .*line"),
        (matrix(ONE) + "  epochs: 1:30\n", "1:30 is read as another number .* or in quotes"),
        (matrix(ONE | {"learning_rate": "1e-4"}), "YAML reads 1e-4 as text: write 1.0e-4"),
        (matrix(ONE | {"epochs": 0}), "row 1: epochs must be at least 1, got 0"),
        (matrix(ONE | {"model": 18}), "row 1: model must be str, got int 18"),
        (matrix(ONE | {"recipe": "comon"}), "row 1: unknown recipe 'comon'; known: common"),
        (matrix(ONE | {"model": "resnet81"}), "unknown model 'resnet81'; .*Known: medspectralnet"),
        (matrix(ONE | {"dataset": "brestmnist"}), "did you mean breastmnist\\? Known: pathmnist"),
        (matrix(ONE | {"dataset": "chestmnist_64"}), "chestmnist.* multi-label"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_row(text, message, refusal):
    assert re.search(message, refusal(text), re.DOTALL), refusal(text)


@pytest.mark.parametrize(
    ("rows", "places"),
    [([ONE, ONE | {"seed": [1, 0]}], "in rows 1 and 2"), ([ONE | {"seed": [0, 0]}], "in row 1")],
)
def test_a_duplicate_is_named_with_its_places(rows, places, refusal):
    message = refusal(matrix(*[row | {"epochs": 7} for row in rows]))
    assert "x.yaml asks twice for common breastmnist resnet18 none seed 0 (epochs 7" in message
    assert f": {places}; take it out of one place." in message


def test_a_value_of_the_recipe_is_the_same_run(refusal):
    written_out = ONE | {"image_size": make_config(**ONE).image_size}
    assert "asks twice" in refusal(matrix(ONE, written_out))


def test_a_row_of_a_tuning_file_may_set_what_no_notebook_takes():
    rows = [ROW | {"ema_decay": 0.5}]
    assert expand_matrix({"profile": "paper", "rows": rows}, file=Path("x.yaml"))
    with pytest.raises(ConfigError, match=r"x.yaml, row 2: unknown parameter sede"):
        expand_matrix(
            {"profile": "paper", "rows": [ROW, ROW | {"seed": 5, "sede": 1}]}, file=Path("x.yaml")
        )


def test_a_file_outside_params_is_a_matrix_too(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(matrix(ONE))
    assert load_matrix(str(file)) == [make_config(**ONE, profile="quick")]


def test_names_are_checked_without_torch():
    """A plan is read by every job of a sweep; torch would take seconds each time."""
    code = (
        "import sys; from helpers.runs.matrix import load_matrix; load_matrix('paper'); "
        "assert 'torch' not in sys.modules and 'timm' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repo_root(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_sizes_and_own_sets_are_known_names():
    check_name("organsmnist_224")
    for name in ("cag:anywhere", "folder:anywhere", "npz:anywhere", "phantom"):
        check_name(name)
    with pytest.raises(ConfigError, match="3-D"):
        check_name("organmnist3d")


def test_an_unknown_profile_lists_the_known_ones():
    with pytest.raises(
        ConfigError, match=r"no matrix full.yaml; known profiles: evidence, paper, phantom"
    ) as e:
        load_matrix("full")
    offered = str(e.value).split("known profiles: ")[1].rstrip(".").split(", ")
    assert "quick" in offered
    assert not {"recipes", "comparisons", "ranking", "verdicts"} & set(offered)
    assert not [name for name in offered if name.startswith("tuning")]


@pytest.mark.parametrize("name", ["recipes", "comparisons", "tuning_cross_entropy"])
def test_what_else_lies_in_params_is_no_matrix(name):
    with pytest.raises(ConfigError, match=rf"{name}.yaml: unknown key .* matrices are evidence"):
        load_matrix(name)


def test_a_stand_in_takes_every_data_set_once():
    configs = load_matrix("paper", rename=lambda name: "phantom")
    assert {config.dataset for config in configs} == {"phantom"}
    assert len(set(configs)) == len(configs)


def test_a_folder_keeps_its_place_beside_a_stand_in(tmp_path):
    """It is written `folder:`, and known by the name that is stored."""
    file = tmp_path / "x.yaml"
    datasets = ["breastmnist", "folder:own"]
    file.write_text(yaml.safe_dump({"profile": "quick", "rows": [ROW | {"dataset": datasets}]}))
    stand_ins = {"breastmnist": "phantom", "cag:own": "cag:own"}
    configs = load_matrix(str(file), rename=stand_ins.get)
    assert {config.dataset for config in configs} == {"phantom", "cag:own"}


@pytest.mark.parametrize("learning_rate", [1e-3, 1e-4, 1e-5])
def test_papermill_reads_back_what_was_written(learning_rate):
    values = {k: v for k, v in ROW.items() if not isinstance(v, list)}
    config = make_config(
        **values, dataset="cag:x/y", model="resnet18", seed=1, learning_rate=learning_rate
    )
    read = yaml.safe_load(papermill_yaml(config, names=TRAIN_PARAMETERS))
    assert read == {name: getattr(config, name) for name in TRAIN_PARAMETERS}
    assert make_config(**read) == config


def test_every_shipped_run_reaches_papermill_whole():
    """A row may override only what 04_train takes; the rest would be lost on the way."""
    for config in {run.hash(): run for run in load_matrix("paper")}.values():  # of all seeds one
        read = yaml.safe_load(papermill_yaml(config, names=TRAIN_PARAMETERS))
        assert make_config(**read) == config


def test_the_dry_run_plans_what_is_not_stored(results_tree, tmp_path):
    """Also where a record is unreadable: its run fails and says why; nothing is deleted."""
    stored, damaged, *_ = load_matrix("quick")
    fabricate_from(stored)
    run_dir(damaged).mkdir(parents=True)
    (run_dir(damaged) / "run.json").write_text("{")
    before = {path: path.read_bytes() for path in results_tree.rglob("*.*") if path.is_file()}
    done = subprocess.run(
        f"{sys.executable} -m snakemake --dry-run --cores 2 --quiet rules "
        "--config profile=quick -- quick",
        shell=True,
        cwd=repo_root(),
        capture_output=True,
        text=True,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "XDG_CACHE_HOME": str(cache_dir().parent),  # where the known names are
            "REPRO_RESULTS": str(results_tree),
        },
    )
    assert done.returncode == 0, done.stderr
    planned = [line.split() for line in (done.stdout + done.stderr).splitlines()]
    assert ["train", str(len(load_matrix("quick")) - 1)] in planned
    assert {path: path.read_bytes() for path in before} == before
