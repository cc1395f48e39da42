"""The rules of the verdicts on printed accuracies: `params/verdicts.yaml`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.files import read_yaml, reading
from helpers.paths import repo_root


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
    """The content of `params/verdicts.yaml`."""

    min_seeds_small: int
    min_seeds_large: int
    small_test_images: int
    comparisons: tuple[Comparison, ...]

    def min_seeds(self, n_images: int) -> int:
        """Return how many seeds a verdict needs on a test set of `n_images`."""
        small = n_images < self.small_test_images
        return self.min_seeds_small if small else self.min_seeds_large


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
            seeds = content.pop("min_seeds")
            rules = Rules(
                min_seeds_small=seeds.pop("small_test_set"),
                min_seeds_large=seeds.pop("large_test_set"),
                small_test_images=content.pop("small_test_images"),
                comparisons=comparisons,
            )
        except KeyError as error:
            raise RulesError(f"{path.name} lacks the key {error}.") from None
        if unknown := [*content, *seeds]:
            raise RulesError(f"{path.name} has unknown keys: {', '.join(unknown)}.")
        return rules


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
