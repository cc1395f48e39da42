"""Every notebook that takes a data set, on sets of anybody: any number of classes, grey or colour.

The cells run in this process rather than in a kernel each, which would take most of the time.
"""

import os

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from helpers.paths import repo_root
from helpers.runs.experiment import config_from_parameters
from helpers.runs.store import run_dir

# Class names as somebody may have them; of 14 classes each has a picture or two to be tested on.
NAMES = (
    *("gain $_$", "5$ or 6$", "a_b^c%", "狭窄", "{x} \\frac", "=1+1", "<b>&amp;", 'it\'s "so"'),
    *("None", "010", "1e3", "1:30", "yes"),
)
N = 12  # images a class
SETS = {
    "npz:two": (2, 1),
    "folder:three": (3, 3),
    "npz:fourteen": (14, 3),
    "folder:fourteen $_^%": (14, 1),
    "folder:two $x$": (2, 3),
}


def class_names(num_classes):
    return [*NAMES, *(f"class {k}" for k in range(len(NAMES), num_classes))][:num_classes]


def pixels(num_classes, channels, seed=1):
    """Noise whose brightness tells the class, uint8 (n, 32, 32, channels), and labels (n,)."""
    rng = np.random.default_rng(seed)
    labels = np.arange(N * num_classes) % num_classes
    noise = rng.integers(0, 100, (len(labels), 32, 32, channels))
    return (noise + 155 * labels[:, None, None, None] // num_classes).astype(np.uint8), labels


def make_folder(root, num_classes, channels):
    root.mkdir(parents=True)
    images, labels = pixels(num_classes, channels)
    rows = []
    for k, (image, label) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(image.squeeze()).save(root / f"{k:03d}.png")
        name = class_names(num_classes)[label]
        box = "8 8 10 12" if label and "$x$" in root.name else ""
        rows.append({"file": f"{k:03d}.png", "label": label, "class": name, "box": box})
    pd.DataFrame(rows).to_csv(root / "labels.csv", index=False)


def make_npz(path, num_classes, channels):
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for seed, split in enumerate(("train", "val", "test")):
        images, labels = pixels(num_classes, channels, seed)
        arrays[f"{split}_images"] = images.squeeze()
        arrays[f"{split}_labels"] = labels[:, None].astype(np.uint8)
    np.savez(path, **arrays)


def run_cells(name, **parameters):
    """Run a notebook's code with some parameters, as papermill would; return its namespace."""
    notebook = nbformat.read(repo_root() / "notebooks" / f"{name}.ipynb", 4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    namespace = {"__name__": "__main__"}
    for cell in cells:
        exec(compile(cell.source, f"{name}.ipynb", "exec"), namespace)
        if "parameters" in cell.metadata.get("tags", []):
            assert parameters.keys() <= namespace.keys()
            namespace.update(parameters)
    plt.close("all")
    return namespace


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data folder with all sets, an empty store, and no network."""
    folder = tmp_path_factory.mktemp("own")
    for name, (num_classes, channels) in SETS.items():
        kind, _, plain = name.partition(":")
        if kind == "npz":
            make_npz(folder / "npz" / f"{plain}.npz", num_classes, channels)
        else:
            make_folder(folder / "folders" / plain, num_classes, channels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPRO_DATA", str(folder))
        patch.setenv("REPRO_RESULTS", str(folder / "results"))
        patch.setattr("matplotlib.pyplot.show", lambda *a, **k: None)
        yield folder


TRAINED = {
    "recipe": "quick",
    "model": "medspectralnet_light",
    "pretrained": "none",
    "image_size": 32,
    "epochs": 1,
    "seed": 0,
}


@pytest.fixture(scope="module", params=SETS)
def trained(request, data):
    """The folder of a run of 04_train."""
    run_cells("04_train", **TRAINED, dataset=request.param)
    return run_dir(config_from_parameters(TRAINED | {"dataset": request.param, "profile": "paper"}))


@pytest.mark.parametrize("name", SETS)
def test_01_shows_the_data(data, name):
    # Beside a set of another size, which most sets are.
    run_cells("01_data", dataset=name, compared_with="phantom" if name == "npz:two" else None)


def test_01_compares_two_sets_of_ones_own(data):
    run_cells("01_data", dataset="npz:two", compared_with="folder:two $x$")


@pytest.mark.parametrize("name", SETS)
def test_03_takes_the_largest_class_against_the_rest(data, name):
    namespace = run_cells("03_losses_and_plasticity", dataset=name)
    assert namespace["splits"].num_classes == 2


@pytest.mark.parametrize("name", ["05_evaluate", "06_gradcam"])
def test_a_run_is_evaluated_and_explained(trained, name):
    run_cells(name, run=str(trained))


def test_a_run_predicts_an_example(trained, tmp_path):
    namespace = run_cells("11_predict", run=str(trained), output=str(tmp_path / "out"), overlays=2)
    assert sorted(os.listdir(tmp_path / "out")) == [
        "index.html",
        "overlays",
        "predictions.csv",
        "skipped.csv",
    ]
    assert namespace["run"].path == trained


@pytest.mark.parametrize("lacking", [("val",), ("test",), ("val", "test")])
def test_splits_of_one_class(data, lacking, tmp_path, capsys):
    """What cannot be measured there is undefined, and all else is shown."""
    name = "_".join(lacking)
    root = data / "folders" / name
    make_folder(root, 2, 1)
    table = pd.read_csv(root / "labels.csv")
    split = np.where(table.index < 12, "train", np.where(table.index % 4 < 2, "val", "test"))
    for part in lacking:
        split[(split == part) & (table["label"] == 0)] = "train"
    table.assign(split=split).to_csv(root / "labels.csv", index=False)
    parameters = TRAINED | {"dataset": f"folder:{name}"}
    run_cells("01_data", dataset=f"folder:{name}", compared_with=None)
    capsys.readouterr()
    run_cells("04_train", **parameters)
    said = capsys.readouterr().out
    if "val" in lacking:
        assert "val holds one class only, so its AUC is undefined" in said
        assert "validation AUC undefined (one class)" in said
    folder = str(run_dir(config_from_parameters(parameters | {"profile": "paper"})))
    run_cells("05_evaluate", run=folder)
    run_cells("06_gradcam", run=folder)
    run_cells("11_predict", run=folder, output=str(tmp_path / "out"), overlays=2)
