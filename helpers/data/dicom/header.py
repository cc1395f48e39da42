"""Reading a DICOM header with care: it may be damaged, and it is full of personal data.

Errors name the element and never quote its text; pydicom's own words are held back.
"""

import contextlib
import logging
import math
import warnings
from collections.abc import Iterator
from typing import Any

from pydicom import Dataset
from pydicom.multival import MultiValue

from helpers.data.splits import DataError


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


@contextlib.contextmanager
def damage(message: str) -> Iterator[None]:
    """Turn whatever goes wrong in a block into a DataError with this message.

    Damaged files make pydicom raise nearly every kind of error, and its texts may quote values.
    """
    try:
        yield
    except Exception:
        raise DataError(message) from None


def first_of(value: Any) -> Any:
    """Return the first of several values, or the only one."""
    return value[0] if isinstance(value, MultiValue) and value else value


def number_of(dataset: Dataset, keyword: str, default: float | None = None) -> float:
    """Return an element's number, the first one if there are several."""
    with damage(f"{keyword} is damaged."):
        value = first_of(dataset.get(keyword))
    if value in (None, "", []):
        if default is None:
            raise DataError(f"it does not say its {keyword}; export it again.")
        return default
    with damage(f"{keyword} is no number."):
        number = float(value)
    if not math.isfinite(number):
        raise DataError(f"{keyword} is {number}; expected a finite number.")
    return number


def count_of(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    """Return an element's number, which must be a whole one from 1."""
    number = number_of(dataset, keyword, default)
    if number < 1 or number != int(number):
        raise DataError(f"{keyword} is {number:g}; expected a whole number from 1.")
    return int(number)


def term_of(dataset: Dataset, keyword: str) -> str:
    """Return an element's text in capitals, "" if there is none; for comparing, not for showing."""
    with damage(f"{keyword} is damaged."):
        return str(first_of(dataset.get(keyword)) or "").strip().upper()


def is_given(dataset: Dataset, keyword: str) -> bool:
    """Whether an element is there and not empty."""
    with damage(f"{keyword} is damaged."):
        value = dataset.get(keyword)
    return value is not None and value != "" and value != []
