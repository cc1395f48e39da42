"""The rules of all verdicts: `params/verdicts.yaml`."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, field_validator
from typing_extensions import TypedDict

from study.plans.form import Form, PublishedRow, Settings, Several, Share, params_file, read_plan
from study.published import lookup


class Comparison(Form):
    """Which published row belongs to which runs.

    Attributes:
        published: the row.
        runs: values that a group of runs must have.
        states: where the paper states a setting: name -> (table, row, column).
        judged: whether a verdict is due; otherwise the value is shown for orientation.
    """

    published: PublishedRow
    runs: Settings
    states: dict[str, Several[str]] = Field(default_factory=dict)
    judged: bool

    @property
    def paper(self) -> str:
        """Whose row it is."""
        return self.published.paper


class Sizes(TypedDict):
    """The difference of each measure, 0 to 1, for which power is told where none is printed."""

    accuracy: Share
    auc: Share


class Budget(Form):
    """Which epochs judge nothing.

    Attributes:
        share: of the printed epochs, below which they are too few.
        epochs: paper -> its printed epochs.
    """

    share: Share
    epochs: Mapping[str, float]

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
    """The content of `params/verdicts.yaml`.

    Attributes:
        budget: see there.
        widest: the widest interval, 0 to 1, with which a number is "reproduced".
        level: of the corrected p values.
        size: see `Sizes`.
        seeds: for a verdict on fewer than `small_test_images` test images, and on others.
        small_test_images: see there.
        comparisons: which runs stand beside which printed row.
    """

    budget: Budget
    widest: Share
    level: Share
    size: Sizes
    seeds: Seeds = Field(alias="min_seeds")
    small_test_images: int
    comparisons: list[Comparison]

    def min_seeds(self, n_images: int) -> int:
        """Return how many seeds a verdict needs on a test set of `n_images`."""
        small = n_images < self.small_test_images
        return self.seeds.small_test_set if small else self.seeds.large_test_set

    def at_budget(self, paper: str, epochs: float) -> bool:
        """Say whether so many epochs may judge what a paper says of a training.

        Args:
            paper: key in the published values; one that prints no number of epochs has no budget.
            epochs: of our runs; of a comparison those of the side that has fewer.
        """
        return epochs >= self.budget.share * self.budget.epochs.get(paper, 0)


def load_rules(path: Path | None = None) -> Rules:
    """Read the rules; errors as of `read_plan`."""
    return read_plan(Rules, path or params_file("verdicts.yaml"))
