"""Names of data sets, checked without loading torch.

The package `medmnist` imports torch; its table of sets, `medmnist/info.py`, does not, so that file
alone is read here.
"""

import re
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path
from typing import Any

from helpers.config import OWN_PREFIXES, ConfigError, did_you_mean
from helpers.data.splits import DataError, is_plain

SIZES = (28, 64, 128, 224)
_LONGEST = 120  # bytes of an own set's name; figures and notebooks of runs are named after it
_PATTERNS = "{}[]*?"  # Snakemake and papermill fill in braces, shells and globbing the others

_TABLE = Path(find_spec("medmnist").origin).with_name("info.py")
INFO: dict[str, dict[str, Any]] = run_path(str(_TABLE))["INFO"]


def list_flags() -> list[str]:
    """Return the flags of all sets that can be loaded: 2-D, one label an image."""
    return [flag for flag in INFO if _refusal(flag) is None]


def parse_name(name: str) -> tuple[str, int] | None:
    """Split `breastmnist_64` into its flag and its image size, 28 pixels where it says none.

    Returns:
        (flag, image size), or None if this is not the name of a MedMNIST set.

    Raises:
        DataError: a multi-label or 3-D set, or an unknown size.
    """
    match = re.fullmatch(r"([a-z]+mnist(?:3d)?)(?:_(\d+))?", name)
    if match is None or match[1] not in INFO:
        return None
    flag, size = match[1], int(match[2] or SIZES[0])
    refusal = _refusal(flag)
    if refusal:
        raise DataError(f"{flag} is {refusal}. Known MedMNIST sets: {', '.join(list_flags())}.")
    if size not in SIZES:
        raise DataError(
            f"{flag} does not exist at {size} pixels; known sizes: {', '.join(map(str, SIZES))}."
        )
    return flag, size


def _refusal(flag: str) -> str | None:
    if flag.endswith("3d"):
        return "a 3-D set; only 2-D sets are supported"
    if INFO[flag]["task"].startswith("multi-label"):
        return "a multi-label set; only sets with one label an image are supported"
    return None


def is_own(name: str) -> bool:
    """Say whether this names a file or folder of one's own, which need not be here.

    Raises:
        DataError: no file that is made of the name could be called so.
    """
    if not name.startswith(OWN_PREFIXES):
        return False
    if (size := len(name.encode(errors="surrogatepass"))) > _LONGEST:
        raise DataError(
            f"the name {name[:40]}... has {size} bytes; at most {_LONGEST} fit into the names of "
            "the files that are made of it: rename it."
        )
    if not is_plain(name) or set(_PATTERNS) & set(name):
        raise DataError(
            f"the name {name!r} has a space at its end, a character that does not print, or one of "
            f"{' '.join(_PATTERNS)}, which other programs take for patterns: rename it."
        )
    return True


def check_name(name: str) -> None:
    """Raise a `ConfigError` that lists the known data sets unless this may be one.

    An image folder or an own file is looked for when its run starts: it may lie elsewhere.
    """
    try:
        known = parse_name(name) is not None or name == "phantom" or is_own(name)
    except DataError as error:
        raise ConfigError(str(error)) from None
    if known:
        return
    names = (*list_flags(), "phantom", *(f"{prefix}<name>" for prefix in OWN_PREFIXES))
    raise ConfigError(f"unknown data set {name!r}; {did_you_mean(name, names)}")
