"""Reading a DICOM header with care: it may be damaged, and it is full of personal data.

Errors name the element and never quote its text; pydicom's own words are held back.
"""

import contextlib
import logging
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from pydicom import Dataset
from pydicom.multival import MultiValue

from helpers.data.splits import DataError

_T = TypeVar("_T")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what pydicom says: its warnings and log lines may quote header values."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def attempt(call: Callable[[], _T], message: str) -> _T:
    """Return `call()`; whatever goes wrong in it becomes a DataError with this message.

    Damaged files make pydicom raise nearly every kind of error, and its texts may quote values.
    Ours is raised outside the handler, so that a traceback does not print the other one either.
    """
    try:
        return call()
    except Exception:
        pass
    raise DataError(message)


def first_of(value: Any) -> Any:
    """Return the first of several values, or the only one."""
    return value[0] if isinstance(value, MultiValue) and value else value


def number_of(what: str, dataset: Dataset, keyword: str, default: float | None = None) -> float:
    """Return an element's number, the first one if there are several."""
    value = attempt(lambda: first_of(dataset.get(keyword)), f"{what}: {keyword} is damaged.")
    if value in (None, "", []):
        if default is None:
            raise DataError(f"{what} does not say its {keyword}; export it again.")
        return default
    number = attempt(lambda: float(value), f"{what}: {keyword} is no number.")
    if not math.isfinite(number):
        raise DataError(f"{what}: {keyword} is {number}; expected a finite number.")
    return number


def count_of(what: str, dataset: Dataset, keyword: str, default: int | None = None) -> int:
    """Return an element's number, which must be a whole one from 1."""
    number = number_of(what, dataset, keyword, default)
    if number < 1 or number != int(number):
        raise DataError(f"{what}: {keyword} is {number:g}; expected a whole number from 1.")
    return int(number)


def term_of(what: str, dataset: Dataset, keyword: str) -> str:
    """Return an element's text in capitals, "" if there is none; for comparing, not for showing."""
    value = attempt(lambda: first_of(dataset.get(keyword)), f"{what}: {keyword} is damaged.")
    return str(value or "").strip().upper()


def is_given(what: str, dataset: Dataset, keyword: str) -> bool:
    """Whether an element is there and not empty."""
    value = attempt(lambda: dataset.get(keyword), f"{what}: {keyword} is damaged.")
    return value is not None and value != "" and value != []
