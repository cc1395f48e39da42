"""Stored runs grouped by protocol: the seeds of a group are repetitions of one experiment."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from helpers.config import RunConfig, without_size
from helpers.data.rebuilt import Rebuilt, find_rebuilt
from helpers.metrics.paired import mean_auc
from helpers.metrics.seeds import SeedMean, seed_mean
from helpers.runs.store import Run


class GroupError(ValueError):
    """Runs contradict each other and cannot be averaged."""


@dataclass(frozen=True)
class Group:
    """Runs that differ in the seed alone.

    Attributes:
        dataset: name without a size suffix ("breastmnist", "cag:arcade_patches"); of a rebuilt set
            the official one, see `rebuilt`.
        source_size: side of the stored images in pixels.
        config: configuration without the seed.
        md5: of the data, None where there is no single file.
        runs: one per seed, in order of seeds.
    """

    dataset: str
    source_size: int
    config: dict[str, Any]
    md5: str | None
    runs: tuple[Run, ...]

    @property
    def rebuilt(self) -> Rebuilt | None:
        """What the images are a rebuilt version of, None if they are the official or own ones."""
        return find_rebuilt(self.config["dataset"], self.md5)

    @property
    def record(self) -> dict[str, Any]:
        """Content of the first seed's `run.json`, for what all seeds share."""
        return self.runs[0].record

    @property
    def seeds(self) -> list[int]:
        """The seeds, ascending."""
        return [run.config["seed"] for run in self.runs]

    @property
    def n_test(self) -> int:
        """How many test images."""
        return self.record["data"]["n"]["test"]

    @property
    def is_phantom(self) -> bool:
        """Whether the images are synthetic."""
        return self.record["data"]["phantom"]

    @property
    def accuracy(self) -> SeedMean:
        """Test accuracy over the seeds."""
        return seed_mean(self.values("accuracy"), n_images=self.n_test)

    def values(self, metric: str) -> list[float | None]:
        """Return a test metric of each seed, None where it is undefined."""
        return [run.record["metrics"]["test"][metric]["value"] for run in self.runs]


def is_real(run: Run) -> bool:
    """Say whether a run may stand among results: the paper profile, on real images."""
    return run.config["profile"] == "paper" and not run.record["data"]["phantom"]


def group_runs(runs: Iterable[Run]) -> list[Group]:
    """Group runs by protocol: the whole configuration but for the seed, and the data.

    Args:
        runs: stored runs; a table of results passes real ones only (`is_real`).

    Raises:
        GroupError: one protocol holds a seed twice, or test sets of different size.
    """
    grouped = defaultdict(list)
    for run in runs:
        config = {k: v for k, v in run.config.items() if k != "seed"}
        data = run.record["data"]
        key = (tuple(sorted(config.items())), data["name"], data["md5"], data["phantom"])
        grouped[key].append(run)
    groups = []
    for members in grouped.values():
        members = sorted(members, key=lambda run: run.config["seed"])
        _check_members(members)
        config = {k: v for k, v in members[0].config.items() if k != "seed"}
        data = members[0].record["data"]
        rebuilt = find_rebuilt(config["dataset"], data["md5"])
        dataset = rebuilt.official if rebuilt else without_size(config["dataset"])
        groups.append(Group(dataset, data["image_size"], config, data["md5"], tuple(members)))
    return sorted(groups, key=lambda g: (str(g.config), str(g.md5)))


def _check_members(members: Sequence[Run]) -> None:
    c = members[0].config
    name = f"{c['recipe']}/{c['dataset']}/{c['model']} ({c['pretrained']})"
    seeds = [run.config["seed"] for run in members]
    if len(set(seeds)) < len(seeds):
        raise GroupError(f"{name}: a seed stands twice in one protocol, seeds {seeds}.")
    sizes = {run.record["data"]["n"]["test"] for run in members}
    if len(sizes) > 1:
        raise GroupError(
            f"{name}: one protocol with test sets of {sorted(sizes)} images; delete the runs made "
            "on other data."
        )


def group_auc(group: Group) -> SeedMean:
    """Return the mean test AUC of a group's seeds."""
    _, y_true, probabilities, _ = paired_predictions(group, group)
    return mean_auc(y_true, probabilities)


class ComparisonError(ValueError):
    """The file of comparisons is not in order, or runs do not form a pair."""


def find_group(groups: Iterable[Group], config: RunConfig) -> Group | None:
    """Return the runs of a protocol, None if there are none.

    Raises:
        ComparisonError: runs of the protocol were made on different data.
    """
    wanted = {name: value for name, value in config.to_dict().items() if name != "seed"}
    found = [group for group in groups if group.config == wanted]
    if len(found) > 1:
        listed = "; ".join(f"md5 {g.md5}, seeds {g.seeds}" for g in found)
        raise ComparisonError(
            f"{_name(wanted)}: runs on {len(found)} versions of the data ({listed}); delete those "
            "that are not meant."
        )
    return found[0] if found else None


def _name(config: Mapping[str, Any]) -> str:
    return "/".join(config[key] for key in ("recipe", "model", "pretrained"))


def paired_predictions(
    a: Group, b: Group
) -> tuple[tuple[int, ...], np.ndarray, np.ndarray, np.ndarray]:
    """Return what two groups of runs say of the same test images, for the seeds that both have.

    Returns:
        The seeds; labels, int (n,); probabilities of a and of b, float (seeds, n, K). The arrays
        are empty without a common seed.

    Raises:
        ComparisonError: the runs saw different data or test images.
    """
    names = f"{_name(a.config)} and {_name(b.config)}"
    if a.md5 != b.md5:
        raise ComparisonError(
            f"{names} saw different data, md5 {a.md5} and {b.md5}; only runs on the same images "
            "make a pair."
        )
    seeds = tuple(seed for seed in a.seeds if seed in b.seeds)
    sides = [
        [run.predictions("test") for run in group.runs if run.config["seed"] in seeds]
        for group in (a, b)
    ]
    if not seeds:
        return seeds, *[np.empty(0)] * 3
    y_true = sides[0][0][0]
    if not all(np.array_equal(labels, y_true) for side in sides for labels, _ in side):
        raise ComparisonError(
            f"{names}: the test labels differ between runs; only runs on the same images in the "
            "same order make a pair."
        )
    return seeds, y_true, *(np.stack([p for _, p in side]) for side in sides)
