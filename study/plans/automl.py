"""What defines an AutoML run: `params/automl.yaml`, and the configuration of one search."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from helpers.config import PROFILES
from helpers.paths import results_root
from study.plans.form import (
    Form,
    PlanError,
    Several,
    check_known,
    check_unique,
    checked,
    params_file,
    read_plan,
)

RECIPE = "automl"
METRIC = "log_loss"


@dataclass(frozen=True)
class System:
    """What FLAML sees: pooled features of a frozen backbone with ImageNet weights, or pixels."""

    title: str
    backbone: str | None  # torchvision's name, None for the pixels themselves

    @property
    def pretrained(self) -> str:
        """Whether anything was learned elsewhere, as in the other runs' configurations."""
        return "imagenet" if self.backbone else "none"


SYSTEMS = {
    "flaml_pixels": System("FLAML on pixels", None),
    "flaml_resnet18": System("FLAML on features of a frozen ResNet-18", "resnet18"),
}


def _known_system(name: str) -> str:
    check_known(name, SYSTEMS, "AutoML system")
    return name


class AutoMLConfig(Form):
    """One search, with one of the two budgets."""

    dataset: str
    model: Annotated[str, AfterValidator(_known_system)]
    seed: int = Field(ge=0)
    image_size: int = Field(ge=1)  # pixels of what enters the system
    estimators: str  # FLAML's names, joined by commas
    time_budget_seconds: float | None = Field(gt=0)  # of the processor
    # FLAML does not search with one trial: it takes its first configuration unseen.
    max_trials: int | None = Field(ge=2)
    profile: Literal[PROFILES] = "paper"

    @model_validator(mode="after")
    def _has_one_budget(self) -> "AutoMLConfig":
        seconds, trials = self.time_budget_seconds, self.max_trials
        if (seconds is None) == (trials is None):
            raise PlanError(
                "a search has one budget: time_budget_seconds or max_trials, got "
                f"{seconds} and {trials}."
            )
        return self

    @property
    def system(self) -> System:
        """What FLAML is given."""
        return SYSTEMS[self.model]

    @property
    def budget(self) -> str:
        """The budget in words."""
        if self.max_trials is not None:
            return f"{self.max_trials} trials"
        return f"{self.time_budget_seconds:g} s of processor time"

    def to_dict(self) -> dict[str, Any]:
        """Return all values, and what all AutoML runs share, as a JSON-ready dictionary."""
        shared = {"recipe": RECIPE, "metric": METRIC, "threads": 1}
        return shared | self.model_dump() | {"pretrained": self.system.pretrained}

    def hash(self) -> str:
        """Return ten hexadecimal digits that identify everything but the seed and the profile."""
        identity = {k: v for k, v in self.to_dict().items() if k not in ("seed", "profile")}
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:10]

    @property
    def folder(self) -> Path:
        """The run's folder, which may not exist yet."""
        dataset = self.dataset.replace(":", "_").replace("/", "_")
        leaf = f"{self.hash()}_s{self.seed}"
        return automl_root(self.profile) / "runs" / RECIPE / dataset / self.model / leaf


class NotRun(Form):
    """A system of the benchmark that keeps its published values, and why it is not run."""

    name: str
    reason: str
    checked: Several[str] = Field(min_length=1)  # where the reason was looked up


class Given(Form):
    """What a system is given: images of so many pixels."""

    image_size: int


class AutoMLPlan(Form):
    """The content of `params/automl.yaml`."""

    datasets: Several[str] = Field(min_length=1)
    systems: dict[str, Given] = Field(min_length=1)
    seeds: Several[int] = Field(min_length=1)
    estimators: Several[str]
    time_budget_seconds: float | None
    max_trials: int | None
    not_run: Several[NotRun]

    @model_validator(mode="after")
    def _plans_each_run_once(self) -> "AutoMLPlan":
        check_unique(self.datasets, "datasets")
        check_unique([str(seed) for seed in self.seeds], "seeds")
        self.configs()
        return self

    def config(
        self,
        dataset: str,
        system: str,
        seed: int,
        *,
        profile: str = "paper",
        time_budget_seconds: float | None = None,
        max_trials: int | None = None,
    ) -> AutoMLConfig:
        """Return a search by the plan's protocol, with another budget if one is given."""
        _known_system(system)
        if time_budget_seconds is None and max_trials is None:
            time_budget_seconds, max_trials = self.time_budget_seconds, self.max_trials
        content = {
            "dataset": dataset,
            "model": system,
            "seed": seed,
            "profile": profile,
            "image_size": self.systems[system].image_size,
            "estimators": ",".join(self.estimators),
            "time_budget_seconds": time_budget_seconds,
            "max_trials": max_trials,
        }
        return checked(AutoMLConfig, content)

    def configs(
        self,
        *,
        datasets: Sequence[str] | None = None,
        systems: Sequence[str] | None = None,
        seeds: Sequence[int] | None = None,
        **options: Any,
    ) -> list[AutoMLConfig]:
        """Return all planned searches, or others; `options` as of `config`.

        Seed by seed: a plan that is interrupted leaves cells of equal n.
        """
        return [
            self.config(dataset, system, seed, **options)
            for seed in seeds or self.seeds
            for dataset in datasets or self.datasets
            for system in systems or self.systems
        ]


def automl_root(profile: str = "paper") -> Path:
    """Return the tree of AutoML runs, apart from that of trained networks."""
    return results_root(profile) / "automl"


def load_plan(path: Path | None = None) -> AutoMLPlan:
    """Read `params/automl.yaml`; errors as of `read_plan`."""
    return read_plan(AutoMLPlan, path or params_file("automl.yaml"))
