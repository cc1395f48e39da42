"""Stored runs grouped by protocol: the seeds of a group are repetitions of one experiment."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from helpers.verdicts import SeedMean, seed_mean


class GroupError(ValueError):
    """Runs contradict each other and cannot be averaged."""


@dataclass(frozen=True)
class Group:
    """Runs that differ in the seed alone.

    Attributes:
        dataset: name without a size suffix ("breastmnist", "cag:arcade_patches").
        source_size: side of the stored images in pixels.
        config: configuration without the seed.
        md5: of the data, None where there is no single file.
        records: one per seed, in order of seeds.
    """

    dataset: str
    source_size: int
    config: dict[str, Any]
    md5: str | None
    records: tuple[dict[str, Any], ...]

    @property
    def seeds(self) -> list[int]:
        """The seeds, ascending."""
        return [record["config"]["seed"] for record in self.records]

    @property
    def n_test(self) -> int:
        """How many test images."""
        return self.records[0]["data"]["n"]["test"]

    @property
    def is_phantom(self) -> bool:
        """Whether the images are synthetic."""
        return self.records[0]["data"]["phantom"]

    @property
    def accuracy(self) -> SeedMean:
        """Test accuracy over the seeds."""
        return seed_mean(self.values("accuracy"), n_images=self.n_test)

    def values(self, metric: str) -> list[float]:
        """Return a test metric of each seed; seeds where it is undefined are left out."""
        values = (record["metrics"]["test"][metric]["value"] for record in self.records)
        return [value for value in values if value is not None]


def is_real(record: dict[str, Any]) -> bool:
    """Say whether a run may stand among results: the paper profile, on real images."""
    return record["config"]["profile"] == "paper" and not record["data"]["phantom"]


def group_runs(records: Iterable[dict[str, Any]]) -> list[Group]:
    """Group records by protocol: the whole configuration but for the seed, and the data.

    Args:
        records: contents of `run.json`; a table of results passes real ones only (`is_real`).

    Raises:
        GroupError: one protocol holds a seed twice, or test sets of different size.
    """
    grouped = defaultdict(list)
    for record in records:
        config = {k: v for k, v in record["config"].items() if k != "seed"}
        data = record["data"]
        key = (tuple(sorted(config.items())), data["name"], data["md5"], data["phantom"])
        grouped[key].append(record)
    groups = []
    for members in grouped.values():
        members = sorted(members, key=lambda record: record["config"]["seed"])
        _check_members(members)
        config = {k: v for k, v in members[0]["config"].items() if k != "seed"}
        data = members[0]["data"]
        dataset = re.sub(r"_(28|64|128|224)$", "", config["dataset"])
        groups.append(Group(dataset, data["image_size"], config, data["md5"], tuple(members)))
    return sorted(groups, key=lambda g: (str(g.config), str(g.md5)))


def _check_members(members: Sequence[dict[str, Any]]) -> None:
    c = members[0]["config"]
    name = f"{c['recipe']}/{c['dataset']}/{c['model']} ({c['pretrained']})"
    seeds = [record["config"]["seed"] for record in members]
    if len(set(seeds)) < len(seeds):
        raise GroupError(f"{name}: a seed stands twice in one protocol, seeds {seeds}.")
    sizes = {record["data"]["n"]["test"] for record in members}
    if len(sizes) > 1:
        raise GroupError(
            f"{name}: one protocol with test sets of {sorted(sizes)} images; delete the runs made "
            "on other data."
        )
