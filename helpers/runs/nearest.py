"""Runs in words, for messages about one that was not found or stands twice."""

from collections.abc import Callable, Mapping
from typing import Any

from helpers.config import RUN_KEYS, load_recipes, make_config
from helpers.runs.run import Run, run_id

_LISTED = 8


def nearest(runs: list[Run], likeness: Callable[[Run], float]) -> str:
    """List the nearest runs, the highest `likeness` first."""
    if not runs:
        return "there is no finished run in this results tree."
    # Of equally near ones, a recipe's own protocol first.
    ordered = sorted(runs, key=lambda run: (-likeness(run), len(changes_of_recipe(run.config))))
    return f"the nearest: {listed(ordered)}."


def listed(runs: list[Run]) -> str:
    """List the first runs, those that differ in the seed alone as one."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run_id(run).rsplit("_s", 1)[0], []).append(run)
    lines = []
    for name, group in list(groups.items())[:_LISTED]:
        seeds = ", ".join(str(seed) for seed in sorted(run.config["seed"] for run in group))
        config = group[0].config
        words = [config["pretrained"], *changes_of_recipe(config)]
        lines.append(f"{name} ({', '.join(words)}, seed{'s' if len(group) > 1 else ''} {seeds})")
    more = f"; and {len(groups) - _LISTED} more" if len(groups) > _LISTED else ""
    return "; ".join(lines) + more


def changes_of_recipe(config: Mapping[str, Any]) -> list[str]:
    """Return what differs from the recipe, as "name value"; nothing for a recipe that is gone."""
    if config["recipe"] not in load_recipes():
        return []
    recipe = make_config(**{name: config[name] for name in RUN_KEYS}).to_dict()
    return [f"{key} {value}" for key, value in config.items() if value != recipe.get(key)]
