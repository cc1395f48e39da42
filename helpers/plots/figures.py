"""Figures of a run for print: `python -m helpers.plots.figures` writes `results/figures/<run>/`.

Each figure is made here once, by name, for the notebook and for the page: half a printed page wide,
as PNG and as PDF. The curves themselves are drawn by `helpers.plots.run`.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.config import PROFILES, make_config
from helpers.data.splits import Splits
from helpers.metrics.operating_points import operating_points
from helpers.metrics.scores import Estimate
from helpers.paths import results_root, write_atomically
from helpers.plots import run as plots
from helpers.plots import style
from helpers.runs.checks import confident_mistakes, load_images
from helpers.runs.store import Run, RunError, find_run, load_run, run_dir, run_id
from helpers.terminal import command, path_argument

DPI = 300
MOST_DPI = 1200
KEPT_DPI = 200  # of the figures that are kept with the repository: half the bytes
COLUMNS = 3  # mistakes side by side
# The runs whose figures are kept: each paper's own network, first seed.
MAIN_RUNS = (
    ("common", "breastmnist_64", "medspectralnet"),
    ("common", "pneumoniamnist", "medspectralnet"),
    ("brain_inspired", "cag:arcade_patches/subset800", "brain_inspired_resnet18"),
)


def main_runs() -> list[Run]:
    """Return those of `MAIN_RUNS` that are stored."""
    folders = [
        run_dir(
            make_config(recipe=recipe, dataset=dataset, model=model, seed=0, pretrained="imagenet")
        )
        for recipe, dataset, model in MAIN_RUNS
    ]
    return [load_run(folder) for folder in folders if (folder / "run.json").exists()]


# --- one run -------------------------------------------------------------------------------------


def draw(name: str, run: Run, *, splits: Splits | None = None) -> Figure:
    """Draw one of `FIGURES` of a run in the style of `helpers.plots.run`; a phantom's is stamped.

    Show or save it within `style.style()`, where ticks are made that do not exist before. A
    `ValueError` for an unknown name, "mistakes" without images (`splits`), or "operating_points" of
    more than two classes.
    """
    if name not in FIGURES:
        raise ValueError(f"unknown figure {name!r}; known: {', '.join(FIGURES)}.")
    if name == "mistakes" and splits is None:
        raise ValueError("The figure 'mistakes' shows test images: pass the data set as splits.")
    with style.style():
        figure = FIGURES[name](run, splits)
        if run.record["data"]["phantom"]:
            style.stamp(figure, "phantom")
        _settle(figure)
    return figure


def _settle(figure: Figure) -> None:
    """Lay a figure out; a first layout alone leaves labels beside axes of equal aspect cut off."""
    for _ in range(2):
        figure.draw_without_rendering()


def names_of(run: Run, splits: Splits | None) -> list[str]:
    """Return the figures that there are of a run, with or without its images."""
    left_out = {"mistakes"} if splits is None else set()
    if run.record["data"]["num_classes"] > 2:
        left_out.add("operating_points")
    return [name for name in FIGURES if name not in left_out]


def _classes(run: Run) -> list[str]:
    return run.record["data"]["class_names"]


def _confusion_matrix(run: Run, splits: Splits | None) -> Figure:
    matrix, names = np.array(run.record["confusion_matrix"]), _classes(run)
    kinds, size = ("both",), (style.HALF_WIDTH, 3.0)
    if len(names) >= plots.CROWDED:  # a cell holds one number: counts above, shares below
        side = style.HALF_WIDTH * max(1, len(names) / 16)
        kinds, size = ("counts", "shares"), (side, 1.75 * side)
    figure, panels = plt.subplots(len(kinds), 1, figsize=size, squeeze=False)
    for axes, cells in zip(panels.flat, kinds, strict=True):
        plots.plot_confusion_matrix(matrix, names, axes=axes, cells=cells)
    return figure


def _curve(
    run: Run, splits: Splits | None, *, plot: Callable[..., Axes], room: float = 0.0
) -> Figure:
    y_true, probabilities = run.predictions("test")
    names = _classes(run)
    if len(present := np.unique(y_true)) < 2:
        return _say(f"undefined: all test images are {style.plain(names[present[0]])}")
    width, height = plots.curve_size(len(names))
    figure, axes = plt.subplots(figsize=(width, height + room))
    plot(y_true, probabilities, names, axes=axes)
    return figure


def _say(text: str) -> Figure:
    """Return a figure that says why there is nothing to see."""
    figure = plt.figure(figsize=(style.HALF_WIDTH, 0.8))
    figure.text(0.5, 0.5, text, ha="center", va="center", wrap=True)
    return figure


def _operating_points(run: Run, splits: Splits | None) -> Figure:
    # Drawn are thresholds and Wilson intervals, so nothing is resampled.
    points = operating_points(run.predictions("val"), run.predictions("test"), n_resamples=0)

    def plot(y_true: np.ndarray, probabilities: np.ndarray, names: Any, *, axes: Axes) -> Axes:
        return plots.plot_operating_points(points, y_true, probabilities, axes=axes)

    return _curve(run, splits, plot=plot, room=0.5)  # for the legend below


def _reliability(run: Run, splits: Splits | None) -> Figure:
    figure, axes = plt.subplots()
    plots.plot_reliability(*run.predictions("test"), axes=axes)
    return figure


def _training(run: Run, splits: Splits | None) -> Figure:
    figure, panels = plt.subplots(2, 2, figsize=(style.HALF_WIDTH, 3.4), sharex=True)
    history, selected = run.record["history"], run.record["selection"]["epoch"]
    quantities = ("loss", "accuracy", "auc", "learning_rate")
    for axes, name in zip(panels.flat, quantities, strict=True):
        plots.plot_history(history, axes=axes, quantity=name, selected=selected, legend=False)
        axes.set_title("")  # the label of the axis says it
        axes.set_xlabel("epoch" if axes in panels[-1] else "")
    labels = {}
    for axes in panels.flat:
        labels |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(labels.values(), labels, loc="outside lower center", ncols=2)
    return figure


def _mistakes(run: Run, splits: Splits) -> Figure:
    """Draw the surest mistakes with index, probability, predicted and true class."""
    y_true, probabilities = run.predictions("test")
    y_pred = probabilities.argmax(axis=1)
    chosen, wrong = confident_mistakes(y_true, probabilities), np.count_nonzero(y_pred != y_true)
    if not wrong:
        return _say(f"no mistake among {len(y_true):,} test images")
    names = style.short_names(_classes(run), 17)
    rows = -(-len(chosen) // COLUMNS)
    figure, grid = style.image_grid(rows, COLUMNS, size=(style.HALF_WIDTH, 0.45 + 1.42 * rows))
    for axes, index in zip(grid.flat, chosen, strict=False):
        # Uninterpolated: a PDF holds the pixels as they are.
        style.show_image(axes, splits.test.images[index], interpolation="none")
        said, true = y_pred[index], y_true[index]
        caption = f"image {index}, p = {probabilities[index, said]:.3f}"
        caption += f"\nsaid {names[said]}\nis {names[true]}"
        axes.set_xlabel(caption, fontsize=style.SMALL, labelpad=2)
    title = f"{len(chosen)} of {wrong:,} mistakes" if len(chosen) < wrong else f"{wrong} mistakes"
    figure.suptitle(f"{title} in {len(y_true):,} images, the surest first", fontsize=8)
    return figure


FIGURES: dict[str, Callable[..., Figure]] = {
    "confusion_matrix": _confusion_matrix,
    "roc": partial(_curve, plot=plots.plot_roc),
    "precision_recall": partial(_curve, plot=plots.plot_precision_recall),
    "reliability": _reliability,
    "operating_points": _operating_points,
    "training": _training,
    "mistakes": _mistakes,
}


# --- several runs --------------------------------------------------------------------------------


def draw_overview(runs: Sequence[Run]) -> Figure:
    """Draw confusion matrix, ROC and reliability of runs, a row each, as wide as a page."""
    if not runs:
        raise ValueError("An overview needs at least one run.")
    with style.style():
        figure = plt.figure(figsize=(style.FULL_WIDTH, 2.5 * len(runs)))
        parts = np.atleast_1d(figure.subfigures(len(runs), 1))
        for run, part in zip(runs, parts, strict=True):
            config = run.config
            title = f"{config['dataset']}, {config['model']}, seed {config['seed']}"
            part.suptitle(style.plain(title))
            _overview_row(run, part.subplots(1, 3))
        if any(run.record["data"]["phantom"] for run in runs):
            style.stamp(figure, "phantom")
        _settle(figure)
    return figure


def _overview_row(run: Run, panels: Sequence[Axes]) -> None:
    names, (y_true, probabilities) = _classes(run), run.predictions("test")
    metrics = run.record["metrics"]["test"]
    plots.plot_confusion_matrix(np.array(run.record["confusion_matrix"]), names, axes=panels[0])
    plots.plot_roc(y_true, probabilities, names, axes=panels[1])
    plots.plot_reliability(y_true, probabilities, axes=panels[2])
    titles = (f"{name} {Estimate(**metrics[name.lower()])}" for name in ("Accuracy", "AUC", "ECE"))
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, fontsize=8)
        axes.set_anchor("N")
        # Three legends in a row would leave no room for the curves; the notebook explains them.
        if axes.get_legend():
            axes.get_legend().remove()


# --- files ---------------------------------------------------------------------------------------


def save(figure: Figure, name: str, *, folder: Path, dpi: int = DPI) -> tuple[Path, Path]:
    """Write a figure as `<name>.png` and `<name>.pdf`, each whole or not at all.

    The same figure gives the same bytes: no date and no program is written into the files. The PDF
    holds its letters as TrueType, which printers and editors of PDFs want. Returns the two paths;
    the folder is made if it does not exist.
    """
    png, pdf = Path(folder) / f"{name}.png", Path(folder) / f"{name}.pdf"
    no_program, no_date = {"Software": None}, dict.fromkeys(("Creator", "Producer", "CreationDate"))
    with style.style(), plt.rc_context({"pdf.fonttype": 42}):
        with write_atomically(png) as file:
            figure.savefig(file, dpi=dpi, metadata=no_program, pil_kwargs={"optimize": True})
        with write_atomically(pdf) as file:
            figure.savefig(file, dpi=dpi, metadata=no_date)
    return png, pdf


def folder_of(run: Run, root: Path) -> Path:
    """Return the folder for a run's figures: its name in one piece."""
    return Path(root) / run_id(run).replace("/", "__")


def write_figures(run: Run, root: Path, *, dpi: int = DPI) -> list[Path]:
    """Write all figures of a run below `root`; return the files.

    Without the data set the picture of the mistakes is left out; a `RunError` for another one.
    """
    splits = load_images(run)
    files = []
    for name in names_of(run, splits):
        figure = draw(name, run, splits=splits)
        files += save(figure, name, folder=folder_of(run, root), dpi=dpi)
        plt.close(figure)
    return files


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m helpers.plots.figures", description=__doc__)
    parser.add_argument("runs", nargs="*", help="names of runs, or parts of them; see find_run")
    parser.add_argument("--profile", choices=PROFILES, default="paper")
    parser.add_argument("--folder", type=path_argument, help="default: figures/ of the results")
    parser.add_argument("--dpi", type=int, default=KEPT_DPI, help="of the PNGs (%(default)s)")
    options = parser.parse_args(arguments)
    root = options.folder or results_root(options.profile) / "figures"
    if not 10 <= options.dpi <= MOST_DPI:
        raise ValueError(f"--dpi is {options.dpi}; expected 10 to {MOST_DPI}.")
    runs = [find_run(name, profile=options.profile) for name in options.runs] or main_runs()
    if not runs:
        raise RunError("none of the main runs is stored; name the runs to draw.")
    for run in runs:
        files = write_figures(run, root, dpi=options.dpi)
        print(f"{run_id(run)}: {len(files)} files in {folder_of(run, root).name}")
        if not any(file.stem == "mistakes" for file in files):
            print(f"  no picture of mistakes: {run.config['dataset']} cannot be had here")


if __name__ == "__main__":
    sys.exit(main())
