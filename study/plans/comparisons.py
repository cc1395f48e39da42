"""Planned comparisons of two protocols: `params/comparisons.yaml`."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, InstanceOf, model_validator
from typing_extensions import TypedDict

from helpers.config import RunConfig
from study.plans.form import (
    Form,
    PlanError,
    Protocol,
    PublishedRow,
    Row,
    Several,
    Share,
    check_known,
    check_unique,
    params_file,
    published_row,
    read_plan,
)

GAINS = {"accuracy": "accuracy", "auc": "AUC"}


class Pair(Form):
    """A planned comparison; the seeds of both protocols mean nothing."""

    name: str = Field(alias="id")  # once in its family
    title: str  # what A has and B lacks; the subject of "... changes AUC by"
    claim: str  # what the paper says, and where
    a: Protocol
    b: Protocol
    published: PublishedRow | None = None  # of the printed gain

    @model_validator(mode="after")
    def _differs(self) -> "Pair":
        if self.a == self.b:
            raise PlanError("a and b are the same protocol.")
        if self.published is not None:
            for metric in GAINS:
                self.published.at(metric)
        return self


class Family(Form):
    """Comparisons that are corrected together; `common` is what all their sides share."""

    name: str
    title: str
    common: dict[str, Any]
    pairs: Several[Pair] = Field(alias="comparisons")

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, entry: dict[str, Any]) -> dict[str, Any]:
        common = entry["common"]
        pairs = [
            pair | {side: common | pair.get(side, {}) for side in "ab"}
            for pair in entry["comparisons"]
        ]
        return entry | {"comparisons": pairs}

    @model_validator(mode="after")
    def _has_each_once(self) -> "Family":
        check_unique([pair.name for pair in self.pairs], "comparisons")
        return self


def _table4_row(name: str | None) -> Row | None:
    return name and published_row({"paper": "A", "table": "Table 4", "row": name})


class Table4Row(Form):
    """A row of Table 4, the paper's where it has one, and the protocol of our runs."""

    title: str
    config: Protocol = Field(alias="runs")
    published: Annotated[InstanceOf[Row] | None, BeforeValidator(_table4_row)] = None


class Rule(Form):
    """When a comparison has a verdict."""

    paper: str  # whose claims these are
    same_images: bool  # whether the data set is the one that the paper names
    min_seeds: int = Field(ge=2)
    level: Share  # of the corrected p values


class ComparisonPlan(Form):
    """Comparisons, those of a family corrected together, and when they have a verdict."""

    rule: Rule
    dataset: str  # a comparison that names no other is on its test images
    families: Several[Family]

    @model_validator(mode="before")
    @classmethod
    def _on_its_images(cls, content: dict[str, Any]) -> dict[str, Any]:
        own = {"dataset": content["dataset"]}
        families = [family | {"common": own | family["common"]} for family in content["families"]]
        return content | {"families": families}

    @model_validator(mode="after")
    def _has_each_once(self) -> "ComparisonPlan":
        check_unique([family.name for family in self.families], "families")
        return self

    def family(self, name: str) -> Family:
        """Return a family; a `PlanError` where there is none of that name."""
        known = {family.name: family for family in self.families}
        check_known(name, known, "family")
        return known[name]


class Systems(TypedDict):
    """Rows of Table 4 by their start."""

    imagenet: Several[Table4Row]
    none: Several[Table4Row]


class PaperA(ComparisonPlan):
    """The content of `params/comparisons.yaml`: comparisons, and the systems of Table 4."""

    systems: Systems

    @model_validator(mode="before")
    @classmethod
    def _start_as_said(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Give each system the data set, and the start that it stands under."""
        own = {"dataset": content["dataset"]}
        systems = {
            start: [row | {"runs": row["runs"] | own | {"pretrained": start}} for row in rows]
            for start, rows in content["systems"].items()
        }
        return content | {"systems": systems}


def load_plan(path: Path | None = None) -> PaperA:
    """Read `params/comparisons.yaml`, or a file of its form; errors as of `read_plan`."""
    return read_plan(PaperA, path or params_file("comparisons.yaml"))


def planned_configs(seeds: Iterable[int], *, plan: ComparisonPlan | None = None) -> set[RunConfig]:
    """Return all runs that the comparisons need, for the given seeds."""
    plan = plan or load_plan()
    sides = {side for family in plan.families for pair in family.pairs for side in (pair.a, pair.b)}
    return {replace(side, seed=seed) for seed in seeds for side in sides}
