"""The rules of all verdicts: `params/verdicts.yaml`."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, field_validator
from typing_extensions import TypedDict

from study.plans.form import Form, PublishedRow, Settings, Several, Share, params_file, read_plan
from study.published import lookup


class Comparison(Form):
    """Which published row belongs to which runs."""

    published: PublishedRow
    runs: Settings  # values that a group of runs must have
    # Where the paper states a setting: name -> (table, row, column).
    states: dict[str, Several[str]] = Field(default_factory=dict)
    judged: bool  # whether a verdict is due; otherwise the value is shown for orientation

    @property
    def paper(self) -> str:
        """Whose row it is."""
        return self.published.paper


class Sizes(TypedDict):
    """The difference of each measure, 0 to 1, for which power is told where none is printed."""

    accuracy: Share
    auc: Share


class Budget(Form):
    """Which epochs judge nothing: fewer than a share of what a paper prints."""

    share: Share
    epochs: Mapping[str, float]  # paper -> its printed epochs

    @field_validator("epochs", mode="before")
    @classmethod
    def _as_printed(cls, keys: dict[str, list[str]]) -> dict[str, float | None]:
        """Look up what stands at (table, row, column)."""
        names = ("table", "row", "column")
        return {
            paper: lookup(paper=paper, **dict(zip(names, key, strict=True))).value
            for paper, key in keys.items()
        }


class Seeds(Form):
    """How many seeds a verdict needs, by the size of the test set."""

    small_test_set: int
    large_test_set: int


class Rules(Form):
    """The content of `params/verdicts.yaml`."""

    budget: Budget
    widest: Share  # the widest interval, 0 to 1, with which a number is "reproduced"
    level: Share  # of the corrected p values
    size: Sizes
    seeds: Seeds = Field(alias="min_seeds")
    small_test_images: int  # a test set of fewer is small
    comparisons: list[Comparison]

    def min_seeds(self, n_images: int) -> int:
        """Return how many seeds a verdict needs on a test set of `n_images`."""
        small = n_images < self.small_test_images
        return self.seeds.small_test_set if small else self.seeds.large_test_set

    def at_budget(self, paper: str, epochs: float) -> bool:
        """Say whether so many epochs may judge what a paper says of a training.

        A paper that prints no number of epochs has no budget; of a comparison, `epochs` are those
        of the side that has fewer.
        """
        return epochs >= self.budget.share * self.budget.epochs.get(paper, 0)


def load_rules(path: Path | None = None) -> Rules:
    """Read the rules; errors as of `read_plan`."""
    return read_plan(Rules, path or params_file("verdicts.yaml"))
