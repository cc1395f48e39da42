"""Stored runs grouped by protocol: the seeds of a group are repetitions of one experiment."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from helpers.config import without_size
from helpers.data.rebuilt import Rebuilt, find_rebuilt
from helpers.results import Run
from helpers.verdicts import SeedMean, seed_mean


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
