"""Files that are read back, damaged in thousands of ways: their reader's error, the file named."""

import copy
import json
import shutil
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from helpers import config
from helpers.config import ConfigError, make_config
from helpers.data.image_folder import load_image_folder
from helpers.data.medmnist import read_npz
from helpers.data.splits import DataError
from helpers.explain.run_maps import RunMaps, load_maps, save_maps
from helpers.files import (
    DamagedFile,
    guarded,
    open_arrays,
    read_csv,
    read_json,
    read_yaml,
    text_cell,
)
from helpers.paths import repo_root
from helpers.predict.folder import PREDICTIONS, SKIPPED, FolderReport, write_output
from helpers.predict.overlays import Overlays
from helpers.predict.predict import Predictions
from helpers.predict.reading import Skipped
from helpers.runs import matrix, portable, progress, ship, store, tuning, weights
from helpers.runs.experiment import save_tensors, save_weights
from helpers.runs.store import RunError, list_runs, list_unreadable, load_run
from helpers.training import seeds
from helpers.training.loop import _State
from study import sizes, tied
from study.claims.ledger import ClaimsError, load_claims
from study.costs.store import EfficiencyError, Store
from study.maps.scores import load_scores, save_scores
from study.plans import automl, comparisons, costs, maps, ranking, table2, verdicts
from study.plans.form import PlanError
from study.published import PublishedError, _read
from study.report import charts
from study.tables import speed
from tests.damage import N_CHANGES, damaged, survive
from tests.fabricated import fabricate_run

DIGEST = "model.sha256"


@pytest.fixture
def run(results_tree):
    return fabricate_run(wrong=5, epochs=3)


def test_run_json(run):
    survive(run.path / "run.json", lambda: load_run(run.path), RunError)


def test_predictions(run):
    file = run.path / "predictions.npz"
    refused = survive(file, lambda: load_run(run.path).predictions("test"), RunError)
    assert refused > 0.8 * N_CHANGES


def test_maps(run):
    maps_of = {
        (name, layer): np.random.default_rng(0).random((5, 3, 3), np.float32)
        for name in ("true", "predicted")
        for layer in ("layer1", "layer2")
    }
    layers = {"First": "layer1", "Second": "layer2"}
    save_maps(RunMaps(np.arange(5), np.arange(5) % 2, np.arange(5) % 2, layers, maps_of), run)
    survive(run.path / "maps.npz", lambda: load_maps(run), RunError)


@pytest.fixture
def network(run, monkeypatch):
    """A small network whose weights lie beside the run."""
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    monkeypatch.setattr(weights, "untrained_model", lambda *a, **k: copy.deepcopy(model))
    save_weights(model, run.path)
    return model


def read_weights(run, expected):
    """Weights that are read at all are the ones that were written."""
    for name, tensor in weights.load_model(run).state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_weights(run, network):
    written = network.state_dict()
    refused = survive(run.path / weights.WEIGHTS, lambda: read_weights(run, written), RunError)
    assert refused > 0.9 * N_CHANGES


def test_digest_of_the_weights(run, network):
    name, written = weights.WEIGHTS, network.state_dict()  # nobody can say which of two is damaged
    survive(run.path / DIGEST, lambda: read_weights(run, written), RunError, name=name, n=400)


def test_each_flipped_byte_of_the_weights_is_noticed(run, network):
    file = run.path / weights.WEIGHTS
    whole = file.read_bytes()
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        with pytest.raises(RunError, match=weights.WEIGHTS):
            weights.load_model(run)


def test_weights_of_an_earlier_version_have_no_digest(run, network):
    (run.path / DIGEST).unlink()
    read_weights(run, network.state_dict())
    survive(run.path / weights.WEIGHTS, lambda: weights.load_model(run), RunError)


def test_weights_that_claim_more_than_the_network_are_never_read(run, network, monkeypatch):
    save_file({"0.weight": torch.zeros(2, 10**6)}, run.path / weights.WEIGHTS)
    monkeypatch.setattr(weights, "digest_of", lambda file: pytest.fail("read"))
    with pytest.raises(RunError, match=r"does not fit .*0\.bias is None, expected \(2,\)"):
        weights.load_model(run)


def test_shipped_weights(run, network):
    half = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    save_tensors(half, run.path / store.SHIPPED)
    kept = weights.load_model(run).state_dict()
    refused = survive(run.path / store.SHIPPED, lambda: read_weights(run, kept), RunError)
    assert refused > 0.9 * N_CHANGES


def test_what_was_measured_of_shipped_weights(run):
    file = run.path / ship.MEASURED
    shutil.copy(next((repo_root() / "results" / "runs").rglob(ship.MEASURED)), file)
    survive(file, lambda: ship.read_measured(run), RunError)


def test_settings_of_the_one_instruction_set(tmp_path, monkeypatch):
    (tmp_path / "params").mkdir()
    path = tmp_path / "params" / "portable.env"
    shutil.copy(repo_root() / "params" / path.name, path)
    monkeypatch.setattr(seeds, "repo_root", lambda: tmp_path)
    survive(path, seeds.portable_settings, ValueError)


def test_the_note_of_a_sweep_is_never_an_error(tmp_path):
    path = tmp_path / progress.PLANNED
    progress.begin_sweep(["a/b", "c/d"], folder=tmp_path)
    for content in damaged(path.read_bytes(), ".csv"):
        path.unlink()
        path.write_bytes(content)
        assert all(isinstance(word, str) for word in progress.place_in_sweep(tmp_path))


def test_checkpoint(tmp_path):
    config = make_config(recipe="quick", dataset="phantom", model="x", seed=0, pretrained="none")
    file = tmp_path / "checkpoint.pt"

    def state():
        return _State(nn.Linear(3, 2), config, total_steps=4)

    begun = state()
    begun.history, begun.best_weights = [{"epoch": 1}], begun.model.state_dict()
    begun.save(file, identity="abc")
    refused = survive(file, lambda: state().load(file, identity="abc"), ValueError)
    assert refused > 0.5 * N_CHANGES, refused


def test_a_checkpoint_that_cannot_be_read_may_be_whole(tmp_path, monkeypatch):
    config = make_config(recipe="quick", dataset="phantom", model="x", seed=0, pretrained="none")
    state = _State(nn.Linear(3, 2), config, total_steps=4)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(torch, "load", refuse)
    with pytest.raises(ValueError, match=r"cannot read c\.pt: .*denied; it may be whole") as found:
        state.load(tmp_path / "c.pt", identity="abc")
    assert "delete" not in str(found.value)


def test_test_curve(run):
    file = run.path / store.TEST_CURVE
    file.write_text("epoch,test_accuracy\n1,0.5\n2,0.75\n3,0.8125\n")
    survive(file, run.test_curve, RunError)


def test_localisation(tmp_path):
    rng = np.random.default_rng(0)
    entry = {
        "values": rng.random((2, 2, 1, 1, 6)),
        "thresholds": rng.random((2, 1)),
        "empty": rng.random((2, 1)),
        "rows": ["a", "b"],
        "titles": ["A", "B"],
        "methods": ["m"],
    }
    path = tmp_path / "phantom_x.npz"
    save_scores(path, [entry], measures=["e"], groups=np.arange(6), about={"seeds": [0]})
    survive(path, lambda: load_scores(path), RunError)


def test_measurements(tmp_path):
    source = next((repo_root() / "results" / "efficiency").glob("*.json"))
    content = json.loads(source.read_text())
    for part in content["phases"].values():
        part["rows"] = part["rows"][:1]
    path = tmp_path / source.name
    path.write_text(json.dumps(content))
    survive(path, lambda: Store.read(path), EfficiencyError)


def test_speeds(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    path = tmp_path / "benchmarks" / "heads.json"
    shutil.copy(repo_root() / "results" / "benchmarks" / "heads.json", path)
    survive(path, lambda: speed.load_records(root=tmp_path), speed.SpeedError)


def test_digests(tmp_path, monkeypatch):
    path = tmp_path / "portable.json"
    shutil.copy(portable.record_path(), path)
    monkeypatch.setattr(portable, "record_path", lambda: path)
    survive(path, portable.load_rows, ValueError)


def test_leakage(tmp_path, monkeypatch):
    lines = (repo_root() / "results" / "leakage" / "breastmnist.csv").read_text().splitlines(True)
    path = tmp_path / "breastmnist.csv"
    path.write_text("".join(lines[:6]))
    monkeypatch.setattr(tied, "leakage_dir", lambda: tmp_path)
    survive(path, lambda: tied.load_tied("breastmnist"), tied.LeakageError)


def test_tuning_table(tmp_path):
    plan = tuning.load_tuning(repo_root() / "params" / "tuning_fitting.yaml")
    path = tmp_path / "tuning_x.csv"
    path.write_text(
        ",".join(plan.columns) + "\ncommon,phantom,resnet18,none,0.001,0,ab12,3,0.9,0.8,0.4,12.5\n"
        "common,phantom,resnet18,none,0.003,0,ab12,3,,0.8,0.4,12.5\n"
    )
    survive(path, lambda: tuning._read(path, plan), ConfigError)


def test_labels_of_an_image_folder(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    rows = ["file,label,class,split,group,box,frame"]
    for k in range(6):
        pixels = np.full((16, 16), 20 * k, np.uint8)
        Image.fromarray(pixels).save(folder / f"{k}.png")
        where = ("train", "val", "test")[k // 2]
        rows.append(f"{k}.png,{k % 2},{'ab'[k % 2]},{where},g{k},1 2 {k + 1} 4,0")
    file = folder / "labels.csv"
    file.write_text("\n".join(rows) + "\n")
    refused = survive(file, lambda: load_image_folder(tmp_path, "cag:own"), DataError, name="own")
    assert refused > 0.5 * N_CHANGES


def test_an_own_file_of_arrays(tmp_path):
    arrays = {"class_names": np.array(["a", "b"])}
    for name in ("train", "val", "test"):
        arrays[f"{name}_images"] = np.full((4, 28, 28), 7, np.uint8)
        arrays[f"{name}_labels"] = np.array([[0], [1], [0], [1]])
        arrays[f"{name}_groups"] = np.array([f"{name}{k}" for k in range(4)])
    file = tmp_path / "own.npz"
    np.savez_compressed(file, **arrays)
    refused = survive(file, lambda: read_npz(file), DataError)
    assert refused > 0.8 * N_CHANGES


def test_published_and_claims(tmp_path):
    for name, read, error in (
        ("paper_a.csv", _read, PublishedError),
        ("claims.csv", load_claims.__wrapped__, (ClaimsError, PublishedError)),
    ):
        lines = (repo_root() / "results/published" / name).read_text().splitlines(True)
        path = tmp_path / name
        path.write_text("".join(lines[:8]))
        survive(path, lambda read=read, path=path: read(path), error)


def test_tables_of_the_page(tmp_path):
    path = tmp_path / "cag_ablation.csv"
    lines = (repo_root() / "results/tables" / path.name).read_text().splitlines(True)
    path.write_text("".join(lines[:8]))
    where = "family == 'ablation'" if "family" in lines[0] else "index == index"
    survive(path, lambda: charts.read(tmp_path, path.stem, where), DamagedFile)


def read_recipes(path):
    """Read recipes anew, as a process does that starts."""
    config._RECIPES = path
    config._recipe_file.cache_clear()
    for name in config.load_recipes.__wrapped__():
        assert isinstance(name, str)


@pytest.fixture
def recipes_again(monkeypatch):
    monkeypatch.setattr(config, "_RECIPES", config._RECIPES)
    yield
    config._recipe_file.cache_clear()


PARAMETERS = {
    "recipes": (read_recipes, ConfigError),
    "quick": (lambda path: matrix.load_matrix(str(path)), ConfigError),
    "paper": (lambda path: matrix.load_matrix(str(path)), ConfigError),
    "tuning_fitting": (tuning.load_tuning, ConfigError),
    "verdicts": (verdicts.load_rules, PlanError),
    "localisation": (maps.load_plan, PlanError),
    "automl": (automl.load_plan, PlanError),
    "efficiency": (costs.load_plan, PlanError),
    "comparisons": (comparisons.load_plan, PlanError),
    "ranking": (ranking.load_plan, PlanError),
    "table2": (table2.load_table2, PlanError),
    "sizes": (sizes.printed_sizes.__wrapped__, PlanError),
}


@pytest.mark.parametrize("n", [40, pytest.param(N_CHANGES, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(tmp_path, recipes_again, name, n):
    path = tmp_path / f"{name}.yaml"
    shutil.copy(repo_root() / "params" / path.name, path)
    read, error = PARAMETERS[name]
    survive(path, lambda: read(path), error, n=n)


@pytest.mark.parametrize("begun", ["[", "{", "- "])
def test_nesting_however_deep_ends_no_process(tmp_path, begun):
    """YAML of such depth takes a second; every kind of file gets a tenth of it, see `damaged`."""
    path = tmp_path / "deep.txt"
    path.write_text(begun * 10**5)
    for read in (read_yaml, read_json):
        with pytest.raises(DamagedFile, match=r"deep\.txt"):
            read(path)


# --- headers that lie ---------------------------------------------------------------------------


def with_header(path, name, shape, descr="<f4"):
    """Write an npz whose member promises an array of any shape."""
    text = str({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    header = text.ljust(118 + 64 * (len(text) // 118)) + b"\n"
    start = np.lib.format.magic(1, 0) + len(header).to_bytes(2, "little")
    with zipfile.ZipFile(path) as old:
        members = {info: old.read(info) for info in old.namelist() if info != f"{name}.npy"}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for info, content in members.items():
            file.writestr(info, content)
        file.writestr(f"{name}.npy", start + header + b"\0" * 64)


@pytest.mark.parametrize("shape", [(2**38, 2), (156, 2), (2**70, 2), (-1, 2), (156,), (), ("a", 2)])
def test_an_array_that_is_promised_is_never_allocated(run, shape):
    with_header(run.path / "predictions.npz", "test_probabilities", shape)
    with pytest.raises(RunError, match=r"predictions\.npz"):
        load_run(run.path).predictions("test")


def test_labels_and_probabilities_beyond_their_range(run):
    file = run.path / "predictions.npz"
    arrays = dict(np.load(file))
    for change in (
        {"val_y_true": arrays["val_y_true"] + 1},
        {"val_probabilities": arrays["val_probabilities"] * np.nan},
    ):
        np.savez(file, **arrays | change)
        with pytest.raises(RunError, match=r"predictions\.npz"):
            load_run(run.path).predictions("val")


def test_one_damaged_run_leaves_the_others(run, capsys):
    other = fabricate_run(seed=1)
    (run.path / "predictions.npz").write_bytes(b"PK")
    third = fabricate_run(seed=2)
    (third.path / "run.json").write_text("{")
    assert [r.path for r in list_runs()] == [other.path]
    assert "left out: common/breastmnist/medspectralnet" in capsys.readouterr().err
    reasons = list_unreadable()
    assert len(reasons) == 2 and any("predictions.npz" in reason for reason in reasons.values())
    assert (run.path / "run.json").exists() and (third.path / "run.json").read_text() == "{"


def test_without_pickle(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([{}], dtype=object))
    with (
        pytest.raises(DamagedFile, match=r"a\.npz: x is a pickled"),
        open_arrays(tmp_path / "a.npz") as arrays,
    ):
        arrays.read("x")


@pytest.mark.parametrize("odd", [torch.zeros(2, 4), torch.zeros(2, 3, dtype=torch.int32)])
def test_weights_of_other_tensors(run, network, odd):
    save_file(network.state_dict() | {"0.weight": odd}, run.path / weights.WEIGHTS)
    (run.path / DIGEST).unlink()
    with pytest.raises(RunError, match=r"does not fit .*1 of 7 tensors; 0\.weight is"):
        weights.load_model(run)


# --- cells --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["=cmd|calc.png", "@SUM(1+1).png", "+1+1.txt", "-2+3", "\tx", "\rx", "\n=x", "\x01x", "'=x"],
)
def test_a_text_that_a_spreadsheet_would_run_is_quoted(text):
    assert text_cell(text) == f"'{text}"
    assert len({text_cell("'" * quotes + text) for quotes in range(4)}) == 4


def test_other_text_and_numbers_stay(tmp_path):
    import pandas as pd

    table = pd.DataFrame(
        {
            "=name": ["=1", "plain", ""],
            "x": [-1.5, 2.0, np.nan],
            "said": ["-1.5", "+0.2 ± 0.1", "a"],
        }
    )
    file = tmp_path / "t.csv"
    guarded(table).to_csv(file, index=False)
    assert file.read_text().splitlines() == [
        "'=name,x,said",
        "'=1,-1.5,-1.5",
        "plain,2.0,+0.2 ± 0.1",
        ",,a",
    ]
    assert table.columns[0] == "=name"  # the frame itself stays as it is
    assert read_csv(file, {"'=name": str, "x": float, "said": str})["x"].isna().sum() == 1


def test_predictions_and_skipped_are_guarded(tmp_path):
    """A name from whoever sent the images."""
    import pandas as pd

    frame = pd.DataFrame({"file": ["=cmd|calc.png", "a.png"], "p_@SUM(1)": [0.25, 0.75]})
    skipped = [Skipped("+1+1.txt", "no image of a known kind")]
    predictions = Predictions([], np.empty((0, 1)), np.empty((0, 1)), skipped)
    write_output(FolderReport(tmp_path, frame, predictions, Overlays([])), page="")
    assert (tmp_path / PREDICTIONS).read_text() == (
        "file,p_@SUM(1)\n'=cmd|calc.png,0.250000\na.png,0.750000\n"
    )
    assert "\n'+1+1.txt,no image" in (tmp_path / SKIPPED).read_text()
