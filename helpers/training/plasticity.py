"""Selective neural plasticity (paper A, section 2.5): who is trained when.

A plan is a list of stages. The warm-up stage trains the head alone, theta_0 = {w, b} (Eq. 16);
selective fine-tuning adds the last stage of the backbone, theta_1 = {theta_high, w, b} (Eq. 17).
The paper does not say which layers theta_high is: here it is ResNet's layer4, or MobileNetV2's
blocks from its last stride on. What is frozen stays as it is to the last bit, batch-norm statistics
included, and costs no backward pass.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import nn

from helpers.config import PLASTICITIES
from helpers.models.parts import split_model

TRAINABLE = ("head", "high", "all")


@dataclass(frozen=True)
class Stage:
    """A stretch of training in which the same parameters are plastic."""

    name: str  # for tables and logs
    trainable: str  # "head" (theta_0), "high" (theta_1: last backbone stage and head) or "all"
    epochs: int  # its length, at least 1

    def __post_init__(self) -> None:
        if self.trainable not in TRAINABLE:
            raise ValueError(
                f"stage {self.name!r}: unknown trainable part {self.trainable!r}; known: "
                f"{', '.join(TRAINABLE)}."
            )
        if self.epochs < 1:
            raise ValueError(f"stage {self.name!r} needs at least 1 epoch, got {self.epochs}.")


def make_plan(plasticity: str, *, epochs: int, warmup_epochs: int = 0) -> tuple[Stage, ...]:
    """Return the stages of a run of so many epochs.

    Its plasticity is "all" (every parameter from the start), "high" or "head" (Eq. 17 or 16
    throughout), or "staged" (the paper's: warm-up, then selective fine-tuning).

    Raises:
        ValueError: unknown plan, or a stage without epochs.
    """
    match plasticity:
        case "all":
            return (Stage("all", "all", epochs),)
        case "high":
            return (Stage("selective fine-tuning", "high", epochs),)
        case "head":
            return (Stage("warm-up", "head", epochs),)
        case "staged":
            return (
                Stage("warm-up", "head", warmup_epochs),
                Stage("selective fine-tuning", "high", epochs - warmup_epochs),
            )
    raise ValueError(f"unknown plasticity {plasticity!r}; known: {', '.join(PLASTICITIES)}.")


def stage_at(plan: Sequence[Stage], epoch: int) -> Stage:
    """Return the stage of an epoch, counted from 0; beyond the plan its last stage goes on."""
    for stage in plan:
        if epoch < stage.epochs:
            return stage
        epoch -= stage.epochs
    return plan[-1]


@dataclass(frozen=True)
class ActiveStage:
    """A network in a stage."""

    stage: Stage
    model: nn.Module  # the whole network
    frozen: nn.Sequential  # its leading part that is not trained; empty where everything is
    plastic: nn.Sequential  # the rest, which is

    @property
    def trainable_parameters(self) -> int:
        """How many parameters are trained in this stage."""
        return sum(p.numel() for p in self.plastic.parameters())

    def train_mode(self) -> None:
        """Put the plastic part into training mode; frozen batch norms keep their statistics."""
        self.model.train()
        self.frozen.eval()


def enter_stage(model: nn.Module, stage: Stage) -> ActiveStage:
    """Freeze and unfreeze a network's parameters for a stage.

    Raises:
        ValueError: not a network of the registry, or the stage would train nothing.
    """
    if stage.trainable == "all":
        frozen, plastic = [], [model]
    else:
        parts = split_model(model)
        frozen, plastic = [parts.low], [parts.high, parts.head]
        if stage.trainable == "head":
            frozen, plastic = [parts.low, parts.high], [parts.head]
    active = ActiveStage(stage, model, nn.Sequential(*frozen), nn.Sequential(*plastic))
    if active.trainable_parameters == 0:
        raise ValueError(
            f"stage {stage.name!r} trains nothing: {type(model).__name__} has no parameters in "
            f"its {stage.trainable!r} part."
        )
    active.frozen.requires_grad_(False)
    active.plastic.requires_grad_(True)
    return active


def trainable_by_stage(model: nn.Module, plan: Iterable[Stage]) -> dict[str, int]:
    """Count the parameters that each stage of a plan trains; the network is left as it was."""
    before = [(p, p.requires_grad) for p in model.parameters()]
    counts = {stage.name: enter_stage(model, stage).trainable_parameters for stage in plan}
    for parameter, flag in before:
        parameter.requires_grad_(flag)
    return counts
