"""The README's three pictures: `python -m study pictures` writes them to `docs/pictures`."""

import argparse
import base64
import io
import json
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image, ImageOps

from helpers.metrics.intervals import one_more_run
from helpers.paths import repo_root, write_atomically
from helpers.plots.style import FULL_WIDTH, image_grid, style
from helpers.runs.groups import Group, find_group, group_runs, is_real
from helpers.runs.store import list_runs
from helpers.terminal import command
from study.plans.comparisons import load_plan
from study.plans.verdicts import load_rules
from study.plots.forest import ForestLine, beside_printed, plot_forest, share_legend
from study.tables.accuracy import MEDMNIST
from study.tables.answer import answer_rows

FOLDER = "docs/pictures"
_COLUMNS = 3  # of the contact sheet
_TILE = (660, 495)  # pixels
# What the sheet shows: notebook, number of its picture, the panel in pixels (None: all of it).
PANELS = (
    ("01_data", 5, (98, 32, 498, 294)),
    ("02_models", 1, (258, 0, 768, 284)),
    ("03_losses_and_plasticity", 1, None),
    ("04_train", 2, (392, 0, 790, 379)),
    ("05_evaluate", 2, None),
    ("06_gradcam", 2, (388, 0, 694, 222)),
    ("07_paper_a", 5, None),
    ("08_paper_b", 2, (0, 0, 580, 435)),
    ("09_efficiency", 1, (0, 0, 485, 379)),
    ("10_claims", 1, (0, 0, 495, 305)),
    ("10_claims", 5, None),
    ("11_predict", 2, (0, 0, 680, 490)),
)
_FACE = {"backbone": "#DCEAF5", "block": "#FBE5D6", "plain": "#EEEEEE"}


def answer_picture(groups: Sequence[Group]) -> Figure:
    """Draw what both papers print for their networks beside ours, with 95 % intervals.

    Of paper B's, on the images of the print, the one that judges: where one more run falls.
    """
    figure, (of_b, of_a) = plt.subplots(1, 2, figsize=(FULL_WIDTH, 2.5), width_ratios=(1, 1))
    looks = {"label": "printed", "ours": "ours, mean over seeds and 95 % interval", "seeds": False}
    lines = []
    for row in answer_rows(groups, load_rules()):
        title = MEDMNIST[row.dataset]
        if row.group and row.group.rebuilt:
            title += ", rebuilt"
        printed = row.published.fraction
        lines.append(
            beside_printed(
                title, row.group, "accuracy", printed, scale=100, how=one_more_run, **looks
            )
        )
    xlabel = "test accuracy, %; line: one more run"
    _draw(of_b, lines, title="Paper B: MedSpectralNet", xlabel=xlabel)
    lines = []
    for system in load_plan().systems["imagenet"]:
        if system.published is not None:
            group, printed = find_group(groups, system.config), system.published.at("auc").value
            lines.append(beside_printed(system.title, group, "auc", printed, **looks))
    _draw(of_a, lines, title="Paper A: other images, no verdict", xlabel="test AUC; line: mean")
    share_legend([of_b])
    return figure


def _draw(axes: Axes, lines: Sequence[ForestLine], *, title: str, xlabel: str) -> None:
    plot_forest(lines, axes=axes, xlabel=xlabel).set_title(title)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)


def blocks_picture() -> Figure:
    """Draw MedSpectralNet as paper B's section 3.1 describes it."""
    figure, axes = plt.subplots(figsize=(FULL_WIDTH, 1.75))
    axes.set(xlim=(0, 100), ylim=(0, 26))
    axes.axis("off")
    boxes = {
        "image": (1, 9, 9, 8, "image", "plain"),
        "backbone": (14, 9, 13, 8, "ResNet-18\n(ImageNet)", "backbone"),
        "flow": (34, 16, 15, 8, "SpectralFlow\nlow, high bands", "block"),
        "gate": (34, 2, 15, 8, "ContextGate\ngated context", "block"),
        "sum": (54, 9.5, 7, 7, "+", "plain"),
        "depthwise": (64, 9, 10, 8, "depthwise\n3 x 3", "plain"),
        "flow2": (77, 9, 10, 8, "Spectral-\nFlow", "block"),
        "head": (90, 9, 9.5, 8, "norm, pool,\nclassifier", "plain"),
    }
    for x, y, width, height, text, kind in boxes.values():
        axes.add_patch(
            FancyBboxPatch(
                (x, y),
                width,
                height,
                boxstyle="round,pad=0.15,rounding_size=1",
                facecolor=_FACE[kind],
                edgecolor="black",
                linewidth=0.8,
            )
        )
        axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=7)

    def side(name: str, right: bool) -> tuple[float, float]:
        x, y, width, height, *_ = boxes[name]
        return (x + width if right else x), y + height / 2

    arrow = {"arrowstyle": "-|>", "color": "black", "linewidth": 0.8, "shrinkA": 1}
    for path in (
        ("image", "backbone", "flow"),
        ("backbone", "gate"),
        ("backbone", "sum"),
        ("flow", "sum"),
        ("gate", "sum"),
        ("sum", "depthwise", "flow2", "head"),
    ):
        for start, end in pairwise(path):
            axes.annotate("", side(end, False), side(start, True), arrowprops=arrow)
    axes.text(30.5, 14, "$f_b$", fontsize=8, ha="center")
    return figure


def notebooks_picture(folder: Path) -> Figure:
    """Draw a contact sheet: a panel of each executed notebook of a folder, in tiles of one size.

    One that is missing, or has no picture, is left out; a `ValueError` where none has one.
    """
    shown = [(name, _panel(folder / f"{name}.ipynb", *where)) for name, *where in PANELS]
    shown = [(name, panel) for name, panel in shown if panel is not None]
    if not shown:
        raise ValueError(f"no notebook in {folder.name} has a picture: execute them first.")
    n_rows = -(-len(shown) // _COLUMNS)
    height = FULL_WIDTH / _COLUMNS * _TILE[1] / _TILE[0] + 0.15
    figure, grid = image_grid(n_rows, _COLUMNS, size=(FULL_WIDTH, n_rows * height))
    for axes, (name, panel) in zip(grid.flat, shown, strict=False):
        axes.imshow(ImageOps.pad(panel, _TILE, color="white"), interpolation="antialiased")
        axes.set_frame_on(True)
        axes.spines[:].set(visible=True, color="#CCCCCC", linewidth=0.6)
        axes.set_title(name, loc="left", fontsize=8)
    return figure


def _panel(file: Path, number: int, box: tuple[int, int, int, int] | None) -> Image.Image | None:
    """Return a part of a notebook's picture, counted from 1; None without so many pictures."""
    pictures = _pictures(file) if file.exists() else []
    return pictures[number - 1].crop(box) if len(pictures) >= number else None


def _pictures(file: Path) -> list[Image.Image]:
    """Return the PNG outputs of a notebook, on white."""
    found = []
    for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            if png := output.get("data", {}).get("image/png"):
                image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA")
                white = Image.new("RGBA", image.size, "white")
                found.append(Image.alpha_composite(white, image).convert("RGB"))
    return found


def drawn(groups: Sequence[Group]) -> dict[str, bytes]:
    """Return the three pictures: path as seen from the repository -> PNG."""
    makers = {
        "answer": partial(answer_picture, groups),
        "blocks": blocks_picture,
        "notebooks": partial(notebooks_picture, repo_root() / "notebooks"),
    }
    pictures = {}
    with style():
        for name, make in makers.items():
            file, figure = io.BytesIO(), make()
            figure.savefig(file, dpi=150, metadata={"Software": None})
            plt.close(figure)
            pictures[f"{FOLDER}/{name}.png"] = file.getvalue()
    return pictures


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(prog="python -m study pictures", description=__doc__)
    parser.parse_args(arguments)
    for name, png in drawn(group_runs(filter(is_real, list_runs()))).items():
        with write_atomically(repo_root() / name) as temporary:
            temporary.write_bytes(png)
        print(name)
