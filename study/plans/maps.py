"""The rule of 06_gradcam's measurement, read from `params/localisation.yaml`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.files import read_yaml, reading
from helpers.paths import repo_root, results_root


@dataclass(frozen=True)
class Network:
    """A network of a study.

    Attributes:
        id: Name of its file.
        title: Name for readers.
        runs: What its runs have in common, the seed left open.
        start: None for the trained network; "none" or "imagenet" for the untrained one with these
            weights.
    """

    id: str
    title: str
    runs: dict[str, Any]
    start: str | None = None


@dataclass(frozen=True)
class Study:
    """One data set with lesion boxes, and the networks whose maps are measured on it."""

    name: str
    title: str
    profile: str
    dataset: str
    seeds: tuple[int, ...]
    networks: tuple[Network, ...]

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return results_root(self.profile) / "localisation"

    def network(self, name: str) -> Network:
        """Return a network by its id."""
        return next(network for network in self.networks if network.id == name)


@dataclass(frozen=True)
class Focus:
    """A data set without boxes whose maps are compared between a normal class and the others."""

    runs: dict[str, Any]
    normal: int


@dataclass(frozen=True)
class Plan:
    """The content of `params/localisation.yaml`."""

    level: float
    crop: float
    threshold: float
    methods: tuple[str, ...]
    measures: tuple[str, ...]
    primary: str
    input_controls: tuple[str, ...]
    studies: tuple[Study, ...]
    focus: tuple[Focus, ...]

    def study(self, name: str) -> Study:
        """Return a study by its name.

        Raises:
            ValueError: an unknown name.
        """
        for study in self.studies:
            if study.name == name:
                return study
        known = ", ".join(study.name for study in self.studies)
        raise ValueError(f"unknown study {name!r}; known: {known}.")


def load_plan(path: Path | None = None) -> Plan:
    """Read the rule.

    Raises:
        ValueError: a key is missing or unknown.
    """
    path = path or repo_root() / "params" / "localisation.yaml"
    with reading(path, ValueError):
        content = read_yaml(path)
        try:
            studies = tuple(_study(entry) for entry in content.pop("studies"))
            focus = tuple(
                Focus(
                    runs={k: v for k, v in entry.items() if k != "normal"}, normal=entry["normal"]
                )
                for entry in content.pop("focus")
            )
            lists = {
                name: tuple(content.pop(name)) for name in ("methods", "measures", "input_controls")
            }
            return Plan(studies=studies, focus=focus, **lists, **content)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path.name}: a key is missing or unknown: {error}.") from None


def _study(entry: dict[str, Any]) -> Study:
    common = entry["common"] | {"dataset": entry["dataset"], "label_noise": 0.0}
    named = ("id", "title", "start")
    networks = tuple(
        Network(
            runs=common | {k: v for k, v in network.items() if k not in named},
            **{k: v for k, v in network.items() if k in named},
        )
        for network in entry["networks"]
    )
    return Study(
        name=entry["name"],
        title=entry["title"],
        profile=entry["profile"],
        dataset=entry["dataset"],
        seeds=tuple(entry["seeds"]),
        networks=networks,
    )
