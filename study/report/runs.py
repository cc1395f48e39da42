"""Runs by themselves: a chart for each data set, pictures, what they ran on."""

import base64
import io
from collections.abc import Iterator, Sequence

import matplotlib.pyplot as plt
import pandas as pd

from helpers.plots import figures, style
from helpers.runs.groups import Group
from helpers.runs.store import Run
from study.report.charts import ACCURACY, OURS, PROTOCOL, Chart, chart, each, start_title
from study.table import code, column, number
from study.tables.accuracy import protocol_labels
from study.tables.scores import score_cells

PICTURES = {
    "roc": "ROC on the test images",
    "confusion_matrix": "Confusion matrix of the test images",
    "reliability": "Reliability on the test images: how often a confidence is right",
    "training": "Loss, accuracy, AUC and learning rate by epoch",
}
METRICS = {"auc": "AUC", "f1": "F1", "ece": "calibration error"}


def charts(groups: Sequence[Group]) -> Iterator[tuple[bool, Chart]]:
    """Yield a chart for each data set and start, the best network first.

    Before it whether its images are phantom ones, which never share a chart with real ones.
    """
    columns = [
        column("network", "model", write=code),
        OURS,
        *(
            column(title, f"{name}_mean", write=number, missing="undefined")
            for name, title in METRICS.items()
        ),
        PROTOCOL,
    ]
    rows = [
        score_cells(group, ("accuracy", *METRICS))
        | {
            "model": group.config["model"],
            "start": group.config["pretrained"],
            "dataset": group.dataset,
            "phantom": group.is_phantom,
            "protocol": protocol,
        }
        for group, protocol in zip(groups, protocol_labels(groups), strict=True)
    ]
    for (phantom, *named), part in each(pd.DataFrame(rows), "phantom", "dataset", "start"):
        best_first = part.sort_values("accuracy_mean", ascending=False)
        for one in chart(start_title(*named), best_first, columns, ACCURACY):
            yield phantom, one


def pictures(run: Run) -> Iterator[tuple[str, str]]:
    """Yield pictures of a run: what one shows, in words, and a PNG as a data URI."""
    phantom = ", phantom data" if run.record["data"]["phantom"] else ""
    for name, words in PICTURES.items():
        figure, png = figures.draw(name, run), io.BytesIO()
        with style.style():
            figure.savefig(png, format="png", dpi=120)
        plt.close(figure)
        encoded = base64.b64encode(png.getvalue()).decode()
        yield f"{words}{phantom}", f"data:image/png;base64,{encoded}"


def environment(runs: Sequence[Run]) -> dict[str, str]:
    """Return what the runs ran on; several values of one thing are all named."""
    found: dict[str, set[str]] = {}
    for run in runs:
        git = run.record["git"]
        sha = (git["sha"] or "unknown") + (", with changes not committed" if git["dirty"] else "")
        for name, value in ({"code": sha} | run.record["env"]).items():
            found.setdefault(name, set()).add(str(value))
    return {name: "; ".join(sorted(values)) for name, values in found.items()}
