"""Stored runs grouped by protocol: the seeds of a group are repetitions of one experiment."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from helpers.config import RunConfig, without_size
from helpers.data.rebuilt import Rebuilt, find_rebuilt
from helpers.metrics import intervals
from helpers.metrics.intervals import Scores, accuracy_scores, auc_scores
from helpers.metrics.scores import Estimate
from helpers.runs.replicas import draws
from helpers.runs.store import Run

# The measures that have an interval over images and seeds.
MEASURES = {"accuracy": accuracy_scores, "auc": auc_scores}


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

    @cached_property
    def accuracy(self) -> Estimate:
        """Test accuracy over the seeds, with the interval of other images and other seeds."""
        return self.estimate("accuracy", intervals.mean)

    @cached_property
    def auc(self) -> Estimate:
        """Test AUC, likewise."""
        return self.estimate("auc", intervals.mean)

    @cached_property
    def constant(self) -> tuple[int, ...]:
        """The seeds whose network answers one class for every test image."""
        answers = [(s, run.predictions("test")[1].argmax(axis=1)) for s, run in self._by_seed]
        return tuple(seed for seed, classes in answers if (classes == classes[0]).all())

    @cached_property
    def right(self) -> np.ndarray:
        """Whether each seed is right on each test image, bool (seeds, images)."""
        runs = [run.predictions("test") for run in self.runs]
        return np.stack([p.argmax(axis=1) == y_true for y_true, p in runs])

    @property
    def is_constant(self) -> bool:
        """Whether most seeds answer one class: such a network has learnt nothing to compare."""
        return 2 * len(self.constant) > len(self.runs)

    @property
    def _by_seed(self) -> list[tuple[int, Run]]:
        return list(zip(self.seeds, self.runs, strict=True))

    @cached_property
    def _scores(self) -> dict[tuple[str, bool], Scores]:
        return {}

    def scores(self, measure: str, *, replicas: bool = False) -> Scores:
        """Return "accuracy" or "auc" by run and test image.

        Args:
            measure: one of `MEASURES`.
            replicas: whether runs that were made again elsewhere follow the stored ones.

        Raises:
            GroupError: runs with other test labels.
        """
        key = (measure, replicas)
        if key not in self._scores:
            runs = draws(self.runs) if replicas else self.runs
            labels, probabilities = zip(*(run.predictions("test") for run in runs), strict=True)
            if any(not np.array_equal(labels[0], other) for other in labels):
                raise GroupError(f"{_name(self.config)}: the test labels differ between runs.")
            self._scores[key] = MEASURES[measure](labels[0], np.stack(probabilities))
        return self._scores[key]

    def estimate(self, measure: str, how: Callable[..., Estimate]) -> Estimate:
        """Return the mean of a measure, or where one more run falls; replicas are draws of a seed.

        Args:
            measure: one of `MEASURES`.
            how: `intervals.mean`, `mean_here` or `one_more_run`.
        """
        runs = draws(self.runs)
        if len(runs) == len(self.runs):
            return how(self.scores(measure))
        of_seed = [run.config["seed"] for run in runs]
        return how(self.scores(measure, replicas=True), groups=of_seed)

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


def check_same_images(a: Group, b: Group) -> None:
    """Refuse a comparison of runs that saw different data or test images.

    Raises:
        ComparisonError: naming both.
    """
    names = f"{_name(a.config)} and {_name(b.config)}"
    if a.md5 != b.md5:
        raise ComparisonError(
            f"{names} saw different data, md5 {a.md5} and {b.md5}; only runs on the same images "
            "make a pair."
        )
    labels = [run.predictions("test")[0] for group in (a, b) for run in group.runs]
    if not all(np.array_equal(labels[0], other) for other in labels):
        raise ComparisonError(
            f"{names}: the test labels differ between runs; only runs on the same images in the "
            "same order make a pair."
        )


def common_seeds(a: Group, b: Group) -> tuple[int, ...]:
    """Return the seeds that both have, in a's order."""
    return tuple(seed for seed in a.seeds if seed in b.seeds)


def paired_scores(a: Group, b: Group, measure: str) -> tuple[Scores, Scores]:
    """Return a measure of both, of the seeds that both have.

    Raises:
        ComparisonError: see `check_same_images`.
    """
    check_same_images(a, b)
    seeds = common_seeds(a, b)
    return tuple(_of_seeds(group, measure, seeds) for group in (a, b))


def _of_seeds(group: Group, measure: str, seeds: Sequence[int]) -> Scores:
    scores, at = group.scores(measure), [group.seeds.index(seed) for seed in seeds]
    return replace(
        scores,
        values=scores.values[at],
        shares=scores.shares[at],
        reference=scores.reference[at],
    )
