"""The rule of 06_gradcam's measurement, read from `params/localisation.yaml`."""

from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from helpers.paths import results_root
from study.plans.form import Form, Settings, Several, check_known, params_file, read_plan

CONTROLS = "controls"


def _settings_apart(entry: dict[str, Any], *own: str) -> dict[str, Any]:
    """Put what is no key of the entry's own among the settings of its runs."""
    runs = {name: value for name, value in entry.items() if name not in own}
    return {name: entry[name] for name in own if name in entry} | {"runs": runs}


class Network(Form):
    """A network of a study; its `id` is the name of its file."""

    id: str
    title: str
    runs: Settings  # what its runs have in common, the seed left open
    # None for the trained network; the untrained one starts from these weights.
    start: Literal["none", "imagenet"] | None = None


class Study(Form):
    """One data set with lesion boxes, and the networks whose maps are measured on it."""

    name: str
    title: str
    profile: str
    common: Settings  # what the runs of all networks share
    dataset: str
    seeds: Several[int]
    networks: Several[Network]

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, entry: dict[str, Any]) -> dict[str, Any]:
        common = entry["common"] | {"dataset": entry["dataset"], "label_noise": 0.0}
        own = ("id", "title", "start")
        networks = [_settings_apart(network, *own) for network in entry["networks"]]
        return entry | {"networks": [n | {"runs": common | n["runs"]} for n in networks]}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its files: the networks, and the controls that know no network."""
        return (*(network.id for network in self.networks), CONTROLS)

    def file(self, name: str) -> Path:
        """Return the path of one of its files."""
        return results_root(self.profile) / "localisation" / f"{self.name}_{name}.npz"


class Focus(Form):
    """A data set without boxes whose maps are compared between a normal class and the others."""

    runs: Settings
    normal: int

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, entry: dict[str, Any]) -> dict[str, Any]:
        return _settings_apart(entry, "normal")


class MapPlan(Form):
    """The content of `params/localisation.yaml`."""

    level: float
    crop: float
    threshold: float
    methods: Several[str]
    measures: Several[str]
    primary: str
    input_controls: Several[str]
    studies: Several[Study]
    focus: Several[Focus]

    def study(self, name: str) -> Study:
        """Return a study; a `PlanError` where there is none of that name."""
        known = {study.name: study for study in self.studies}
        check_known(name, known, "study")
        return known[name]


def load_plan(path: Path | None = None) -> MapPlan:
    """Read the rule; errors as of `read_plan`."""
    return read_plan(MapPlan, path or params_file("localisation.yaml"))
