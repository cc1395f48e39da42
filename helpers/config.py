"""What defines a run: recipes, the frozen configuration, and checked notebook parameters."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, NamedTuple, get_type_hints

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError

from helpers import paths
from helpers.data.rebuilt import REBUILT
from helpers.files import read_yaml, reading

_RECIPES = paths.repo_root() / "params" / "recipes.yaml"
# "quick": small runs; "phantom": synthetic images with a known lesion. Each has its own tree.
PROFILES = ("paper", "quick", "phantom")
OPTIMIZERS = ("adamw", "adam", "sgd", "rmsprop")
SCHEDULES = ("one_cycle", "cosine", "warm_restarts", "step", "constant")
AUGMENTATIONS = ("none", "normal", "full", "dihedral")
PRECISIONS = ("fp32", "bf16")
LOSSES = ("cross_entropy", "focal")
ALPHAS = ("none", "balanced")
# What paper A's Eq. 10 means, see `losses`; the first is the paper's.
READINGS = ("hard_pt", "soft_pt", "linear", "exp_ce")
SAMPLINGS = ("shuffle", "balanced")
PLASTICITIES = ("all", "high", "head", "staged")
NORMALISATIONS = ("imagenet", "half")
CHANNELS = ("rgb", "native")
# What names a run to a reader; a recipe says all else.
RUN_KEYS = ("recipe", "dataset", "model", "seed", "pretrained", "profile")
OWN_PREFIXES = ("folder:", "cag:", "npz:")  # data sets of one's own
# Words of pydantic's and ours for them.
_WORDS = {
    "Value error, ": "",
    "Input should": "must",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "a valid integer": "int",
    "a valid number": "float",
    "a valid string": "str",
    "a valid boolean": "bool",
}
# Fields that only go with a value of another one.
_BELONGS_TO = {
    "focal_gamma": ("loss", "focal"),
    "focal_alpha": ("loss", "focal"),
    "focal_reading": ("loss", "focal"),
    "cycle_momentum": ("schedule", "one_cycle"),
    "warmup_epochs": ("plasticity", "staged"),
}


class ConfigError(ValueError):
    """A parameter is unknown, has the wrong type, or lies outside its range."""


def one_of(known: tuple[str, ...] | Callable[[], tuple[str, ...]]) -> AfterValidator:
    """Return pydantic's annotation of a text that is one of the known ones."""

    def check(value: str) -> str:
        names = known() if callable(known) else known
        if value not in names:
            raise ValueError(f"must be one of {', '.join(names)}")
        return value

    return AfterValidator(check)


Share = Annotated[float, Field(ge=0, le=1)]


@cache
def load_recipes() -> dict[str, dict[str, Any]]:
    """Read `params/recipes.yaml`; `epochs` is a number, or one a data set and a default.

    Raises:
        ConfigError: it is damaged, or a recipe makes no `RunConfig`.
    """
    recipes = _recipe_file()
    names = {"model": "any", "seed": 0, "pretrained": "none", "profile": "paper"}
    for recipe, values in recipes.items():
        with reading(_RECIPES, ConfigError):
            try:
                rule = values["epochs"]
                for dataset, epochs in (rule if isinstance(rule, dict) else {"any": rule}).items():
                    own = {"recipe": recipe, "dataset": dataset, "epochs": epochs}
                    RunConfig(**values | names | own)
                    if (images := _images_of(dataset)) != dataset:
                        raise ConfigError(
                            f"epochs has the key {dataset!r}, which is never looked up; write "
                            f"{images!r}, which stands for all files of these images."
                        )
                if isinstance(rule, dict) and "default" not in rule:
                    raise ConfigError("epochs lacks the key 'default'.")
                if lost := sorted({*names, "recipe", "dataset"} & set(values)):
                    raise ConfigError(f"{', '.join(lost)} belongs to a run, not to a recipe.")
            except (ConfigError, TypeError, KeyError) as error:
                raise ConfigError(f"{_RECIPES.name}, {recipe}: {error}") from error
    return recipes


@cache
def _recipe_file() -> dict[str, dict[str, Any]]:
    with reading(_RECIPES, ConfigError):
        return read_yaml(_RECIPES)


def without_size(dataset: str) -> str:
    """Return a data set's name without a MedMNIST size: all sizes are one set of images."""
    return dataset if ":" in dataset else re.sub(r"_(28|64|128|224)$", "", dataset)


def _images_of(dataset: str) -> str:
    """Return the name by which a recipe knows a data set: of any size, and rebuilt or official."""
    dataset = stored_name(dataset)
    return REBUILT[dataset].official if dataset in REBUILT else without_size(dataset)


def did_you_mean(name: str, known: tuple[str, ...]) -> str:
    """Return the end of a message about an unknown name: the nearest known one, and all of them."""
    nearest = get_close_matches(name, known, n=1)
    return (f"did you mean {nearest[0]}? " if nearest else "") + f"Known: {', '.join(known)}."


def stored_name(dataset: str) -> str:
    """Return the name under which runs on a data set are stored: `folder:x` is `cag:x`.

    The second is the older one of two names for one thing, and part of stored hashes.
    """
    return re.sub("^folder:", "cag:", dataset)


def profile_of(dataset: str, profile: str) -> str:
    """Return the profile whose tree takes a run: synthetic images never go to the paper's."""
    return "phantom" if dataset == "phantom" and profile == "paper" else profile


class InputForm(NamedTuple):
    """What a network sees of an image but for its size; the default is paper B's, section 4.1."""

    # "imagenet": its mean and deviation by colour; "half": both .5, as in the MedMNIST benchmark.
    normalisation: str = "imagenet"
    # "rgb": grey as three equal channels, so that ImageNet weights fit every set; "native": as one.
    channels: str = "rgb"

    def in_channels(self, of_images: int) -> int:
        """Return how many channels the network takes of images that have `of_images`."""
        return of_images if self.channels == "native" else 3


IMAGENET_RGB = InputForm()


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The configuration of one training run; equal configurations and seeds give equal runs.

    Attributes:
        recipe: Name in `params/recipes.yaml`.
        dataset: Name for `load_dataset`.
        model: Name for `build_model`.
        seed: Seed of initial weights, batch order and augmentation; at least 0.
        image_size: Side of the network's input in pixels.
        epochs: Passes over the training split.
        batch_size: Images a step.
        learning_rate: Peak learning rate.
        schedule: Of the learning rate, stepped once a batch.
        augmentation: See `Augmentation`.
        cutmix: Probability of CutMix a batch, 0 to 1.
        pretrained: "imagenet" or "none" ("auto" is resolved before a configuration is made).
        profile: One of `PROFILES`; all but "paper" have a results tree of their own.
        weight_decay: Decoupled for AdamW, L2 for the others.
        label_smoothing: Share of the target spread over all classes, 0 to 1.
        ema_decay: Decay a step of the averaged weights; None: no average.
        flip_average: Whether probabilities are averaged over the image and its mirror image.
        patience: Epochs without progress on validation data before an early stop; None: never.
        focal_gamma: Focusing parameter of the focal loss, at least 0.
        focal_alpha: Class weights of the focal loss: "none", or "balanced" by training counts.
        focal_reading: How the focal loss reads smoothed labels; paper A means "hard_pt", older runs
            had "linear".
        sampling: "shuffle": each image once an epoch; "balanced": each class equally often.
        plasticity: Who is trained when, see `plasticity.make_plan`.
        warmup_epochs: Epochs of the head alone, where `plasticity` is "staged".
        stop_at_accuracy: Validation accuracy at which training ends at once; None: never.
        imbalance: r thins the training split of a binary set to one positive for r negatives.
        label_noise: Share of training labels replaced by another class, 0 to .5.
        cycle_momentum: Whether "one_cycle" also lowers the momentum (beta1 of Adam) from .95 to .85
            while the rate rises, and back: torch's default, so what paper A implies.
        n_train: Images of the training split that are used, see `stratified_subset`; None: all.
        normalisation: See `InputForm`; so for `channels`.
        test_curve: Whether the test accuracy after each epoch is kept beside the run. Nothing
            selects by it: weights, predictions and selected epoch are those of a run without it.
    """

    recipe: Annotated[str, one_of(lambda: tuple(_recipe_file()))]
    dataset: str
    model: str
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)]
    image_size: Annotated[int, Field(ge=28, le=4096)]
    epochs: Annotated[int, Field(ge=1, le=10**6)]
    batch_size: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0)]
    optimizer: Annotated[str, one_of(OPTIMIZERS)]
    schedule: Annotated[str, one_of(SCHEDULES)]
    augmentation: Annotated[str, one_of(AUGMENTATIONS)]
    cutmix: Share
    pretrained: Annotated[str, one_of(("imagenet", "none"))]
    profile: Annotated[str, one_of(PROFILES)]
    weight_decay: Annotated[float, Field(ge=0)]
    label_smoothing: Share
    ema_decay: Share | None
    flip_average: bool
    precision: Annotated[str, one_of(PRECISIONS)]
    patience: Annotated[int, Field(ge=1)] | None
    # Newer fields have a default, which stays out of the hash: older runs keep their place.
    loss: Annotated[str, one_of(LOSSES)] = "cross_entropy"
    focal_gamma: Annotated[float, Field(ge=0)] = 0.0
    focal_alpha: Annotated[str, one_of(ALPHAS)] = "none"
    sampling: Annotated[str, one_of(SAMPLINGS)] = "shuffle"
    plasticity: Annotated[str, one_of(PLASTICITIES)] = "all"
    warmup_epochs: int = 0
    stop_at_accuracy: Annotated[float, Field(gt=0, le=1)] | None = None
    imbalance: Annotated[float, Field(ge=1)] | None = None
    label_noise: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    focal_reading: Annotated[str, one_of(READINGS)] = "linear"
    cycle_momentum: bool = False
    n_train: Annotated[int, Field(ge=2)] | None = None
    normalisation: Annotated[str, one_of(NORMALISATIONS)] = IMAGENET_RGB.normalisation
    channels: Annotated[str, one_of(CHANNELS)] = IMAGENET_RGB.channels
    test_curve: bool = False

    def __post_init__(self) -> None:
        """Check the fields; all numbers of a kind are stored alike, so that hashes agree."""
        for name, kind in FIELD_TYPES.items():
            object.__setattr__(self, name, check_type(name, getattr(self, name), kind))
        if self.form == InputForm("imagenet", "native"):
            raise ConfigError(
                "channels='native' goes with normalisation='half': ImageNet's statistics are of "
                "three channels."
            )
        for name, (other, wanted) in _BELONGS_TO.items():
            value, found = getattr(self, name), getattr(self, other)
            if found != wanted and value != FIELD_DEFAULTS[name]:
                raise ConfigError(
                    f"{name} belongs to {other}={wanted!r}, not {found!r}, got {value!r}."
                )
        if self.plasticity == "staged" and not 1 <= self.warmup_epochs < self.epochs:
            raise ConfigError(
                "plasticity='staged' needs warmup_epochs from 1 to epochs - 1 "
                f"({self.epochs - 1}), got {self.warmup_epochs}."
            )

    @property
    def form(self) -> InputForm:
        """What the network sees of an image but for its size."""
        return InputForm(self.normalisation, self.channels)

    def to_dict(self) -> dict[str, Any]:
        """Return all values as a JSON-ready dictionary."""
        return asdict(self)

    def hash(self) -> str:
        """Return ten hexadecimal digits that identify everything but the seed and the profile.

        The seed has its own place in the path.
        """
        identity = {
            name: value
            for name, value in asdict(self).items()
            if name not in ("seed", "profile") and value != FIELD_DEFAULTS.get(name, MISSING)
        }
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:10]


FIELD_TYPES = get_type_hints(RunConfig, include_extras=True)
# The fields that older runs do not record, with the value those runs had.
FIELD_DEFAULTS = {
    field.name: field.default for field in fields(RunConfig) if field.default is not MISSING
}
# What 04_train takes from its `parameters` cell; None leaves a value to the recipe.
TRAIN_PARAMETERS = {
    name: kind if name in RUN_KEYS else kind | None
    for name, kind in get_type_hints(RunConfig).items()
    if name not in ("weight_decay", "ema_decay", "flip_average", "patience")
}


def check_type(name: str, value: Any, kind: Any) -> Any:
    """Return a value of a kind, strictly: of numbers only an int passes for another kind, a float.

    A kind is a type, also annotated with pydantic's constraints. No number may be NaN or infinite,
    and no text empty.

    Raises:
        ConfigError: it is of another kind or beyond its range; the message begins with the name.
    """
    if type(value) is str and not value.strip():
        raise ConfigError(f"{name} is empty, {value!r}; give it a value or leave it out.")
    try:
        return _adapter(kind).validate_python(value, strict=True)
    except ValidationError as error:
        said = error.errors(include_url=False)[0]["msg"]
    for pydantics, ours in _WORDS.items():
        said = said.replace(pydantics, ours)
    said = f"{name} {said}, got {value!r:.200}."
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        said += " YAML reads 1e-4 as text: write 1.0e-4."
    if type(value) is bool:
        said += " YAML reads yes, no, on and off as true and false: quote a word that is meant."
    raise ConfigError(said)


@cache
def _adapter(kind: Any) -> TypeAdapter:
    return TypeAdapter(kind, config=ConfigDict(allow_inf_nan=False))


def make_config(
    *,
    recipe: str,
    dataset: str,
    model: str,
    seed: int,
    pretrained: str,
    profile: str = "paper",
    **overrides: Any,
) -> RunConfig:
    """Fill a configuration from its recipe; an override that is None leaves the recipe's value.

    Raises:
        ConfigError: unknown recipe or name, wrong type, value outside its range.
    """
    recipes = load_recipes()
    check_type("recipe", recipe, str)
    if recipe not in recipes:
        raise ConfigError(f"unknown recipe {recipe!r}; known: {', '.join(recipes)}.")
    if unknown := sorted(set(overrides) - set(FIELD_TYPES)):
        known = ", ".join(sorted(FIELD_TYPES))
        raise ConfigError(f"unknown parameter {', '.join(unknown)}; known: {known}.")
    values = dict(recipes[recipe])
    check_type("dataset", dataset, str)
    rule = values["epochs"]
    if isinstance(rule, dict):
        values["epochs"] = rule.get(_images_of(dataset), rule["default"])
    values.update({name: value for name, value in overrides.items() if value is not None})
    return RunConfig(
        recipe=recipe,
        dataset=stored_name(dataset),
        model=model,
        seed=seed,
        pretrained=pretrained,
        profile=profile,
        **values,
    )


def notebook_parameters(
    namespace: Mapping[str, Any], *, expected: Mapping[str, Any]
) -> dict[str, Any]:
    """Read a notebook's parameters from its `globals()` and refuse what was not foreseen.

    Papermill only logs a parameter that the notebook does not know, and then runs for hours with
    the default. So this is called right after the `parameters` cell, when the only plain literals
    in the namespace are parameters: any other one is an error. Expected are the types of all
    parameters, for instance `{"seed": int, "epochs": int | None}`.

    Raises:
        ConfigError: an unknown, missing or ill-typed parameter; the message lists the known ones.
    """
    literals = {
        name
        for name, value in namespace.items()
        if not name.startswith("_")
        and name not in ("In", "Out", "exit", "quit")
        and value is not expected
        and type(value) in (bool, int, float, str, list, tuple, dict, type(None))
    }
    known = ", ".join(expected)
    if unknown := sorted(literals - set(expected)):
        raise ConfigError(f"unknown parameter {', '.join(unknown)}; known: {known}.")
    if missing := [name for name in expected if name not in literals]:
        raise ConfigError(f"missing parameter {', '.join(missing)}; known: {known}.")
    return {name: check_type(name, namespace[name], kind) for name, kind in expected.items()}
