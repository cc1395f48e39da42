import json
import re

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from helpers.data.datasets import load_dataset
from helpers.plots import figures, style
from helpers.runs.store import load_run, run_id
from tests.fabricated import fabricate_run

MANY = tuple(f"organ {k}" for k in range(7))


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def phantom():
    return load_dataset("phantom")


def run_of(splits, *, wrong):
    """A run on images that are there: true labels, and the first `wrong` test images mistaken."""
    run = fabricate_run("phantom", classes=splits.class_names, md5=splits.md5)
    predictions = {}
    for name, mistakes in (("val", 0), ("test", wrong)):
        y_true = getattr(splits, name).labels
        right = np.arange(len(y_true)) >= mistakes
        score = np.where(right, y_true, 1 - y_true) * 0.8 + 0.1
        predictions[f"{name}_y_true"] = y_true
        predictions[f"{name}_probabilities"] = np.stack([1 - score, score], axis=1)
    np.savez_compressed(run.path / "predictions.npz", **predictions)
    record = json.loads((run.path / "run.json").read_text())
    record["data"]["n"] = {name: len(split) for name, split in splits.items()}
    (run.path / "run.json").write_text(json.dumps(record))
    return load_run(run.path)


def captions(figure):
    return [axes.get_xlabel() for axes in figure.axes if axes.images]


def size_in_mm(pdf):
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", pdf.read_bytes())
    return [float(points) / 72 * 25.4 for points in box.groups()]


def test_the_command_writes_every_figure_of_a_run(results_tree, phantom, capsys, tmp_path):
    run = run_of(phantom, wrong=3)
    figures.main([run.path.name, "--folder", str(tmp_path / "out"), "--dpi", "80"])
    folder = tmp_path / "out" / run_id(run).replace("/", "__")
    expected = {f"{name}.{suffix}" for name in figures.FIGURES for suffix in ("png", "pdf")}
    assert {file.name for file in folder.iterdir()} == expected
    for pdf in folder.glob("*.pdf"):
        assert size_in_mm(pdf)[0] == pytest.approx(85, abs=0.01)
        text = pdf.read_bytes()
        # Letters are TrueType (42), which can be searched and edited; Type 3 are drawings.
        assert b"/Type3" not in text and b"/FontFile2" in text
        assert b"CreationDate" not in text and b"atplotlib" not in text
        with Image.open(pdf.with_suffix(".png")) as image:
            assert image.width == pytest.approx(85 / 25.4 * 80, abs=1)
            assert image.convert("L").getextrema()[0] < 100 and "Software" not in image.info
    assert f"{run_id(run)}: 14 files" in capsys.readouterr().out


def test_the_same_figure_gives_the_same_bytes(results_tree, tmp_path):
    run = fabricate_run()
    written = []
    for place in ("a", "b"):
        paths = figures.save(figures.draw("roc", run), "roc", folder=tmp_path / place, dpi=60)
        written.append([path.read_bytes() for path in paths])
    assert written[0] == written[1]


def test_without_its_images_a_run_has_no_picture_of_mistakes(
    results_tree, monkeypatch, capsys, tmp_path
):
    monkeypatch.delenv("REPRO_DATA", raising=False)
    monkeypatch.setattr(figures, "FIGURES", {k: figures.FIGURES[k] for k in ("roc", "mistakes")})
    run = fabricate_run("cag:patches")
    figures.main([run.path.name, "--folder", str(tmp_path)])
    assert "no picture of mistakes: cag:patches cannot be had here" in capsys.readouterr().out
    assert {file.name for file in figures.folder_of(run, tmp_path).iterdir()} == {
        "roc.png",
        "roc.pdf",
    }
    with pytest.raises(ValueError, match="pass the data set as splits"):
        figures.draw("mistakes", run)


def test_a_run_that_is_not_there_ends_the_command_with_the_near_ones(results_tree, capsys):
    fabricate_run()
    assert figures.main(["common/breastmnist/medspectralnett/0000000000_s0"]) == 1
    assert "the nearest: common/breastmnist/medspectralnet/" in capsys.readouterr().err
    assert figures.main([]) == 1
    assert "none of the main runs is stored" in capsys.readouterr().err


def test_unknown_figures_are_answered_with_the_known_ones(results_tree):
    with pytest.raises(ValueError, match="unknown figure 'rok'; known: confusion_matrix, roc, "):
        figures.draw("rok", fabricate_run())


def test_mistakes_are_shown_with_index_probability_and_both_classes(results_tree, phantom):
    run = run_of(phantom, wrong=4)
    figure = figures.draw("mistakes", run, splits=phantom)
    true = [phantom.class_names[k] for k in phantom.test.labels[:4]]
    said = [phantom.class_names[1 - k] for k in phantom.test.labels[:4]]
    assert captions(figure) == [
        f"image {i}, p = 0.900\nsaid {said[i]}\nis {true[i]}" for i in range(4)
    ]
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert (shown[2] == phantom.test.images[2, ..., 0]).all()
    assert "4 mistakes in" in figure.get_suptitle()


def test_more_mistakes_than_places_are_counted(results_tree, phantom):
    figure = figures.draw("mistakes", run_of(phantom, wrong=20), splits=phantom)
    assert len(captions(figure)) == 12
    assert figure.get_suptitle().startswith("12 of 20 mistakes")


def test_a_run_without_mistakes_says_so(results_tree, phantom):
    figure = figures.draw("mistakes", run_of(phantom, wrong=0), splits=phantom)
    assert not figure.axes
    assert f"no mistake among {len(phantom.test)} test images" in figure.texts[0].get_text()


def test_pictures_of_phantom_data_are_stamped(results_tree):
    stamped = figures.draw("confusion_matrix", fabricate_run("phantom"))
    assert "phantom" in [text.get_text() for text in stamped.texts]
    assert not figures.draw("confusion_matrix", fabricate_run()).texts


def test_many_classes_have_counts_and_shares_apart(results_tree):
    run = fabricate_run("organcmnist", classes=MANY)
    counts, shares = figures.draw("confusion_matrix", run).axes
    matrix = np.array(run.record["confusion_matrix"])
    assert [int(text.get_text()) for text in counts.texts] == matrix.ravel().tolist()
    percent = 100 * matrix / matrix.sum(axis=1, keepdims=True)
    assert [int(text.get_text()) for text in shares.texts] == np.round(percent).ravel().tolist()
    assert "operating_points" not in figures.names_of(run, None)


def test_one_class_alone_has_no_curve_and_says_so(results_tree):
    run = fabricate_run()
    with np.load(run.path / "predictions.npz") as arrays:
        arrays = dict(arrays)
    arrays["test_y_true"][:] = 1
    np.savez_compressed(run.path / "predictions.npz", **arrays)
    run = load_run(run.path)
    for name in ("roc", "precision_recall", "operating_points"):
        figure = figures.draw(name, run)
        assert "all test images are normal or benign" in figure.texts[0].get_text()
    figures.draw("reliability", run)


@pytest.mark.parametrize(
    "names",
    [
        ("no", "yes"),
        tuple(f"{'a name of eighty-five letters, ' * 3}{k:>3}"[-85:] for k in range(11)),
    ],
)
def test_nothing_sticks_out_and_no_letter_is_smaller_than_six_points(results_tree, names):
    run = fabricate_run("organcmnist", classes=names, wrong=40)
    for name in figures.names_of(run, None):
        figure = figures.draw(name, run)
        with style.style():
            figure.canvas.draw()
            box = figure.get_tightbbox(figure.canvas.get_renderer())
        inside = figure.bbox.padded(1)
        left, bottom, right, top = np.array(box.extents) * figure.dpi
        assert left >= inside.x0 and right <= inside.x1, name
        assert bottom >= inside.y0 and top <= inside.y1, name
        letters = [text for text in figure.findobj(matplotlib.text.Text) if text.get_text()]
        assert min(text.get_fontsize() for text in letters) >= 6, name


def test_the_overview_has_a_row_a_run(results_tree):
    runs = [fabricate_run(), fabricate_run("phantom")]
    figure = figures.draw_overview(runs)
    assert figure.get_size_inches()[0] == pytest.approx(style.FULL_WIDTH)
    assert len(figure.axes) == 6
    assert [part.get_suptitle() for part in figure.subfigs] == [
        f"{name}, medspectralnet, seed 0" for name in ("breastmnist", "phantom")
    ]
    assert "phantom" in [text.get_text() for text in figure.texts]
    assert figure.axes[0].get_title().startswith("Accuracy 0.872 (")
    with pytest.raises(ValueError, match="at least one run"):
        figures.draw_overview([])


def test_main_runs_are_those_that_are_stored(results_tree):
    assert figures.main_runs() == []
    run = fabricate_run("pneumoniamnist", epochs=None)
    assert [found.path for found in figures.main_runs()] == [run.path]
