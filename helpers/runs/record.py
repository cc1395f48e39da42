"""The form of `run.json`: what every reader of a stored run may take for granted."""

from typing import Annotated, Any, NotRequired

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from helpers.config import FIELD_DEFAULTS, FIELD_TYPES, RUN_KEYS, did_you_mean

_Count = Annotated[int, Field(ge=0, lt=2**53)]
_Some = Annotated[int, Field(ge=1, lt=2**53)]
_Scalar = str | int | float | bool | None
_Score = float | None  # None: undefined
_ESTIMATE = {"value": _Score, "low": _Score, "high": _Score, "n": _Count, "method": str}
_OF_CLASS = dict.fromkeys(
    ("sensitivity", "specificity", "ppv", "auc", "f1", "average_precision"), _ESTIMATE
)
_ESTIMATES = _OF_CLASS | dict.fromkeys(
    ("accuracy", "npv", "balanced_accuracy", "ece", "brier"), _ESTIMATE
)
_EPOCH = {
    "epoch": _Count,
    "train_loss": float,
    "train_accuracy": float,
    "val_loss": float,
    "val_accuracy": float,
    "val_auc": _Score,
    "learning_rate": float,
    "seconds": float,
}
_RECORD = {
    "config": dict[str, _Scalar],
    "data": {
        "name": str,
        "source": str,
        "md5": str | None,
        "licence": str | None,
        "phantom": bool,
        "image_size": Annotated[int, Field(ge=1, le=2**16)],
        "in_channels": Annotated[int, Field(ge=1, le=4)],
        "num_classes": Annotated[int, Field(ge=2, le=2**16)],
        "class_names": list[str],
        "n": {"train": _Count, "val": _Some, "test": _Some},
    },
    "model": {
        "name": str,
        "params": _Count | None,
        "macs": _Count | None,
        "macs_tool": str | None,
        "weights": str | None,
    },
    "selection": {"rule": str, "metric": str, "epoch": _Count | None, "value": _Score},
    "metrics": {"val": _ESTIMATES, "test": _ESTIMATES},
    "per_class": [{"class": str, "n": _Count, "predicted": _Count} | _OF_CLASS],
    "confusion_matrix": list[list[_Count]],
    "history": list[dict[str, Any]],
    "timing": {"train_seconds": float, "images_per_second": float | None, "eval_seconds": float},
    "env": {"torch": str, "device": str},
    "git": {"sha": str | None, "dirty": bool | None},
}


def _form(content: Any) -> Any:
    """Return the type of what such a dictionary, list of one or type describes."""
    if isinstance(content, dict):
        return TypedDict("Form", {name: _form(kind) for name, kind in content.items()})
    return list[_form(content[0])] if isinstance(content, list) else content


RECORD_KEYS = ("schema", *_RECORD)
# A recipe may be gone from `params/recipes.yaml`; its runs are still read.
_CONFIG = {
    name: NotRequired[kind] if name in FIELD_DEFAULTS else kind
    for name, kind in (FIELD_TYPES | {"recipe": str}).items()
}
_ANY = TypeAdapter(_form(_RECORD))
_TRAINED = TypeAdapter(_form({"config": _CONFIG, "history": [_EPOCH]}))
# AutoML trains no network: its configurations and trials have a form of their own.
_SEARCHED = TypeAdapter(_form({"config": {k: _CONFIG[k] for k in (*RUN_KEYS, "image_size")}}))


def check_form(record: dict[str, Any]) -> None:
    """Check a record that has its keys; further fields are left alone but for the configuration's.

    The configuration may lack the fields that have a default.

    Raises:
        ValueError: naming the place, what is there and what was expected.
    """
    _check(_ANY, record)
    trained = record["model"]["params"] is not None
    for name in record["config"] if trained else ():
        if name not in _CONFIG:
            raise ValueError(f"config.{name} is unknown; {did_you_mean(name, tuple(_CONFIG))}")
    _check(_TRAINED if trained else _SEARCHED, record)
    epoch = record["selection"]["epoch"]
    if trained and not 1 <= (epoch or 0) <= len(record["history"]):
        raise ValueError(f"epoch {epoch} was selected of {len(record['history'])}")
    num_classes = record["data"]["num_classes"]
    sized = {name: record[name] for name in ("per_class", "confusion_matrix")}
    sized["data.class_names"] = record["data"]["class_names"]
    for number, row in enumerate(record["confusion_matrix"]):
        sized[f"confusion_matrix.{number}"] = row
    for what, entries in sized.items():
        if len(entries) != num_classes:
            raise ValueError(f"{what} has {len(entries)} entries for {num_classes} classes")


def _check(form: TypeAdapter, record: dict[str, Any]) -> None:
    try:
        # Strict: a number written as text is none.
        form.validate_python(record, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{where}: {said}, got {first['input']!r:.80}") from None
