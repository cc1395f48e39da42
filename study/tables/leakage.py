"""A second score for each result: on the test images that nothing ties to training.

A test image is tied if it has an equal or nearly equal copy in train or val, or is of a group
(patient, lesion) that is also there, as `helpers.data.leakage` finds them with its own bound. Which
ones these are is stored once in `results/leakage/<data set>.csv`, so that tables need no data:
`python -m study leakage breastmnist_64` writes it. All sizes of a MedMNIST set hold the
same pictures in the same order; the larger file tells look-alikes from copies better.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from helpers.config import without_size
from helpers.data.rebuilt import find_rebuilt
from helpers.files import DamagedFile
from helpers.metrics.intervals import image_scores, mean
from helpers.metrics.scores import evaluate
from helpers.paths import leakage_dir, write_text
from helpers.runs.groups import Group
from helpers.runs.store import Run
from helpers.terminal import escape_unshowable
from study.measurements import open_csv
from study.table import Table, code, column, csv_text, page, percent
from study.tables.scores import PERCENT, SEEDS, metric_column, range_column

COLUMNS = dict.fromkeys(
    (
        *("source", "md5", "n_test", "index", "label"),
        *("group_shared", "copy_in", "copy_index", "correlation", "same_label"),
    ),
    str,
) | dict.fromkeys(("n_test", "index", "label"), int)


class LeakageError(ValueError):
    """The file of tied test images is not of the form."""


@dataclass(frozen=True, eq=False)
class Tied:
    """The test images of a data set that something ties to its train or val split.

    Attributes:
        source: file that they were found in.
        n_test: test images of the set.
        index: int64 (N,), ascending.
        label: int64 (N,), their labels.
    """

    source: str
    n_test: int
    index: np.ndarray
    label: np.ndarray

    @property
    def free(self) -> np.ndarray:
        """Indices of the other test images, int64 (n_test - N,)."""
        return np.setdiff1d(np.arange(self.n_test), self.index)

    def fits(self, run: Run) -> bool:
        """Say whether a run's test images are these, as far as number and labels tell."""
        y_true, _ = run.predictions("test")
        return len(y_true) == self.n_test and np.array_equal(y_true[self.index], self.label)


def load_tied(dataset: str) -> Tied | None:
    """Return what is stored for a data set (name without a size), None if nothing is.

    Raises:
        LeakageError: the file is not of the form.
    """
    path = leakage_dir() / f"{dataset}.csv"
    if not path.is_file():
        return None
    advice = f"; write it anew (`{_command(dataset)}`)"
    with open_csv(path, COLUMNS, LeakageError, advice) as table:
        if table.empty or table["n_test"].nunique() != 1:
            raise DamagedFile(f"{path.name}: {len(table)} rows, expected those of one test split")
    first = table.iloc[0]
    index, label = (table[name].to_numpy(np.int64) for name in ("index", "label"))
    if not np.all((index >= 0) & (index < first["n_test"])):
        raise LeakageError(f"{path.name}: an index is beyond {first['n_test']} test images{advice}")
    return Tied(first["source"], int(first["n_test"]), index, label)


def score_on(run: Run, indices: np.ndarray) -> dict[str, float | None]:
    """Return a stored run's metrics on some of its test images (see `metrics.evaluate`)."""
    y_true, probabilities = run.predictions("test")
    points = evaluate(y_true[indices], probabilities[indices], n_resamples=0)
    return {name: estimate.value for name, estimate in points.items()}


def leakage_files(groups: Sequence[Group], protocols: Sequence[str]) -> dict[str, str]:
    """Return the tables of second scores: file name -> content.

    Args:
        groups: all groups; those of data sets with stored ties enter, if an image is free.
        protocols: of each group, in words.
    """
    labelled: dict[str, list[tuple[Group, str]]] = {}
    for group, protocol in zip(groups, protocols, strict=True):
        labelled.setdefault(group.dataset, []).append((group, protocol))
    rows, parts, entered, left_out = [], [], [], {}
    for dataset, members in sorted(labelled.items()):
        tied = load_tied(dataset)
        if tied is None or not len(tied.free):
            continue
        fitting = [(g, p) for g, p in members if all(tied.fits(run) for run in g.runs)]
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
_PARTS = ("all", "free", "tied")


def _parts(tied: Tied) -> tuple[np.ndarray, ...]:
    """Return the indices of each of `_PARTS`."""
    return np.arange(tied.n_test), tied.free, tied.index


PART_COLUMNS = (
    *(column("test images", "part"), column("how many", "images")),
    column("most frequent class as a constant answer, %", "constant", write=percent),
    column("found in"),
)


def _part_rows(dataset: str, tied: Tied, group: Group | None) -> list[dict]:
    """Return how many images each part has, and what a constant answer scores there."""
    rows = []
    for name, indices in zip(_PARTS, _parts(tied), strict=True):
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
    for part, indices in zip(_PARTS, _parts(tied), strict=True):
        scores = {run.path: score_on(run, indices) for run in group.draws}
        for metric in ("accuracy", "auc"):
            found = group.mean_and_sd(lambda run, name=metric, of=scores: of[run.path][name])
            row[f"{metric}_{part}_mean"], row[f"{metric}_{part}_sd"] = found
    free = group.estimate(image_scores(group.right[:, tied.free].astype(float)), mean)
    return row | {"accuracy_free_low": free.low, "accuracy_free_high": free.high}


COLUMNS_SHOWN = (
    column("start", "pretrained", write={"imagenet": "ImageNet", "none": "scratch"}.get),
    *(column("model", write=code), column("protocol"), SEEDS),
    *(metric_column(part, f"accuracy_{part}", **PERCENT) for part in ("all", "free")),
    range_column("95 % interval", "accuracy_free"),
    column("tied", "accuracy_tied_mean", write=percent),
    *(metric_column(f"AUC, {part}", f"auc_{part}", missing="undefined") for part in _PARTS),
)


# --- which images they are -----------------------------------------------------------------------


def find_tied(name: str) -> tuple[str, str]:
    """Look for the tied test images of a data set, which must be on this machine.

    Args:
        name: as for `load_dataset`.

    Returns:
        The name without a size (of a rebuilt set: the official one), and the content of its file.

    Raises:
        DataError: the data set cannot be had, or nothing ties its test images.
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


def _command(dataset: str) -> str:
    return f"python -m study leakage {dataset}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    escape_unshowable()
    parser = argparse.ArgumentParser(prog=_command("")[:-1], description=__doc__.split("\n")[0])
    parser.add_argument("datasets", nargs="+", help="names of data sets that are on this machine")
    for name in parser.parse_args(arguments).datasets:
        dataset, text = find_tied(name)
        path = leakage_dir() / f"{dataset.replace(':', '_').replace('/', '_')}.csv"
        write_text(path, text)
        print(f"{path.name}: {text.count(chr(10)) - 1} test images of {name}")


if __name__ == "__main__":
    main()
