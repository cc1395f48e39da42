"""A second score for each result: on the test images that nothing ties to training.

Which ones these are, `study.tied` says; `python -m study leakage breastmnist_64` writes it.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd

from helpers.config import without_size
from helpers.data.rebuilt import find_rebuilt
from helpers.metrics.intervals import image_scores, mean
from helpers.paths import leakage_dir, write_text
from helpers.runs.groups import Group
from helpers.terminal import escape_unshowable
from study.table import Table, code, column, csv_text, page, percent
from study.tables.accuracy import protocol_labels
from study.tables.scores import PERCENT, SEEDS, metric_column, range_column
from study.tied import COLUMNS, Tied, load_tied, score_on


def leakage_files(groups: Sequence[Group]) -> dict[str, str]:
    """Return the tables of second scores: file name -> content.

    Of all groups those of data sets with stored ties enter, if an image is free.
    """
    labelled = list(zip(groups, protocol_labels(groups), strict=True))
    rows, parts, entered, left_out = [], [], [], {}
    for dataset in sorted({group.dataset for group in groups}):
        tied = load_tied(dataset)
        if tied is None or not len(tied.free):
            continue
        members = [(group, protocol) for group, protocol in labelled if group.dataset == dataset]
        fitting = [(group, protocol) for group, protocol in members if tied.fits(group)]
        some = [_row(group, protocol, tied) for group, protocol in fitting]
        rows += sorted(some, key=lambda r: (r["pretrained"], -r["accuracy_free_mean"], r["model"]))
        entered += [group for group, _ in fitting]
        parts += _part_rows(dataset, tied, fitting[0][0] if fitting else None)
        left_out[dataset] = len(members) - len(fitting)
    table, about = Table.of(rows, COLUMNS_SHOWN, empty="Not run."), Table.of(parts, PART_COLUMNS)
    sections: list[str | Table] = []
    for dataset, others in left_out.items():
        sections += [f"## {dataset}", about.where(dataset=dataset), table.where(dataset=dataset)]
        if others:
            sections.append(f"Left out: {others} protocol(s) with other test images.")
    return {
        "leakage.md": page("Accuracy without tied test images", _INTRO, *sections, of=entered),
        "leakage.csv": table.csv(),
    }


_INTRO = (
    "Accuracy in %, mean ± sd over seeds, from the stored predictions: on all test images, on "
    "those that nothing ties to train or val (*free*: no equal or near copy, no shared group), and "
    "on the others (*tied*). The 95 % interval is that of the mean on the free images, made as in "
    "the other tables. The classes are not mixed alike in the parts, so an accuracy is to be read "
    "against the constant answer's, or beside the AUC, which does not depend on the mix."
)


def _parts(tied: Tied) -> dict[str, np.ndarray]:
    """Return the test images of each part."""
    return {"all": np.arange(tied.n_test), "free": tied.free, "tied": tied.index}


PART_COLUMNS = (
    column("test images", "part"),
    column("how many", "images"),
    column("most frequent class as a constant answer, %", "constant", write=percent),
    "found in",
)


def _part_rows(dataset: str, tied: Tied, group: Group | None) -> list[dict]:
    """Return how many images each part has, and what a constant answer scores there."""
    rows = []
    for name, indices in _parts(tied).items():
        row = {"dataset": dataset, "part": name, "images": len(indices), "found in": tied.source}
        if group:
            y_true, _ = group.runs[0].predictions("test")
            row["constant"] = float((y_true[indices] == np.bincount(y_true).argmax()).mean())
        rows.append(row)
    return rows


def _row(group: Group, protocol: str, tied: Tied) -> dict:
    row = {
        "dataset": group.dataset,
        "pretrained": group.config["pretrained"],
        "model": group.config["model"],
        "protocol": protocol,
        "n_seeds": len(group.runs),
        "n_test": tied.n_test,
        "n_free": len(tied.free),
    }
    for part, indices in _parts(tied).items():
        scores = {run.path: score_on(run, indices) for run in group.draws}
        for metric in ("accuracy", "auc"):
            found = group.mean_and_sd(lambda run, name=metric, of=scores: of[run.path][name])
            row[f"{metric}_{part}_mean"], row[f"{metric}_{part}_sd"] = found
    free = group.estimate(image_scores(group.right[:, tied.free].astype(float)), mean)
    return row | {"accuracy_free_low": free.low, "accuracy_free_high": free.high}


COLUMNS_SHOWN = (
    column("start", "pretrained", write={"imagenet": "ImageNet", "none": "scratch"}.get),
    column("model", write=code),
    "protocol",
    SEEDS,
    *(metric_column(part, f"accuracy_{part}", **PERCENT) for part in ("all", "free")),
    range_column("95 % interval", "accuracy_free"),
    column("tied", "accuracy_tied_mean", write=percent),
    *(
        metric_column(f"AUC, {part}", f"auc_{part}", missing="undefined")
        for part in ("all", "free", "tied")
    ),
)


# --- which images they are -----------------------------------------------------------------------


def find_tied(name: str) -> tuple[str, str]:
    """Look for the tied test images of a data set of `load_dataset`, which must be here.

    Returns its name without a size (of a rebuilt set: the official one), and the content of its
    file; a `DataError` where the set cannot be had, or nothing ties its test images.
    """
    from helpers.data.datasets import load_dataset
    from helpers.data.leakage import leakage_report
    from helpers.data.splits import DataError

    splits = load_dataset(name)
    report = leakage_report(splits)
    pairs = pd.concat([report.exact_across, report.near_across])
    pairs = pairs[pairs["split_b"] == "test"].sort_values("correlation", ascending=False)
    nearest = pairs.drop_duplicates("index_b").set_index("index_b")
    shared = set(report.in_earlier_group["test"].tolist())
    rows = []
    for index in report.tied("test").tolist():
        copy = nearest.loc[index] if index in nearest.index else None
        rows.append(
            {
                "source": splits.source,
                "md5": splits.md5,
                "n_test": len(splits.test),
                "index": index,
                "label": splits.test.labels[index],
                "group_shared": index in shared,
                "copy_in": "" if copy is None else copy["split_a"],
                "copy_index": pd.NA if copy is None else copy["index_a"],
                "correlation": None if copy is None else copy["correlation"],
                "same_label": "" if copy is None else bool(copy["same_label"]),
            }
        )
    if not rows:
        raise DataError(f"{name}: nothing ties its test images to train or val.")
    rebuilt = find_rebuilt(splits.name, splits.md5)
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"copy_index": "Int64"})
    dataset = rebuilt.official if rebuilt else without_size(splits.name)
    return dataset, csv_text(table, float_format="%.4f")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    escape_unshowable()
    summary = __doc__.split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m study leakage", description=summary)
    parser.add_argument("datasets", nargs="+", help="names of data sets that are on this machine")
    for name in parser.parse_args(arguments).datasets:
        dataset, text = find_tied(name)
        path = leakage_dir() / f"{dataset.replace(':', '_').replace('/', '_')}.csv"
        write_text(path, text)
        print(f"{path.name}: {text.count(chr(10)) - 1} test images of {name}")
