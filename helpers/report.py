"""One page for people: `python -m helpers.report --profile quick` writes `report/index.html`.

The page is a single file with its style and figures inside; beside it lie the executed notebooks as
HTML. Everything on it comes from the run store of one profile. A quick profile and phantom data
are stamped in large letters, and never get a verdict.
"""

import argparse
import base64
import io
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import jinja2
import nbformat
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from nbconvert import HTMLExporter

from helpers import plots
from helpers.config import PROFILES
from helpers.groups import Group, group_runs
from helpers.paths import results_root, write_atomically
from helpers.results import Run, list_runs
from helpers.tables import MEDMNIST, STARTS, Row, build_rows, mean_sd, percent, protocol_labels
from helpers.verdicts import load_rules

TITLE = "Two light medical image classifiers, reproduced"
COMMAND = "python -m helpers.report"
METRICS = {
    "accuracy": "accuracy",
    "auc": "AUC",
    "average_precision": "average precision",
    "balanced_accuracy": "balanced accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "positive predictive value",
    "npv": "negative predictive value",
    "f1": "F1",
    "ece": "calibration error (ECE)",
    "brier": "Brier score",
}
LIMITS = (
    "Paper B gives neither learning rate nor batch size, image size or seeds, and contradicts its "
    "own parameter count. What is not given was chosen here and is part of each run's protocol.",
    "Paper A's images are not public; its numbers cannot be checked on the same data.",
    "Test sets are small: on 156 images one image is 0.64 points, so a close ranking is no order.",
    "Published values come from the same test images, and wide intervals hold much: that an "
    "interval contains a value is weak evidence for it.",
)
QUICK_LIMIT = (
    "This profile trains for a few epochs on small images, to show that every step runs. Its "
    "numbers do not measure the models."
)


def build_report(profile: str) -> Path:
    """Write the report of a profile.

    Args:
        profile: "paper" or "quick".

    Returns:
        The path of `index.html`. Existing pages are replaced, each atomically.
    """
    root = results_root(profile)
    folder = root / "report"
    pages = write_notebooks(root / "executed", folder)
    # The trees are apart already; a run that strayed is not shown under the wrong profile.
    runs = [run for run in list_runs(root) if run.config["profile"] == profile]
    html = render(runs, profile=profile, pages=pages)
    with write_atomically(folder / "index.html") as temporary:
        temporary.write_text(html, encoding="utf-8")
    return folder / "index.html"


def render(runs: Sequence[Run], *, profile: str, pages: Sequence[dict[str, str]] = ()) -> str:
    """Return the page.

    Args:
        runs: all runs of one profile, phantom ones included.
        profile: "paper" or "quick".
        pages: notebooks as returned by `write_notebooks`.
    """
    groups = group_runs(runs)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("helpers"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    quick = profile == "quick"
    phantom = [group.is_phantom for group in groups]
    return environment.get_template("report.html.j2").render(
        title=TITLE,
        command=f"{COMMAND} --profile {profile}",
        quick=quick,
        any_phantom=any(phantom),
        all_phantom=all(phantom),
        facts=_facts(groups),
        rankings=_rankings(groups, judged=not quick),
        not_run=[] if quick else _not_run(groups),
        details=_details(groups),
        notebooks=[page for page in pages if not page["training"]],
        trainings=[page for page in pages if page["training"]],
        environment=_environment(runs),
        limits=((QUICK_LIMIT, *LIMITS) if quick else LIMITS),
    )


def _facts(groups: Sequence[Group]) -> list[tuple[str, str]]:
    runs = [run for group in groups for run in group.runs]
    seconds = sum(run.record["timing"]["train_seconds"] for run in runs)
    hours = seconds >= 3 * 3600
    return [
        ("runs", f"{len(runs)}"),
        ("data sets", f"{len({(g.dataset, g.is_phantom) for g in groups})}"),
        ("models", f"{len({g.config['model'] for g in groups})}"),
        ("seeds, at most", f"{max((len(g.runs) for g in groups), default=0)}"),
        ("training, in all", f"{seconds / 3600:.1f} h" if hours else f"{seconds / 60:.1f} min"),
    ]


# --- results -----------------------------------------------------------------------------------


def _lower(heading: str) -> str:
    """Return a heading for the middle of a line; names keep their capitals."""
    return heading[0].lower() + heading[1:]


def _name(dataset: str) -> str:
    return MEDMNIST.get(dataset, dataset)


def _rankings(groups: Sequence[Group], *, judged: bool) -> list[dict[str, Any]]:
    """Return one ranking per data set and start; phantom data has rankings of its own."""
    rankings = []
    for phantom in (False, True):
        some = [group for group in groups if group.is_phantom == phantom]
        datasets = [*MEDMNIST, *sorted({g.dataset for g in some} - {*MEDMNIST})]
        rows = build_rows(some, datasets=datasets, rules=load_rules())
        rows = [row for row in rows if row.group]
        for dataset in datasets:
            for start, heading in STARTS.items():
                chosen = [r for r in rows if (r.dataset, r.start) == (dataset, start)]
                if chosen:
                    compare = judged and not phantom
                    ranking = _ranking(chosen, judged=compare)
                    ranking |= {
                        "dataset": _name(dataset),
                        "start": _lower(heading),
                        "phantom": phantom,
                    }
                    rankings.append(ranking)
    return rankings


def _not_run(groups: Sequence[Group]) -> list[str]:
    there = {group.dataset for group in groups if not group.is_phantom}
    return [title for name, title in MEDMNIST.items() if name not in there]


def _ranking(rows: Sequence[Row], *, judged: bool) -> dict[str, Any]:
    """Return the lines of one ranking, with intervals on one common scale."""
    published = [row.published.fraction if judged and row.published else None for row in rows]
    ends = [e for row in rows for e in (row.group.accuracy.low, row.group.accuracy.high)]
    ends += [value for value in published if value is not None]
    # Whole tens of percent, so that the scale's ends are easy numbers.
    low, high = np.floor(10 * min(ends)) / 10, np.ceil(10 * max(ends)) / 10

    def place(value: float | None) -> str | None:
        return None if value is None else f"{100 * (value - low) / (high - low):.1f}"

    lines = []
    for row, value in zip(rows, published, strict=True):
        accuracy = row.group.accuracy
        lines.append(
            {
                "model": row.model,
                "protocol": row.protocol,
                "accuracy": mean_sd(row.group.values("accuracy"), scale=100, digits=1),
                "interval": f"{percent(accuracy.low)} to {percent(accuracy.high)}",
                "left": place(accuracy.low),
                "width": f"{100 * (accuracy.high - accuracy.low) / (high - low):.1f}",
                "at": place(accuracy.mean),
                "mark": place(value),
                "auc": mean_sd(row.group.values("auc")),
                "seeds": f"n = {len(row.group.runs)}",
                "params": f"{row.group.record['model']['params'] / 1e6:.2f} M",
                "published": f"{percent(value)} ({row.system})" if value is not None else "",
                "verdict": "; ".join(filter(None, (row.verdict, *row.departures))),
            }
        )
    return {
        "rows": lines,
        "axis": (f"{100 * low:.0f}", f"{100 * high:.0f}"),
        "published": any(value is not None for value in published),
    }


# --- runs in detail ----------------------------------------------------------------------------


def _details(groups: Sequence[Group]) -> list[dict[str, Any]]:
    labels = protocol_labels(groups)
    return [_detail(group, label) for group, label in zip(groups, labels, strict=True)]


def _detail(group: Group, protocol: str) -> dict[str, Any]:
    run, selection = group.runs[0], group.record["selection"]
    return {
        "model": group.config["model"],
        "dataset": _name(group.dataset),
        "start": _lower(STARTS[group.config["pretrained"]]),
        "phantom": group.is_phantom,
        "protocol": protocol,
        "seeds": f"n = {len(group.runs)}",
        "first_seed": group.seeds[0],
        "metrics": _metrics(group),
        "figures": _figures(run),
        "selection": (
            f"Seed {group.seeds[0]}: epoch {selection['epoch']} of {group.config['epochs']} was "
            f"selected, {selection['metric'].replace('_', ' ')} {selection['value']:.3f}."
        ),
    }


def _metrics(group: Group) -> list[dict[str, str]]:
    lines = []
    for key, name in METRICS.items():
        estimate = group.record["metrics"]["test"][key]
        value, low, high = (
            "" if estimate[part] is None else f"{estimate[part]:.3f}"
            for part in ("value", "low", "high")
        )
        lines.append(
            {
                "name": name,
                "mean": mean_sd(group.values(key)),
                "value": value or "undefined",
                "interval": f"{low} to {high}" if low and high else "",
                "n": f"{estimate['n']}",
                "method": estimate["method"],
            }
        )
    return lines


def _figures(run: Run) -> list[dict[str, Any]]:
    record = run.record
    names = record["data"]["class_names"]
    y_true, probabilities = run.predictions("test")
    matrix = np.array(record["confusion_matrix"])
    history, selected = record["history"], record["selection"]["epoch"]
    auc = record["metrics"]["test"]["auc"]["value"]
    drawings: list[tuple[str, Callable[[Axes], Any]]] = []
    if auc is not None:
        drawings.append(
            (
                f"ROC on {len(y_true)} test images, AUC {auc:.3f}",
                lambda axes: plots.plot_roc(
                    y_true, probabilities, names, axes=axes, n_resamples=500
                ),
            )
        )
    drawings += [
        (
            f"Confusion matrix: {np.trace(matrix)} of {matrix.sum()} test images right",
            lambda axes: plots.plot_confusion_matrix(matrix, names, axes=axes),
        ),
        (
            f"Loss by epoch, {len(history)} epochs, epoch {selected} selected",
            lambda axes: plots.plot_history(history, axes=axes, selected=selected),
        ),
        (
            f"Accuracy by epoch, {len(history)} epochs, epoch {selected} selected",
            lambda axes: plots.plot_history(
                history, axes=axes, quantity="accuracy", selected=selected
            ),
        ),
    ]
    phantom = record["data"]["phantom"]
    return [_picture(alt, draw, phantom=phantom) for alt, draw in drawings]


def _picture(alt: str, draw: Callable[[Axes], Any], *, phantom: bool) -> dict[str, Any]:
    with plots.style():
        # No pyplot: it would keep every figure of a long report in memory.
        figure = Figure(figsize=plots.HALF_PAGE)
        draw(figure.subplots())
        if phantom:
            plots.stamp(figure, "phantom")
        buffer = io.BytesIO()
        # Without the metadata two reports of the same runs have the same bytes.
        figure.savefig(buffer, format="png", dpi=160, metadata={"Software": None})
    width, height = (round(160 * inches) for inches in plots.HALF_PAGE)
    png = base64.b64encode(buffer.getvalue()).decode()
    return {
        "alt": f"{alt}, phantom data" if phantom else alt,
        "png": png,
        "width": width,
        "height": height,
    }


def _environment(runs: Iterable[Run]) -> list[tuple[str, str]]:
    """Return what the runs ran on; several values of one thing are all named."""
    found: dict[str, dict[str, None]] = {}
    for run in runs:
        git = run.record["git"]
        sha = (git["sha"] or "unknown") + (", with changes not committed" if git["dirty"] else "")
        for name, value in ({"code": sha} | run.record["env"]).items():
            found.setdefault(name, {})[str(value)] = None
    return [(name, "; ".join(sorted(values))) for name, values in found.items()]


# --- notebooks -----------------------------------------------------------------------------------


def write_notebooks(executed: Path, folder: Path) -> list[dict[str, Any]]:
    """Write executed notebooks as HTML into the report's folder.

    Args:
        executed: folder of `*.ipynb`; it may not exist.
        folder: where the pages go; pages of notebooks that are gone are removed.

    Returns:
        For each page, in order of file names: `href`, `title`, `training` (a run of 04_train).
    """
    exporter = HTMLExporter(template_name="lab", embed_images=True)
    pages = []
    for path in sorted(executed.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        body, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": path.stem}})
        href = f"{re.sub(r'[^A-Za-z0-9_.-]', '_', path.stem)}.html"
        with write_atomically(folder / href) as temporary:
            temporary.write_text(body, encoding="utf-8")
        training = path.stem.startswith("04_train__")
        title = path.stem.removeprefix("04_train__").replace("__", " / ")
        pages.append(
            {
                "href": href,
                "title": title if training else _heading(notebook) or path.stem,
                "training": training,
            }
        )
    kept = {page["href"] for page in pages} | {"index.html"}
    for page in folder.glob("*.html"):
        if page.name not in kept:
            page.unlink()
    return pages


def _heading(notebook: nbformat.NotebookNode) -> str:
    """Return a notebook's first heading, "" if it has none."""
    for cell in notebook.cells:
        found = re.search(r"^# +(.+)$", cell.source, re.MULTILINE)
        if cell.cell_type == "markdown" and found:
            return found[1].strip()
    return ""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__.split("\n")[0])
    parser.add_argument("--profile", choices=PROFILES, default="paper")
    options = parser.parse_args(arguments)
    print(f"Report: {build_report(options.profile)}")


if __name__ == "__main__":
    main()
