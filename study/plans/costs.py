"""What the efficiency study measures, and its targets: `params/efficiency.yaml`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, InstanceOf, model_validator

from helpers.models.registry import model_entry
from study.plans.form import Form, PlanError, Settings, Several, check_known, params_file, read_plan
from study.plans.ranking import load_plan as load_ranking_plan

EAGER, COMPILED, ONNX, INT8 = "eager", "compiled", "onnx", "int8"
BACKENDS = (EAGER, COMPILED, ONNX, INT8)
# Fewer rounds than this are never taken, however slow a candidate is.
FEWEST_ROUNDS = 3
GROUPS = (
    "main_latency",
    "main_throughput",
    "small_latency",
    "claimed_latency",
    "claimed_throughput",
    "others_latency",
    "others_throughput",
)


@dataclass(frozen=True)
class Candidate:
    """A network in one form; a `PlanError` where the form is unknown."""

    model: str
    backend: str

    def __post_init__(self) -> None:
        check_known(self.backend, BACKENDS, "backend")

    @property
    def name(self) -> str:
        """Both in one word, as stored."""
        return f"{self.model} {self.backend}"


_Candidate = Annotated[InstanceOf[Candidate], BeforeValidator(lambda entry: Candidate(**entry))]


class Target(Form):
    """A ratio of two times, `time` divided by that of `of`, that must not exceed a bound."""

    title: str
    time: _Candidate
    of: _Candidate
    at_most: float


class Rounds(Form):
    """How long a group is measured: see `timing.interleave`."""

    rounds: int = Field(ge=FEWEST_ROUNDS)
    budget: float


class CostPlan(Form):
    """The content of `params/efficiency.yaml`; sizes in pixels, batches in images."""

    image_size: int  # of all counts and times but the small ones
    small_size: int
    num_classes: int  # logits of the networks that are timed
    threads: int  # of torch and ONNX Runtime
    latency_batch: int
    throughput_batch: int
    training_batch: int
    reference: str  # the model whose eager time stands in every group
    main: Several[str]  # models in all forms
    # Of two models the first is said to be faster.
    claimed: Several[str] = Field(min_length=2, max_length=2)
    others_per_group: int  # how many of `others` take turns
    export_seconds: int  # processor time that the exporter may take for a network
    rounds: dict[str, Rounds]  # by group
    targets: Several[Target]
    calibration_images: int  # for 8-bit integers
    int8_runs: Several[Settings]  # what the configurations of the judged runs have
    titles: dict[str, str]  # of all models, those of `params/ranking.yaml`
    others: Several[str]  # models eager and by ONNX Runtime: all but main

    @model_validator(mode="before")
    @classmethod
    def _with_titles(cls, content: dict[str, Any]) -> dict[str, Any]:
        titles = {model: system.title for model, system in load_ranking_plan().systems.items()}
        others = [model for model in titles if model not in content.get("main", ())]
        return content | {"titles": titles, "others": others}

    @model_validator(mode="after")
    def _speaks_of_known_models(self) -> "CostPlan":
        for model in (*self.main, self.reference):
            model_entry(model)
        for model in (*self.main, *self.claimed):
            check_known(model, self.titles, "model of params/ranking.yaml")
        for model in (self.reference, *(s.model for t in self.targets for s in (t.time, t.of))):
            check_known(model, self.main, "model of main")
        if set(self.rounds) != set(GROUPS):
            raise PlanError(f"rounds needs the groups {', '.join(GROUPS)}.")
        return self

    # What is timed together, as `Store.times` takes it.

    @property
    def latency(self) -> dict[str, int]:
        """One image."""
        return {"image_size": self.image_size, "batch_size": self.latency_batch}

    @property
    def throughput(self) -> dict[str, int]:
        """Many images."""
        return self.latency | {"batch_size": self.throughput_batch}

    @property
    def small_latency(self) -> dict[str, int]:
        """One small image."""
        return self.latency | {"image_size": self.small_size}

    @property
    def models(self) -> tuple[str, ...]:
        """All models, in the order of the tables."""
        return (*self.main, *self.others)


def load_plan(path: Path | None = None) -> CostPlan:
    """Read the plan; errors as of `read_plan`."""
    return read_plan(CostPlan, path or params_file("efficiency.yaml"))
