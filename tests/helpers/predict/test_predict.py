"""From a run and a folder to predictions.csv, overlays and a page, and what is refused."""

import io
import json
import os
from dataclasses import replace
from functools import cache
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from PIL import Image
from pydicom import dcmread
from safetensors.torch import save_file

from helpers.config import make_config
from helpers.data.image_folder import load_image_folder
from helpers.data.pictures import Reading
from helpers.data.splits import DataError, Split, Splits
from helpers.explain.cam import ExplainError
from helpers.models.registry import build_model
from helpers.predict import __main__ as command
from helpers.predict import figures
from helpers.predict.checkpoint import find_run, open_checkpoint, public_name
from helpers.predict.example import CINE, FRAMES, PICTURES, write_example_folder
from helpers.predict.folder import OutputError, predict_folder
from helpers.predict.overlays import choose_rows
from helpers.predict.page import chance
from helpers.predict.predict import FrameLine, predict_files
from helpers.predict.reading import Frame, Skipped, list_folder, read_file, to_grey
from helpers.runs.experiment import data_record, run_experiment
from helpers.runs.store import Run, RunError, load_run
from helpers.training.inference import as_tensor, predict, prepare
from tests.conftest import toy_split
from tests.fabricated import fabricate_run
from tests.helpers.data.test_dicom import make, stored_values, to_bytes
from tests.helpers.data.test_pictures import png_16
from tests.html_pages import Page

MODEL = "medspectralnet_light"
WEIGHTS = "model.safetensors"
EIGHT = ("basophil", "eosinophil", "erythroblast", "a very long name of a class", *"wxyz")


@cache
def weights(num_classes):
    """Random weights whose batch norms have seen noise, so that answers differ by image."""
    torch.manual_seed(0)
    model = build_model(MODEL, num_classes=num_classes, image_size=32, pretrained="none")
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    pixels = torch.from_numpy(np.stack([noise((32, 32, 3), seed) for seed in range(16)]))
    with torch.no_grad():
        model.train()(prepare(pixels.permute(0, 3, 1, 2), 32))
    state = model.state_dict() | {"fc.weight": 4 * model.fc.weight.detach()}
    return {name: value.contiguous() for name, value in state.items()}


def stored(*, channels=1, classes=("malignant", "normal, benign"), **options):
    """Store a run of a network of 32 px with these weights."""
    run = fabricate_run("breastmnist_64", MODEL, image_size=32, classes=classes, **options)
    save_file(weights(len(classes)), run.path / WEIGHTS)
    return with_data(run, in_channels=channels)


def with_data(run, **data):
    """Store a run again with other facts of its data."""
    record = run.record | {"data": run.record["data"] | data}
    (run.path / "run.json").write_text(json.dumps(record))
    return load_run(run.path)


@pytest.fixture(scope="module")
def module_tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPRO_RESULTS", str(folder))
        yield folder


@pytest.fixture(scope="module")
def checkpoint(module_tree):
    return open_checkpoint(stored())


@pytest.fixture(scope="module")
def colourful(module_tree):
    return open_checkpoint(stored(channels=3, classes=EIGHT, seed=1))


def noise(size=(32, 32), seed=0):
    """An image of few large patches, so that resizing leaves something of it."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, *size[2:])).astype(np.uint8)
    return np.asarray(Image.fromarray(small).resize(size[1::-1], Image.Resampling.BILINEAR))


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def mixed(tmp_path):
    """Twelve frames of five files of all sizes, in two subfolders, and two files of no use."""
    images = tmp_path / "images"
    save(images / "b" / "wide.png", noise((40, 90)))
    save(images / "b" / "colour.jpg", noise((64, 64, 3), seed=1))
    save(images / "a.png", noise((17, 17), seed=2))
    save(images / "large.bmp", noise((300, 310), seed=3))
    frames = np.stack([noise(seed=10 + k) for k in range(8)])
    (images / "c").mkdir()
    (images / "c" / "cine").write_bytes(to_bytes(make(frames)))
    (images / "half.png").write_bytes((images / "a.png").read_bytes()[:60])
    (images / "notes.txt").write_text("nothing to see")
    return images


def read_csv(output):
    return pd.read_csv(output / "predictions.csv", keep_default_na=False)


# --- the run -----------------------------------------------------------------------------------


def test_a_run_is_found_by_folder_or_by_name(results_tree, monkeypatch):
    run = stored()
    fabricate_run("pneumoniamnist", MODEL)
    assert public_name(run) == f"common/breastmnist_64/{MODEL}/{run.path.name}"
    names = (run.path, str(run.path), run.path / WEIGHTS, public_name(run), run.path.name)
    for name in (*names, f"breastmnist_64/{MODEL}"):
        assert find_run(name).path.samefile(run.path), name
    monkeypatch.chdir(run.path.parent)
    assert find_run(run.path.name).path == run.path  # a folder as seen from here
    with pytest.raises(RunError, match="'light' is part of 2 runs"):
        find_run("light")
    with pytest.raises(RunError, match=f"no run is called 'pneumonia/{MODEL}'; the nearest: "):
        find_run(f"pneumonia/{MODEL}")
    with pytest.raises(RunError, match=r"run\.json is missing"):
        find_run(run.path.parent)
    # A folder that merely has a run's name in it is none; one near the root has a name too.
    (run.path.parent / "light").mkdir()
    with pytest.raises(RunError, match="'light' is part of 2 runs"):
        find_run("light")
    assert public_name(Run(Path("/rrx"), run.record)) == "rrx"


def test_a_folder_elsewhere_needs_two_files_alone(tmp_path, results_tree, mixed):
    run = stored()
    folder = tmp_path / "downloaded"
    folder.mkdir()
    for name in ("run.json", WEIGHTS):
        (folder / name).write_bytes((run.path / name).read_bytes())
    checkpoint = open_checkpoint(find_run(folder))
    assert checkpoint.calibration is None and public_name(find_run(folder)) == "downloaded"
    report = predict_folder(checkpoint, mixed, tmp_path / "out", overlays=0)
    table = read_csv(tmp_path / "out")
    assert set(table["calibration"]) == {"not calibrated"}
    np.testing.assert_array_equal(report.predictions.probabilities, report.predictions.uncalibrated)
    assert "Not calibrated" in (tmp_path / "out" / "index.html").read_text()


def test_predictions_that_are_damaged_or_of_other_classes(results_tree):
    run = stored()
    file = run.path / "predictions.npz"
    arrays = dict(np.load(file))
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(RunError, match=r"cannot read predictions\.npz"):
        open_checkpoint(load_run(run.path))
    np.savez(file, **{k: v for k, v in arrays.items() if k.startswith("test")})
    assert open_checkpoint(load_run(run.path)).calibration is None
    np.savez(file, **arrays | {"val_probabilities": np.full((50, 3), 1 / 3)})
    with pytest.raises(RunError, match=r"shape \(50, 3\); expected .*\(50, 2\)"):
        open_checkpoint(load_run(run.path))


# --- the numbers -------------------------------------------------------------------------------


@pytest.mark.parametrize("flip_average", [True, False])
def test_the_test_images_as_files_get_the_probabilities_of_training(
    tmp_path, results_tree, flip_average
):
    checkpoint = open_checkpoint(stored(flip_average=flip_average))
    split = toy_split(40, size=64)
    images = as_tensor(split, torch.device("cpu"))[0]
    expected = predict(checkpoint.model, images, image_size=32, flip_average=flip_average)
    together = checkpoint.probabilities(prepare(images, 32))
    for number, image in enumerate(split.images):
        save(tmp_path / "images" / f"{number:02d}.png", image[..., 0])
    found, _ = list_folder(tmp_path / "images")
    ours = predict_files(checkpoint, found, batch_size=7).uncalibrated
    assert np.abs(ours - together).max() < 1e-5
    assert np.abs(ours - expected).max() < 3e-5  # and what folding its norms rounds
    assert np.ptp(expected[:, 0]) > 0.01  # else any order would pass


def same(got, expected):
    assert got.lines == expected.lines and got.skipped == expected.skipped
    np.testing.assert_allclose(got.probabilities, expected.probabilities, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "constants"),
    [
        ({"batch_size": 1, "workers": 1}, {}),
        ({"batch_size": 5, "workers": 3}, {}),
        ({"batch_size": 64, "workers": 2}, {}),
        ({}, {"_BYTES_AHEAD": 1}),  # files wait for their turn
        ({}, {"_LARGE": 2000}),  # large ones are read in it, and their pages come one by one
    ],
)
def test_batches_threads_and_turns_change_nothing(
    checkpoint, mixed, monkeypatch, options, constants
):
    pages = [Image.fromarray(noise((40, 40), seed=20 + k)) for k in range(12)]
    pages[0].save(mixed / "pages.tif", save_all=True, append_images=pages[1:])
    found, _ = list_folder(mixed)
    expected = predict_files(checkpoint, found)
    rows = np.round(expected.uncalibrated[:, 0], 4)
    assert len(set(rows.tolist())) == len(rows) == 24  # no two frames alike: the order is seen
    for name, value in constants.items():
        monkeypatch.setattr(f"helpers.predict.predict.{name}", value)
    same(predict_files(checkpoint, found, **options), expected)


@pytest.mark.parametrize("threads", [1, 2, 9])
def test_the_processors_are_shared_and_given_back(checkpoint, mixed, threads):
    found, _ = list_folder(mixed)
    expected = predict_files(checkpoint, found)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        got = predict_files(checkpoint, found, batch_size=2, workers=3)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    same(got, expected)


def test_weights_that_are_no_numbers(results_tree, mixed):
    run = stored()
    damaged = weights(2) | {"fc.bias": torch.tensor([0.0, torch.nan])}
    save_file(damaged, run.path / WEIGHTS)
    with pytest.raises(RunError, match="answers are not finite"):
        predict_files(open_checkpoint(run), list_folder(mixed)[0])


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("batch_size", 0, "at least 1, got 0"),
        ("batch_size", 10_000, "at most 1024, got 10000"),  # memory would not hold them
        ("batch_size", "8", "int, got '8'"),
        ("workers", 0, "at least 1, got 0"),
        ("workers", 10_000, "at most 1024, got 10000"),
        ("overlays", -1, "at least 0, got -1"),
        ("overlays", 2.5, r"int, got 2\.5"),
    ],
)
def test_numbers_out_of_range(checkpoint, mixed, tmp_path, name, value, reason):
    with pytest.raises(ValueError, match=f"{name} must be {reason}"):
        predict_folder(checkpoint, mixed, tmp_path / "out", **{name: value})


def test_colour_becomes_grey_for_a_grey_run_alone(checkpoint, colourful, tmp_path):
    pixels = noise((32, 32, 3))
    save(tmp_path / "images" / "colour.png", pixels)
    save(tmp_path / "images" / "grey.png", np.asarray(Image.fromarray(pixels).convert("L")))
    found, _ = list_folder(tmp_path / "images")
    got = predict_files(checkpoint, found)
    np.testing.assert_allclose(got.uncalibrated[0], got.uncalibrated[1], atol=1e-6)
    assert "colour turned grey" in got.lines[0].notes[0] and got.lines[1].notes == ()
    got = predict_files(colourful, found)
    assert np.abs(got.uncalibrated[0] - got.uncalibrated[1]).max() > 1e-3
    assert got.lines[0].notes == got.lines[1].notes == ()


# --- the files that training read ---------------------------------------------------------------


def encoded(kind, values, number):
    """Return the name and the bytes of an image of 12-bit values, (H, W)."""
    eight = (values >> 4).astype(np.uint8)
    options = {}
    if kind == "dicom":
        window = {"WindowCenter": 1500, "WindowWidth": 3500}
        frames = make(values[None], bits=12, patient=f"P{number}", **window)
        return f"{number:02d}.dcm", to_bytes(frames)
    if kind == "exif":
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = 1 + number % 8
    if kind == "tiff16rgb":
        file = io.BytesIO()
        tifffile.imwrite(file, np.stack([values, values // 2, values.T], -1), photometric="rgb")
        return f"{number:02d}.tif", file.getvalue()
    if kind == "png16rgb":
        return f"{number:02d}.png", png_16(2, *[values[:40, :40]] * 3)
    image = Image.fromarray(values if "16" in kind else eight)
    if kind == "palette":
        image = image.convert("RGB").quantize(64)
    suffix = {"exif": "JPEG", "jpeg": "JPEG", "tiff16": "TIFF", "tiff8": "TIFF"}.get(kind, "PNG")
    file = io.BytesIO()
    image.save(file, suffix, **options)
    return f"{number:02d}.{suffix.lower()}", file.getvalue()


KINDS = (
    "png8", "png16", "png16rgb", "palette", "jpeg", "exif", "tiff8", "tiff16", "tiff16rgb", "dicom",
)  # fmt: skip


def folder_of(kind, root):
    """Write an image folder of two classes that differ in brightness; return its splits."""
    folder = root / "cag" / kind
    folder.mkdir(parents=True)
    lines = ["file,label,split"]
    for number in range(24):
        peak = (800, 3500)[number % 2]
        values = ((noise((48, 48), seed=number).astype(int) + 1) * peak // 256).astype(np.uint16)
        name, content = encoded(kind, values, number)
        (folder / name).write_bytes(content)
        split = ("train", "train", "val", "test")[number // 6]
        lines.append(f"{name},{number % 2},{split}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return load_image_folder(root / "cag", f"cag:{kind}")


def only_test_files(splits, kind, root):
    """Copy the dark ones of the test files: the depth of these alone is another."""
    images = root / "test_files"
    images.mkdir()
    table = pd.read_csv(root / "cag" / kind / "labels.csv")
    chosen = table[(table["split"] == "test") & (table["label"] == 0)]["file"]
    for file in chosen:
        (images / file).write_bytes((root / "cag" / kind / file).read_bytes())
    return images, splits.test.labels == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_runs_own_test_files_are_seen_as_training_saw_them(kind, tmp_path, results_tree):
    splits = folder_of(kind, tmp_path)
    run = stored(channels=splits.in_channels)
    kept = {name: run.record["data"][name] for name in ("class_names", "n")}
    run = with_data(run, **data_record(splits) | kept)
    checkpoint = open_checkpoint(run)
    images, rows = only_test_files(splits, kind, tmp_path)
    frames = [read_file(found, checkpoint.reading)[0] for found in list_folder(images)[0]]
    for frame, expected in zip(frames, splits.test.images[rows], strict=True):
        is_colour = frame.pixels.shape[2] > splits.in_channels
        pixels = to_grey(frame.pixels) if is_colour else frame.pixels
        np.testing.assert_array_equal(pixels, expected)
        assert not any("beyond" in note for note in frame.notes)
    ours = predict_files(checkpoint, list_folder(images)[0]).uncalibrated
    dark = replace(splits.test, images=splits.test.images[rows])
    tensor = as_tensor(dark, torch.device("cpu"))[0]
    flip_average = checkpoint.run.config["flip_average"]
    expected = predict(checkpoint.model, tensor, image_size=32, flip_average=flip_average)
    assert np.abs(ours - expected).max() < 3e-5
    assert np.abs(ours - checkpoint.probabilities(prepare(tensor, 32))).max() < 1e-5
    bits = {"png16": 12, "png16rgb": 12, "tiff16": 12, "tiff16rgb": 12}.get(kind)
    assert run.record["data"]["reading"]["bits"] == bits


def test_a_trained_run_says_of_its_test_files_what_it_stored(tmp_path, results_tree):
    """Brightness tells the classes, and the depth of the test files alone would undo it."""
    splits = folder_of("png16", tmp_path)
    config = make_config(
        recipe="common", dataset="cag:png16", model=MODEL, seed=0, pretrained="none", epochs=1,
        batch_size=4, image_size=32, profile="quick",
    )  # fmt: skip
    run = run_experiment(config, splits=splits)
    assert run.record["data"]["reading"] == splits.reading == {
        "bits": 12, "orientation": "exif", "colour": "as stored",
    }  # fmt: skip
    images, rows = only_test_files(splits, "png16", tmp_path)
    ours = predict_files(open_checkpoint(run), list_folder(images)[0]).uncalibrated
    assert np.abs(ours - run.predictions("test")[1][rows]).max() < 1e-5


def test_values_beyond_the_depth_of_training_are_noted(tmp_path, results_tree):
    save(tmp_path / "x.png", np.linspace(0, 60_000, 1600).astype(np.uint16).reshape(40, 40))
    (found,), _ = list_folder(tmp_path)
    (frame,) = read_file(found, Reading(bits=12))
    assert frame.notes[0] == "16-bit grey: 0 to 4095 became 0 to 255"
    assert "values up to 60000 are beyond the 12 bits" in frame.notes[1]
    assert (frame.pixels == 255).mean() > 0.9


def test_a_reading_of_no_known_kind_is_refused(results_tree):
    for damaged in ([], {"bits": 99}, {"bits": 12, "orientation": 3, "colour": None}):
        run = with_data(stored(), reading=damaged)
        with pytest.raises(RunError, match="reading"):
            open_checkpoint(run)


def test_pictures_without_content_are_marked_in_table_and_page(checkpoint, tmp_path):
    save(tmp_path / "images" / "black.png", np.zeros((40, 40), np.uint8))
    save(tmp_path / "images" / "dark.png", (noise((40, 40)) >> 4).astype(np.uint8))
    save(tmp_path / "images" / "good.png", noise((40, 40)))
    predict_folder(checkpoint, tmp_path / "images", tmp_path / "out", overlays=1)
    notes = read_csv(tmp_path / "out")["note"].tolist()
    assert [note.startswith("nearly flat") for note in notes] == [True, True, False]
    assert "2 images are nearly flat" in (tmp_path / "out" / "index.html").read_text()


def test_two_thousand_files_wait_on_disk_and_not_in_memory(checkpoint, tmp_path, monkeypatch):
    """However many files there are, few are open or decoded at once."""
    (tmp_path / "images").mkdir()
    save(tmp_path / "one.png", noise((16, 16)))
    for number in range(2000):
        os.link(tmp_path / "one.png", tmp_path / "images" / f"{number:04d}.png")
    found, skipped = list_folder(tmp_path / "images")
    assert len(found) == 2000 and not skipped
    alive, most = 0, 0

    def read(found, *args, **options):
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        return [Frame(found.name, 0, np.zeros((16, 16, 1), np.uint8))]

    def compute(batch, *, checkpoint):
        nonlocal alive
        alive -= len(batch)
        return [line for line, _ in batch], np.full((len(batch), 2), 0.5, np.float32)

    monkeypatch.setattr("helpers.predict.predict.read_file", read)
    monkeypatch.setattr("helpers.predict.predict._compute", compute)
    monkeypatch.setattr(
        "helpers.predict.predict.prepare_frame",
        lambda frame, _: (FrameLine(frame.file, 0, 16, 16, ()), torch.zeros(1, 1, 1, 1)),
    )
    got = predict_files(checkpoint, found, workers=2)
    assert [line.file for line in got.lines] == [f"{number:04d}.png" for number in range(2000)]
    assert most <= 32 * 7


# --- the table ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["checkpoint", "colourful"])
def test_each_frame_stands_in_the_table_once_and_in_order(kind, request, mixed, tmp_path):
    checkpoint = request.getfixturevalue(kind)
    report = predict_folder(checkpoint, mixed, tmp_path / "out", overlays=3)
    table = read_csv(tmp_path / "out")
    files = ["a.png", "b/colour.jpg", "b/wide.png", *["c/cine"] * 8, "large.bmp"]
    assert table["file"].tolist() == files
    assert table["frame"].tolist() == [0, 0, 0, *range(8), 0]
    names = list(checkpoint.class_names)
    assert list(table.columns) == [
        "file", "frame", *(f"p_{name}" for name in names), "predicted", "confidence",
        "confidence_uncalibrated", "calibration", "width", "height", "overlay", "note",
    ]  # fmt: skip
    probabilities = table[[f"p_{name}" for name in names]].to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(probabilities, report.predictions.probabilities, atol=1e-6)
    uncalibrated = report.predictions.uncalibrated
    assert table["predicted"].tolist() == [names[k] for k in uncalibrated.argmax(axis=1)]
    assert table["predicted"].tolist() == [names[k] for k in probabilities.argmax(axis=1)]
    np.testing.assert_allclose(table["confidence"], probabilities.max(axis=1))
    np.testing.assert_allclose(
        table["confidence_uncalibrated"], uncalibrated.max(axis=1), atol=1e-6
    )
    temperature = checkpoint.calibration.temperature
    assert set(table["calibration"]) == {f"T = {temperature:.4f}"} and temperature != 1
    assert table["width"].tolist()[:3] == [17, 64, 90] and table["height"][2] == 40
    assert table["note"][2] == "squeezed to a square"
    skipped = pd.read_csv(tmp_path / "out" / "skipped.csv")
    assert skipped["file"].tolist() == ["half.png", "notes.txt"]
    assert skipped["reason"].tolist() == [
        "damaged or truncated picture", "no image of a known kind",
    ]  # fmt: skip


def test_equal_input_gives_equal_bytes(checkpoint, mixed, tmp_path):
    for name in ("one", "two"):
        predict_folder(checkpoint, mixed, tmp_path / name, overlays=2)
    one, two = (
        {p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*.*")}
        for n in ("one", "two")
    )
    assert one == two and len(one) == 5


# --- overlays ----------------------------------------------------------------------------------


def test_files_share_the_overlays_evenly():
    files = ["a"] * 10 + ["b"] + ["c"] * 4
    assert choose_rows(files, 100) == list(range(15))
    assert choose_rows(files, 0) == []
    assert choose_rows(files, 3) == [5, 10, 13]  # the middle of each
    assert choose_rows(files, 5) == [2, 7, 10, 12, 14]
    assert choose_rows([f"{k}.png" for k in range(40)], 4) == [5, 15, 25, 35]
    for number in range(1, 16):
        rows = choose_rows(files, number)
        assert len(set(rows)) == number and rows == sorted(rows)


def test_overlays_are_as_many_as_asked_and_named_in_the_table(checkpoint, mixed, tmp_path):
    report = predict_folder(checkpoint, mixed, tmp_path / "out", overlays=6)
    table = read_csv(tmp_path / "out")
    named = table[table["overlay"] != ""]
    on_disk = sorted(path.name for path in (tmp_path / "out" / "overlays").iterdir())
    assert sorted(named["overlay"]) == on_disk and len(on_disk) == 6
    assert named["file"].nunique() == 5
    for row, picture in zip(named.itertuples(), report.overlays.pictures, strict=True):
        with Image.open(tmp_path / "out" / "overlays" / row.overlay) as image:
            assert image.mode == "RGB" and max(image.size) in (224, 310)
            assert image.width / image.height == pytest.approx(row.width / row.height, rel=0.02)
            np.testing.assert_array_equal(np.asarray(image), picture.overlay)
        assert picture.is_empty == (picture.overlay == picture.image).all()
    assert not all(picture.is_empty for picture in report.overlays.pictures)


def test_names_that_look_alike_once_written_keep_their_own_pictures(checkpoint, tmp_path):
    names = (
        *("a\n.png", r"a\n.png", "a/b.png", "a_b.png", "a%2Fb.png"),
        *("=b.png", "'=b.png", "''=b.png", "a b.png", "a  b.png", " a b.png", "  a b.png"),
    )
    for seed, name in enumerate(names):
        save(tmp_path / "images" / name, noise(seed=seed))
    report = predict_folder(checkpoint, tmp_path / "images", tmp_path / "out")
    table = read_csv(tmp_path / "out")
    count = len(names)
    assert table["file"].nunique() == len(table) == count
    assert len({picture.image.tobytes() for picture in report.overlays.pictures}) == count
    pictures = list((tmp_path / "out" / "overlays").iterdir())
    assert len(pictures) == table["overlay"].nunique() == count
    page = Page((tmp_path / "out" / "index.html").read_text())
    shown = {" ".join(word.split()) for word in page.words if "b.png" in word or "n.png" in word}
    assert len(shown) == count  # a page shows one space for many


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ExplainError("a map of one pixel"), "a map of one pixel"),
        (RuntimeError("no derivative\nof it"), "the maps cannot be computed: no derivative</p>"),
    ],
)
def test_a_network_without_a_map_still_predicts(
    checkpoint, mixed, tmp_path, monkeypatch, error, reason
):
    def refuse(*args, **options):
        raise error

    monkeypatch.setattr("helpers.predict.overlays.explain", refuse)
    report = predict_folder(checkpoint, mixed, tmp_path / "out")
    assert len(report.table) == 12 and not report.overlays.pictures
    assert set(read_csv(tmp_path / "out")["overlay"]) == {""}
    page = (tmp_path / "out" / "index.html").read_text()
    assert f"There are no maps: {reason}" in page


def test_figures_of_the_notebook(checkpoint, colourful, mixed, tmp_path):
    (mixed / "a.png").rename(mixed / "a $x_{ $.png")  # no formula
    for number, opened in enumerate((checkpoint, colourful)):
        report = predict_folder(opened, mixed, tmp_path / f"{number}", overlays=1 + 11 * number)
        figure = figures.draw_overlays(report)
        shown = [axes.get_title() for axes in figure.axes if axes.images]
        assert len(shown) == 2 * (1, 8)[number]
        assert "a $x_{ $.png" in shown or number == 0
        figure.canvas.draw()
        figure = figures.draw_reliability(opened, "test")
        assert [axes.get_title().split("\n")[0] for axes in figure.axes] == [
            "T = 1.00", f"T = {opened.calibration.temperature:.2f}",
        ]  # fmt: skip
        plt.close("all")


def test_the_place_of_a_map_in_words(checkpoint, mixed, tmp_path):
    report = predict_folder(checkpoint, mixed, tmp_path / "out", overlays=3)
    unit_map = np.zeros((3, 3, 9, 9), np.float32)
    unit_map[0, 0, 1, 8] = unit_map[1, 0, 4, 4] = 1
    pictures = [
        replace(picture, unit_map=own[0])
        for picture, own in zip(report.overlays.pictures, unit_map, strict=True)
    ]
    report = replace(report, overlays=replace(report.overlays, pictures=pictures))
    places = [place for _, _, place in figures.brightest_places(report)]
    assert places == ["in the upper right", "in the middle centre", "nowhere"]


# --- the output folder -------------------------------------------------------------------------


def test_nothing_is_overwritten_unasked_and_nothing_else_deleted(checkpoint, mixed, tmp_path):
    output = tmp_path / "out"
    predict_folder(checkpoint, mixed, output, overlays=12)
    before = {path: path.read_bytes() for path in output.rglob("*.*")}
    with pytest.raises(OutputError, match=r"out is not empty \(index.html, overlays, .*overwrite"):
        predict_folder(checkpoint, mixed, output)
    assert {path: path.read_bytes() for path in output.rglob("*.*")} == before
    (output / "mine.txt").write_text("keep")
    (output / "overlays" / "mine.png").write_text("keep")
    (output / "overlays" / "overlay_mine.png").write_text("keep")
    (mixed / "a.png").unlink()
    predict_folder(checkpoint, mixed, output, overlays=2, overwrite=True)
    assert len(read_csv(output)) == 11
    kept = [path for path in output.rglob("*mine*") if path.read_text() == "keep"]
    assert len(kept) == 3
    assert len(list((output / "overlays").iterdir())) == 2 + 2


def test_output_folders_that_are_not_fit(checkpoint, mixed, tmp_path):
    for output in (mixed, mixed / "out", mixed / ".." / "images" / "x"):
        with pytest.raises(OutputError, match="read its overlays as images"):
            predict_folder(checkpoint, mixed, output, overwrite=True)
    (tmp_path / "link").symlink_to(mixed)
    with pytest.raises(OutputError, match="read its overlays as images"):
        predict_folder(checkpoint, mixed, tmp_path / "link" / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file; expected a folder"):
        predict_folder(checkpoint, mixed, tmp_path / "file", overwrite=True)
    save(tmp_path / "old" / "overlays" / "x.png", noise())
    with pytest.raises(OutputError, match="where the overlays go"):
        predict_folder(checkpoint, tmp_path / "old" / "overlays", tmp_path / "old", overwrite=True)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "overlays").symlink_to(mixed)
    with pytest.raises(OutputError, match="where the overlays go"):
        predict_folder(checkpoint, mixed, tmp_path / "linked", overwrite=True)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OutputError, match="File name too long"):
        predict_folder(checkpoint, mixed, tmp_path / ("x" * 300))
    with pytest.raises(DataError, match=r"there is no folder .*x; expected"):
        predict_folder(checkpoint, "x" * 5000, tmp_path / "out")
    with pytest.raises(OutputError, match="loop: "):
        predict_folder(checkpoint, mixed, tmp_path / "loop")
    assert sorted(path.name for path in mixed.iterdir()) == [
        "a.png", "b", "c", "half.png", "large.bmp", "notes.txt",
    ]  # fmt: skip


def test_folders_without_images(checkpoint, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no image: it is empty"):
        predict_folder(checkpoint, tmp_path / "empty", tmp_path / "out")
    (tmp_path / "empty" / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"no image that can be read: it holds notes.txt \(no im"):
        predict_folder(checkpoint, tmp_path / "empty", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


# --- the page ----------------------------------------------------------------------------------


def addresses(page):
    return [attrs[key] for _, attrs in page.tags for key in ("src", "href") if key in attrs]


def test_the_page_stands_alone_and_names_no_place(checkpoint, mixed, tmp_path):
    predict_folder(checkpoint, mixed, tmp_path / "out", overlays=3)
    text = (tmp_path / "out" / "index.html").read_text()
    page = Page(text)
    assert all(a.startswith(("data:image/jpeg;base64,", "#")) for a in addresses(page))
    assert sum(a.startswith("data:") for a in addresses(page)) == 6
    assert not page.all("script") and str(tmp_path) not in text
    for expected in (
        "Not for clinical use",
        "12 images seen by",
        "in 5 files",
        f"{100 * (1 - 20 / 156):.1f} %",  # accuracy of the fabricated run
        "c/cine · frame 7",
        "half.png damaged or truncated picture",
        "1 image is far from square",
        "spread evenly over the files",
        str(checkpoint.calibration),
        public_name(checkpoint.run),
    ):
        assert expected in page.text, expected
    assert len(page.all("tr")) == 1 + len(read_csv(tmp_path / "out")) + 1 + 2
    assert "PHANTOM" not in text


def test_names_of_files_and_classes_are_escaped(module_tree, tmp_path):
    nasty = ("<b>bold</b>", '"quoted" & plain')
    checkpoint = open_checkpoint(stored(classes=nasty, seed=2))
    name = "<img src=x onerror=alert(1)>.png"
    save(tmp_path / "images" / name, noise())
    (tmp_path / "images" / "<script>.txt").write_text("x")
    predict_folder(checkpoint, tmp_path / "images", tmp_path / "out")
    page = Page((tmp_path / "out" / "index.html").read_text())
    assert not page.all("script") and not any("onerror" in attrs for _, attrs in page.tags)
    assert {name, "<script>.txt", nasty[0]} <= {*page.words}
    assert "x" not in addresses(page)
    assert read_csv(tmp_path / "out")["file"].tolist() == [name]


def test_a_long_table_is_cut_on_the_page_alone(checkpoint, mixed, tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.predict.page.MAX_ROWS", 5)
    predict_folder(checkpoint, mixed, tmp_path / "out", overlays=0)
    page = Page((tmp_path / "out" / "index.html").read_text())
    assert "here are the first 5 of 12" in page.text and len(page.all("tr")) == 1 + 5 + 1 + 2
    assert len(read_csv(tmp_path / "out")) == 12


def test_a_phantom_run_is_stamped(module_tree, mixed, tmp_path):
    run = fabricate_run("phantom", MODEL, image_size=32)
    save_file(weights(2), run.path / WEIGHTS)
    predict_folder(open_checkpoint(run), mixed, tmp_path / "out", overlays=0)
    assert "PHANTOM DATA" in (tmp_path / "out" / "index.html").read_text()


def test_nothing_is_certain():
    assert [chance(p) for p in (1.0, 0.995, 0.9949, 0.5, 0.005, 0.0)] == [
        "> 0.99", "> 0.99", "0.99", "0.50", "0.01", "< 0.01",
    ]  # fmt: skip


# --- the example and the command ---------------------------------------------------------------


def example_splits(channels):
    rng = np.random.default_rng(0)

    def split(n):
        images = rng.integers(0, 256, (n, 28, 28, channels)).astype(np.uint8)
        return Split(images=images, labels=np.arange(n) % 2)

    return Splits("toy", split(4), split(4), split(30), ("dark", "bright"), source="toy")


@pytest.mark.parametrize("channels", [1, 3])
def test_the_example_shows_test_images_and_two_bad_files(tmp_path, channels):
    splits = example_splits(channels)
    example = write_example_folder(tmp_path / "images", splits)
    found, skipped = list_folder(tmp_path / "images")
    assert len(found) == PICTURES + 3 and not skipped
    shown, reasons = {}, []
    for file in found:
        frames = read_file(file)
        if isinstance(frames, Skipped):
            reasons.append(frames.reason)
        else:
            shown |= {(frame.file, frame.frame): frame.pixels for frame in frames}
    assert len(reasons) == 2 and "5 x 5" in reasons[0] and "truncated" in reasons[1]
    assert set(shown) == set(example.test_images) and len(shown) == PICTURES + FRAMES
    for key, index in example.test_images.items():
        np.testing.assert_array_equal(shown[key], splits.test.images[index])
    assert len(set(example.test_images.values())) == PICTURES + FRAMES
    labels = splits.test.labels[list(example.test_images.values())[:PICTURES]]
    assert np.bincount(labels).tolist() == [5, 5]
    header = dcmread(tmp_path / "images" / CINE)
    assert header.PatientID == "EXAMPLE-NOT-A-PATIENT" and header.NumberOfFrames == FRAMES
    assert "no film" in header.ImageComments
    again = write_example_folder(tmp_path / "again", splits)
    assert again.test_images == example.test_images
    for path in example.folder.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
    with pytest.raises(FileExistsError, match="images is not empty"):
        write_example_folder(tmp_path / "images", splits)


def test_the_command_line_does_the_same(checkpoint, mixed, tmp_path, capsys):
    run = str(checkpoint.run.path)
    options = ["--run", run, "--images", str(mixed), "--output", str(tmp_path / "out")]
    assert command.main([*options, "--overlays", "1"]) == 0
    printed = capsys.readouterr().out
    assert "predicted   12 frame(s) of 5 file(s)" in printed
    assert "skipped     notes.txt: no image of a known kind" in printed
    assert "Not for clinical use." in printed
    predict_folder(checkpoint, mixed, tmp_path / "ours", overlays=1)
    for name in ("predictions.csv", "skipped.csv", "index.html"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "ours" / name).read_bytes()
    assert command.main(options) == 1
    assert "is not empty" in capsys.readouterr().err
    assert command.main([*options, "--overwrite", "--overlays", "0"]) == 0
    assert command.main([*options[:2], "--images", str(tmp_path / "no"), *options[4:]]) == 1
    assert "there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_argument_is_no_folder(checkpoint, mixed, tmp_path, capsys, monkeypatch, empty):
    """A variable without a value would otherwise mean the working directory."""
    monkeypatch.chdir(mixed)
    given = {"--run": str(checkpoint.run.path), "--images": ".", "--output": str(tmp_path / "o")}
    for name, called in zip(given, ("the name of the run", "--images", "--output"), strict=True):
        options = [text for pair in (given | {name: empty}).items() for text in pair]
        assert command.main(options) == 1
        assert f"{called} is empty" in capsys.readouterr().err
    for name in ("images", "output"):
        with pytest.raises(ValueError, match=f"{name} is empty"):
            predict_folder(checkpoint, **{"images": ".", "output": "o"} | {name: empty})
    assert not (tmp_path / "o").exists()
    assert sorted(path.name for path in mixed.iterdir()) == [
        "a.png", "b", "c", "half.png", "large.bmp", "notes.txt",
    ]  # fmt: skip


def test_a_dicom_that_fails_midway_names_no_person(checkpoint, tmp_path):
    content = to_bytes(make(stored_values(8, frames=3, size=32)))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.dcm").write_bytes(content[:-2000])
    (tmp_path / "images" / "b.dcm").write_bytes(content)
    report = predict_folder(checkpoint, tmp_path / "images", tmp_path / "out", overlays=0)
    assert report.table["file"].tolist() == ["b.dcm"] * 3
    assert "truncated" in report.predictions.skipped[0].reason
    assert "Zwiebelmann" not in (tmp_path / "out" / "index.html").read_text()
