"""The form of a plan: what a file of `params` may hold, and one error where it holds another.

A plan is a frozen pydantic model, read strictly: no key but those of the model, no number written
as text. The error names the file, the place in it, what came and what was expected.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    ValidationError,
    model_validator,
)

from helpers.config import RunConfig, make_config
from helpers.files import parse_yaml, reading, yaml_text
from helpers.paths import repo_root
from study.published import Published, load_published, lookup

T = TypeVar("T")
F = TypeVar("F", bound="Form")


class PlanError(ValueError):
    """A plan is not in order, or is asked for something that it does not hold."""


class Form(BaseModel):
    """A mapping of a file whose keys are the fields, by their alias where they have one."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _names_its_keys(cls, entry: Any) -> Any:
        if isinstance(entry, Mapping):
            known = [field.alias or name for name, field in cls.model_fields.items()]
            for key in entry:
                check_known(key, known, "key")
        return entry


def read_plan(form: type[F], path: Path) -> F:
    """Read a file of `params`; a `PlanError` where it is not of the form."""
    with reading(path, PlanError):
        return _parsed(form, path, yaml_text(path))


@lru_cache(maxsize=64)
def _parsed(form: type[F], path: Path, text: str) -> F:
    """Return a plan, which nobody can change: the same text is taken apart but once."""
    return checked(form, parse_yaml(text, path.name), where=path.name)


def checked(form: type[F], content: Any, *, where: str = "") -> F:
    """Return content as a form; a `PlanError` names `where` and the place in it that is not."""
    try:
        return form.model_validate(content)
    except ValidationError as found:
        first = found.errors(include_url=False)[0]
        place = ", ".join(filter(None, (where, ".".join(_steps(content, first["loc"])))))
        raise PlanError(f"{place}: {_message(first)}" if place else _message(first)) from None


def params_file(name: str) -> Path:
    """Return a file of `params`."""
    return repo_root() / "params" / name


def _steps(content: Any, place: Sequence[str | int]) -> list[str]:
    """Write a place in a file; an entry of a list goes by its own name."""
    steps = []
    for k, step in enumerate(place, start=1):
        try:
            content = content[step]
        except (LookupError, TypeError):
            if k < len(place):  # a part that the file itself has not
                continue
        own = content if isinstance(step, int) and isinstance(content, dict) else {}
        names = (own[name] for name in ("id", "name", "title", "text") if name in own)
        steps.append(str(next(names, step)))
    return steps


def _message(error: Mapping[str, Any]) -> str:
    if error["type"] == "missing":
        return "this key is missing"
    if error["type"] == "extra_forbidden":
        return "this key is unknown"
    if error["type"] == "value_error":  # of a check of ours, which says all
        return str(error["ctx"]["error"])
    return f"{error['msg']}, got {error['input']!r:.80}"


# --- checks --------------------------------------------------------------------------------------


def check_known(name: Any, known: Collection[str], what: str) -> None:
    """Raise a `PlanError` that lists what is known, if `name` is not."""
    if name not in known:
        near = get_close_matches(str(name), known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise PlanError(f"unknown {what} {name!r}; known: {', '.join(known)}.{hint}")


def check_unique(names: Sequence[str], where: str) -> None:
    """Raise a `PlanError` if a name stands twice."""
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise PlanError(f"{where}: {', '.join(twice)} stands twice.")


# --- types ---------------------------------------------------------------------------------------

Several = Annotated[tuple[T, ...], Field(strict=False)]  # a list of the file
Share = Annotated[float, Field(gt=0, lt=1)]


class Row(NamedTuple):
    """The key of a published row."""

    paper: str
    table: str
    row: str

    def at(self, column: str) -> Published:
        """Return the value of a column, see `published.lookup`."""
        return lookup(**self._asdict(), column=column)


def published_row(entry: Mapping[str, str]) -> Row:
    """Return the key of a row that exists."""
    if sorted(entry) != sorted(Row._fields):
        raise PlanError(f"a published row has paper, table and row, got {', '.join(entry)}.")
    found, table = Row(**entry), load_published()
    same = (table["paper"] == found.paper) & (table["table"] == found.table)
    check_known(found.row, list(dict.fromkeys(table[same]["row"])), "row")
    return found


PublishedRow = Annotated[InstanceOf[Row], BeforeValidator(published_row)]


def _config(settings: Any) -> RunConfig:
    """Return a configuration, with seed 0, of named settings, none of them null."""
    if empty := [name for name, value in settings.items() if value is None]:
        raise PlanError(f"{', '.join(empty)} has no value; leave it out or give one.")
    try:
        return make_config(**settings, seed=0)
    except TypeError as error:  # a setting is missing
        raise PlanError(str(error)) from None


Protocol = Annotated[InstanceOf[RunConfig], BeforeValidator(_config)]


def _settings(wanted: dict[str, Any]) -> dict[str, Any]:
    for name in wanted:
        check_known(name, [f.name for f in fields(RunConfig)] + ["source_size"], "setting")
    return wanted


# What stored runs have in common.
Settings = Annotated[dict[str, Any], AfterValidator(_settings)]
