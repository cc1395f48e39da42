"""What the efficiency study measures, and its targets: `params/efficiency.yaml`."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from helpers.files import read_yaml, reading
from helpers.models.registry import model_entry
from helpers.paths import repo_root
from study.plans.ranking import load_plan as load_ranking_plan

EAGER, COMPILED, ONNX, INT8 = "eager", "compiled", "onnx", "int8"


BACKENDS = (EAGER, COMPILED, ONNX, INT8)


def check_backend(backend: str) -> None:
    """Raise a `ValueError` that lists the known forms if `backend` is not one of them."""
    if backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}; known: {', '.join(BACKENDS)}.")


# Fewer rounds than this are never taken, however slow a candidate is.
FEWEST_ROUNDS = 3


GROUPS = (
    *("main_latency", "main_throughput", "small_latency"),
    *("claimed_latency", "claimed_throughput"),
    *("others_latency", "others_throughput"),
)


class EfficiencyError(ValueError):
    """The plan or the stored measurements are not in order."""


@dataclass(frozen=True)
class Candidate:
    """A network in one form."""

    model: str
    backend: str

    @property
    def name(self) -> str:
        """Both in one word, as stored."""
        return f"{self.model} {self.backend}"


@dataclass(frozen=True)
class Target:
    """A ratio of two times that must not exceed a bound.

    Attributes:
        title: in words.
        time: whose time.
        of: by whose time it is divided.
        at_most: the bound.
    """

    title: str
    time: Candidate
    of: Candidate
    at_most: float


@dataclass(frozen=True)
class Rounds:
    """How long a group is measured: see `timing.interleave`."""

    rounds: int
    budget: float


@dataclass(frozen=True)
class Plan:
    """The content of `params/efficiency.yaml`; sizes in pixels, batches in images.

    Attributes:
        image_size: of all counts and times but the small ones.
        small_size: see the file, as for all that follows.
        num_classes: logits of the networks that are timed.
        threads: of torch and ONNX Runtime.
        latency_batch: images at a time for the latency.
        throughput_batch: for the throughput.
        training_batch: of the training step.
        reference: model whose eager time stands in every group.
        main: models in all forms.
        claimed: two models of which the first is said to be faster than the second.
        others: models eager and by ONNX Runtime.
        others_per_group: how many of them take turns.
        export_seconds: processor time that the exporter may take for a network.
        rounds: by group.
        targets: in the order of the file.
        calibration_images: for 8-bit integers.
        int8_runs: values that the configurations of the judged runs have.
        titles: of all models.
    """

    image_size: int
    small_size: int
    num_classes: int
    threads: int
    latency_batch: int
    throughput_batch: int
    training_batch: int
    reference: str
    main: tuple[str, ...]
    claimed: tuple[str, str]
    others: tuple[str, ...]
    others_per_group: int
    export_seconds: int
    rounds: Mapping[str, Rounds]
    targets: tuple[Target, ...]
    calibration_images: int
    int8_runs: tuple[Mapping[str, str], ...]
    titles: Mapping[str, str]

    @property
    def models(self) -> tuple[str, ...]:
        """All models, in the order of the tables."""
        return (*self.main, *self.others)


def load_plan(path: Path | None = None) -> Plan:
    """Read the plan.

    Raises:
        EfficiencyError: a key is missing or unknown, or a value makes no sense.
    """
    path = path or repo_root() / "params" / "efficiency.yaml"
    with reading(path, EfficiencyError):
        content = read_yaml(path)
        systems = load_ranking_plan().systems
        titles = {model: system.title for model, system in systems.items()}
        needed = {field.name for field in fields(Plan)} - {"others", "titles"}
        if set(content) != needed:
            wrong = ", ".join(sorted(set(content) ^ needed))
            raise EfficiencyError(f"{path.name}: missing or unknown keys: {wrong}.")
        try:
            return _plan(content, titles)
        except (ValueError, TypeError, KeyError) as error:
            raise EfficiencyError(f"{path.name}: {error}") from error


def _plan(content: dict[str, Any], titles: Mapping[str, str]) -> Plan:
    main = tuple(content["main"])
    for model in (*main, content["reference"]):
        model_entry(model)
        if model not in titles:
            raise EfficiencyError(f"{model} has no title in params/ranking.yaml.")
    if content["reference"] not in main:
        raise EfficiencyError(f"the reference {content['reference']!r} must be one of main.")
    claimed = tuple(content["claimed"])
    if len(claimed) != 2 or not set(claimed) <= set(titles):
        raise EfficiencyError(
            f"claimed needs two models of params/ranking.yaml, got {', '.join(claimed)}."
        )
    rounds = {name: Rounds(**entry) for name, entry in content["rounds"].items()}
    if set(rounds) != set(GROUPS):
        raise EfficiencyError(f"rounds needs the groups {', '.join(GROUPS)}.")
    if min(entry.rounds for entry in rounds.values()) < FEWEST_ROUNDS:
        raise EfficiencyError(f"every group needs at least {FEWEST_ROUNDS} rounds.")
    targets = tuple(_target(entry, main) for entry in content["targets"])
    return Plan(
        **content
        | {
            "main": main,
            "claimed": claimed,
            "others": tuple(model for model in titles if model not in main),
            "rounds": rounds,
            "targets": targets,
            "int8_runs": tuple(content["int8_runs"]),
            "titles": titles,
        }
    )


def _target(entry: dict[str, Any], main: tuple[str, ...]) -> Target:
    sides = [Candidate(**entry[side]) for side in ("time", "of")]
    for side in sides:
        check_backend(side.backend)
        if side.model not in main:
            raise EfficiencyError(f"a target speaks of {side.model!r}, which is not one of main.")
    return Target(entry["title"], *sides, float(entry["at_most"]))
