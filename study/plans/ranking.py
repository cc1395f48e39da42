"""The plan of Table 3, measured: `params/ranking.yaml`, read and checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator
from typing_extensions import TypedDict

from helpers.config import RunConfig, make_config
from helpers.models.registry import list_models
from study.plans.form import (
    Form,
    PlanError,
    PublishedRow,
    Row,
    Several,
    Share,
    check_known,
    check_unique,
    params_file,
    read_plan,
)
from study.published import Published, find, start_of

STARTS = {"none": "Trained from scratch", "imagenet": "Started from ImageNet weights"}
START_WORDS = {
    "none": "from scratch",
    "imagenet": "from ImageNet weights",
    "not given": "start not given",
}


@dataclass(frozen=True)
class PublishedAccuracy:
    """A published accuracy on one data set."""

    row: str  # its name in its source
    published: Published
    start: str  # "imagenet", "none" or "not given"

    def fits(self, start: str) -> bool:
        """Say whether the value may stand in the ranking of a start."""
        return self.start in (start, "not given")


class Comparator(Form):
    """A model of the comparison; the published rows that speak of it, nearest protocol first."""

    model: str
    title: str
    rows: Several[PublishedRow] = Field((), alias="published")


class NotRebuilt(Form):
    """A published network that is not rebuilt."""

    title: str
    row: PublishedRow = Field(alias="published")
    reason: str


class ComparativeClaim(Form):
    """What the paper says of the focus against others, in words."""

    text: str
    section: str
    others: Several[str]  # models, all of `RankingPlan.as_published`


class Starts(TypedDict):
    """The models of each ranking."""

    none: Several[str]
    imagenet: Several[str]


class RankingPlan(Form):
    """The content of `params/ranking.yaml`."""

    paper: str  # whose table it is
    recipe: str  # the one protocol
    level: Share  # of the corrected p values
    rank_seeds: int = Field(ge=2)  # common seeds that tell a pair apart in the rank ranges
    focus: str  # the model that is compared with every other
    datasets: dict[str, str] = Field(min_length=1)  # name -> title
    systems: dict[str, Comparator] = Field(alias="models")  # by model
    starts: Starts
    as_published: Several[str]  # whom the paper compares its pretrained network with, from scratch
    claims: Several[ComparativeClaim]
    not_rebuilt: Several[NotRebuilt]

    @model_validator(mode="before")
    @classmethod
    def _by_model(cls, content: dict[str, Any]) -> dict[str, Any]:
        models = {name: {"model": name} | entry for name, entry in content["models"].items()}
        return content | {"models": models}

    @model_validator(mode="after")
    def _speaks_of_known_models(self) -> "RankingPlan":
        for model in self.systems:
            check_known(model, list_models(), "model")
        members = {f"starts, {start}": models for start, models in self.starts.items()}
        for where, models in (members | {"as_published": self.as_published}).items():
            for model in models:
                check_known(model, self.systems, f"model in {where}")
            check_unique(models, where)
        for where, models in members.items():
            if self.focus not in models:
                raise PlanError(f"{where}: the focus {self.focus!r} is not in it.")
        if not {*self.as_published} <= {*self.starts["none"]} - {self.focus}:
            raise PlanError("as_published holds others than the focus, from those of start none.")
        for model in (model for claim in self.claims for model in claim.others):
            check_known(model, self.as_published, "model in a claim")
        for dataset in self.datasets:
            self.config(dataset, self.focus, "none")
        return self

    def config(self, dataset: str, model: str, start: str) -> RunConfig:
        """Return the configuration, with seed 0, of a model's runs."""
        return make_config(
            recipe=self.recipe, dataset=dataset, model=model, seed=0, pretrained=start
        )

    def check(self, dataset: str, start: str) -> None:
        """Raise a `PlanError` with the known ones for another data set or start."""
        check_known(dataset, self.datasets, "data set")
        check_known(start, self.starts, "start")


def load_plan(path: Path | None = None) -> RankingPlan:
    """Read the plan; errors as of `read_plan`."""
    return read_plan(RankingPlan, path or params_file("ranking.yaml"))


# --- published accuracies ------------------------------------------------------------------------


def published_accuracies(rows: Sequence[Row], dataset: str) -> tuple[PublishedAccuracy, ...]:
    """Return what rows say of a data set (no size suffix), in their order; none where one lacks."""
    found = [(row, find(*row, f"{dataset}/accuracy")) for row in rows]
    return tuple(
        PublishedAccuracy(row.row, published, start_of(row.paper, row.row))
        for row, published in found
        if published and published.value is not None
    )
