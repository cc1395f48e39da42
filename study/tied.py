"""Test images that something ties to training, and what runs score without them.

A test image is tied if it has an equal or nearly equal copy in train or val, or is of a group
(patient, lesion) that is also there, as `helpers.data.leakage` finds them with its own bound. Which
ones these are is stored once in `results/leakage/<data set>.csv`, so that tables need no data:
`python -m study leakage breastmnist_64` writes it. All sizes of a MedMNIST set hold the
same pictures in the same order; the larger file tells look-alikes from copies better.
"""

from dataclasses import dataclass

import numpy as np

from helpers.files import DamagedFile, read_csv
from helpers.metrics.scores import evaluate
from helpers.paths import leakage_dir
from helpers.runs.groups import Group
from helpers.runs.store import Run
from study.measurements import open_measured

COLUMNS = {
    "source": str,
    "md5": str,
    "n_test": int,
    "index": int,
    "label": int,
    "group_shared": str,
    "copy_in": str,
    "copy_index": str,
    "correlation": str,
    "same_label": str,
}


class LeakageError(ValueError):
    """The file of tied test images is not of the form."""


@dataclass(frozen=True, eq=False)
class Tied:
    """The test images of a data set that something ties to its train or val split."""

    source: str  # file that they were found in
    n_test: int  # test images of the set
    index: np.ndarray  # int64 (N,), ascending
    label: np.ndarray  # int64 (N,)
    of_groups: bool  # whether it is groups that tie them, not copies alone

    @property
    def free(self) -> np.ndarray:
        """Indices of the other test images, int64 (n_test - N,)."""
        return np.setdiff1d(np.arange(self.n_test), self.index)

    def fits(self, group: Group) -> bool:
        """Say whether the test images of runs are these, as far as number and labels tell."""
        labels = (run.predictions("test")[0] for run in group.runs)
        return all(
            len(y_true) == self.n_test and np.array_equal(y_true[self.index], self.label)
            for y_true in labels
        )


def load_tied(dataset: str) -> Tied | None:
    """Read what is stored for a data set (name without a size), None if nothing is.

    A `LeakageError` where the file is out of order.
    """
    path = leakage_dir() / f"{dataset}.csv"
    if not path.is_file():
        return None
    advice = f"; write it anew (`python -m study leakage {dataset}`)"
    with open_measured(path, LeakageError, advice):
        table = read_csv(path, COLUMNS)
        if table.empty or table["n_test"].nunique() != 1:
            raise DamagedFile(f"{path.name}: {len(table)} rows, expected those of one test split")
    first = table.iloc[0]
    index, label = (table[name].to_numpy(np.int64) for name in ("index", "label"))
    if not np.all((index >= 0) & (index < first["n_test"])):
        raise LeakageError(f"{path.name}: an index is beyond {first['n_test']} test images{advice}")
    of_groups = bool((table["group_shared"] == "True").any())
    return Tied(first["source"], int(first["n_test"]), index, label, of_groups)


def score_on(run: Run, indices: np.ndarray) -> dict[str, float | None]:
    """Return a stored run's metrics on some of its test images (see `metrics.evaluate`)."""
    y_true, probabilities = run.predictions("test")
    points = evaluate(y_true[indices], probabilities[indices], n_resamples=0)
    return {name: estimate.value for name, estimate in points.items()}


@dataclass(frozen=True)
class Free:
    """An accuracy, mean and deviation, on the test images that nothing ties to training."""

    mean: float
    sd: float | None
    images: int


def free_accuracy(group: Group) -> Free | None:
    """Return the accuracy of runs without tied images, as fractions.

    None where none is known to be tied, or the runs have other test images.
    """
    tied = load_tied(group.dataset)
    if tied is None or not len(tied.free) or not tied.fits(group):
        return None
    shares = group.right[:, tied.free].mean(axis=1).tolist()
    of_run = dict(zip((run.path for run in group.draws), shares, strict=True))
    return Free(*group.mean_and_sd(lambda run: of_run[run.path]), len(tied.free))
