"""The form of `run.json`: what every reader of a stored run may take for granted."""

from functools import cache
from typing import Annotated, Any, NotRequired, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from helpers.config import RunConfig, did_you_mean, field_defaults

_Count = Annotated[int, Field(ge=0, lt=2**53)]
_Scalar = str | int | float | bool | None
_Score = float | None  # None: undefined
_NAMING = ("recipe", "dataset", "model", "seed", "image_size", "pretrained", "profile")


class _Estimate(TypedDict):
    value: _Score
    low: _Score
    high: _Score
    n: _Count
    method: str


_Estimates = TypedDict(
    "_Estimates",
    dict.fromkeys(
        (
            *("accuracy", "auc", "average_precision", "sensitivity", "specificity", "ppv", "npv"),
            *("f1", "balanced_accuracy", "ece", "brier"),
        ),
        _Estimate,
    ),
)
_OfClass = TypedDict(
    "_OfClass",
    {"class": str, "n": _Count, "predicted": _Count}
    | dict.fromkeys(
        ("sensitivity", "specificity", "ppv", "auc", "f1", "average_precision"), _Estimate
    ),
)


class _Metrics(TypedDict):
    val: _Estimates
    test: _Estimates


class _Sizes(TypedDict):
    train: _Count
    val: Annotated[_Count, Field(ge=1)]
    test: Annotated[_Count, Field(ge=1)]


class _Data(TypedDict):
    name: str
    source: str
    md5: str | None
    licence: str | None
    phantom: bool
    image_size: Annotated[int, Field(ge=1, le=2**16)]
    in_channels: Annotated[int, Field(ge=1, le=4)]
    num_classes: Annotated[int, Field(ge=2, le=2**16)]
    class_names: list[str]
    n: _Sizes


class _Model(TypedDict):
    name: str
    params: _Count | None
    macs: _Count | None
    macs_tool: str | None
    weights: str | None


class _Selection(TypedDict):
    rule: str
    metric: str
    epoch: _Count | None
    value: _Score


class _Epoch(TypedDict):
    epoch: _Count
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    val_auc: _Score
    learning_rate: float
    seconds: float


class _Timing(TypedDict):
    train_seconds: float
    images_per_second: float | None
    eval_seconds: float


class _Env(TypedDict):
    torch: str
    device: str


class _Git(TypedDict):
    sha: str | None
    dirty: bool | None


class _Record(TypedDict):
    config: dict[str, _Scalar]
    data: _Data
    model: _Model
    selection: _Selection
    metrics: _Metrics
    per_class: list[_OfClass]
    confusion_matrix: list[list[_Count]]
    history: list[dict[str, Any]]
    timing: _Timing
    env: _Env
    git: _Git


def check_form(record: dict[str, Any]) -> None:
    """Check a record that has its keys; further fields are left alone but for the configuration's.

    Args:
        record: content of `run.json`; its configuration may lack the fields that have a default.

    Raises:
        ValueError: naming the place, what is there and what was expected.
    """
    _check("", _Record, record)
    # AutoML trains no network: its configurations and trials have a form of their own.
    trained = record["model"]["params"] is not None
    if trained:
        known = tuple(_config_fields())
        for name in record["config"]:
            if name not in known:
                raise ValueError(f"config.{name} is unknown; {did_you_mean(name, known)}")
    _check("config.", _config_form(trained), record["config"])
    if trained:
        _check("history.", list[_Epoch], record["history"])
    epoch = record["selection"]["epoch"]
    if trained and not 1 <= (epoch or 0) <= len(record["history"]):
        raise ValueError(f"epoch {epoch} was selected of {len(record['history'])}")
    num_classes = record["data"]["num_classes"]
    for what, entries in (
        ("data.class_names", record["data"]["class_names"]),
        *((key, record[key]) for key in ("per_class", "confusion_matrix")),
        *(("a row of confusion_matrix", row) for row in record["confusion_matrix"]),
    ):
        if len(entries) != num_classes:
            raise ValueError(f"{what} has {len(entries)} entries for {num_classes} classes")


@cache
def _config_fields() -> dict[str, Any]:
    """Return the fields of a trained network's configuration, name -> kind with its known values.

    A recipe may be gone from `params/recipes.yaml`; its runs are still read.
    """
    return get_type_hints(RunConfig, include_extras=True) | {"recipe": str}


@cache
def _config_form(trained: bool) -> Any:
    fields, older = _config_fields(), field_defaults()
    names = fields if trained else _NAMING
    return TypedDict(
        "_Config", {n: NotRequired[fields[n]] if n in older else fields[n] for n in names}
    )


@cache
def _adapter(form: Any) -> TypeAdapter:
    return TypeAdapter(form)


def _check(place: str, form: Any, content: Any) -> None:
    try:
        # Strict: a number written as text is none.
        _adapter(form).validate_python(content, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = place + ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{where}: {said}, got {first['input']!r:.80}") from None
