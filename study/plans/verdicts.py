"""The rules of all verdicts: `params/verdicts.yaml`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.files import read_yaml, reading
from helpers.paths import repo_root
from study.published import PublishedError, lookup


class RulesError(ValueError):
    """The file of rules is not in order."""


@dataclass(frozen=True)
class Comparison:
    """Which published row belongs to which runs.

    Attributes:
        paper: key of the published row, as its table and row.
        table: see `paper`.
        row: see `paper`.
        runs: values that a group of runs must have.
        states: where the paper states a setting: name -> (table, row, column).
        judged: whether a verdict is due; otherwise the value is shown for orientation.
    """

    paper: str
    table: str
    row: str
    runs: dict[str, Any]
    states: dict[str, tuple[str, str, str]]
    judged: bool


@dataclass(frozen=True)
class Rules:
    """The content of `params/verdicts.yaml`.

    Attributes:
        budget_share: of the printed epochs, below which runs judge nothing.
        budgets: paper -> its printed epochs.
        widest: the widest interval, 0 to 1, with which a number is "reproduced".
        level: of the corrected p values.
        size: "accuracy" and "auc" -> the difference, 0 to 1, for which power is told where none is
            printed.
        min_seeds_small: for a verdict on fewer than `small_test_images` test images.
        min_seeds_large: on others.
        small_test_images: see there.
        comparisons: which runs stand beside which printed row.
    """

    budget_share: float
    budgets: Mapping[str, float]
    widest: float
    level: float
    size: Mapping[str, float]
    min_seeds_small: int
    min_seeds_large: int
    small_test_images: int
    comparisons: tuple[Comparison, ...]

    def min_seeds(self, n_images: int) -> int:
        """Return how many seeds a verdict needs on a test set of `n_images`."""
        small = n_images < self.small_test_images
        return self.min_seeds_small if small else self.min_seeds_large

    def at_budget(self, paper: str, epochs: float) -> bool:
        """Say whether so many epochs may judge what a paper says of a training.

        Args:
            paper: key in the published values; one that prints no number of epochs has no budget.
            epochs: of our runs; of a comparison those of the side that has fewer.
        """
        return epochs >= self.budget_share * self.budgets.get(paper, 0)


FILTERS = ("recipe", "model", "pretrained", "source_size", "image_size")


def load_rules(path: Path | None = None) -> Rules:
    """Read the rules.

    Raises:
        RulesError: a key is missing or unknown.
    """
    path = path or repo_root() / "params" / "verdicts.yaml"
    with reading(path, RulesError):
        content = read_yaml(path)
        try:
            comparisons = tuple(_comparison(entry) for entry in content.pop("comparisons"))
            seeds, budget = content.pop("min_seeds"), content.pop("budget")
            rules = Rules(
                budget_share=_share(budget.pop("share"), "budget, share"),
                budgets={paper: _epochs(paper, key) for paper, key in budget.pop("epochs").items()},
                widest=_share(content.pop("widest"), "widest"),
                level=_share(content.pop("level"), "level"),
                size=_sizes(content.pop("size")),
                min_seeds_small=seeds.pop("small_test_set"),
                min_seeds_large=seeds.pop("large_test_set"),
                small_test_images=content.pop("small_test_images"),
                comparisons=comparisons,
            )
        except KeyError as error:
            raise RulesError(f"{path.name} lacks the key {error}.") from None
        if unknown := [*content, *seeds, *budget]:
            raise RulesError(f"{path.name} has unknown keys: {', '.join(unknown)}.")
        return rules


def _share(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise RulesError(f"{name} must be a number within 0 .. 1, got {value!r}.")
    return float(value)


def _sizes(entry: dict[str, Any]) -> dict[str, float]:
    if sorted(entry) != ["accuracy", "auc"]:
        raise RulesError(f"size has the keys {', '.join(entry)}; expected accuracy and auc.")
    return {metric: _share(value, f"size, {metric}") for metric, value in entry.items()}


def _epochs(paper: str, key: list[str]) -> float:
    """Return the printed epochs of a paper."""
    try:
        table, row, column = key
        printed = lookup(paper=paper, table=table, row=row, column=column)
    except (PublishedError, ValueError) as error:
        raise RulesError(f"budget, epochs of {paper}: {error}") from None
    if printed.value is None:
        raise RulesError(f"budget, epochs of {paper}: {printed.printed!r} is no single number.")
    return printed.value


def _comparison(entry: dict[str, Any]) -> Comparison:
    runs = entry["runs"]
    if unknown := sorted(set(runs) - set(FILTERS)):
        raise RulesError(
            f"unknown filter {', '.join(unknown)} for runs; known: {', '.join(FILTERS)}."
        )
    if unknown := sorted(set(entry) - {"published", "runs", "states", "judged"}):
        raise RulesError(f"unknown key {', '.join(unknown)} in a comparison.")
    states = {name: tuple(key) for name, key in entry.get("states", {}).items()}
    return Comparison(**entry["published"], runs=runs, states=states, judged=entry["judged"])
