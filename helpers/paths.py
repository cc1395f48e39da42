"""Where things live: the only module that knows folders and environment variables."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
# What a variable may say that is on or off.
_WORDS = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(
    ("0", "false", "no", "off", ""), False
)


def repo_root() -> Path:
    """Return the folder that holds the README, the notebooks and this package."""
    return Path(__file__).resolve().parent.parent


def data_root() -> Path | None:
    """Return the folder named by `REPRO_DATA`, or None if unset.

    It holds `medmnist/`, `npz/` and, for image folders, `folders/` and `cag/`; each may be missing.

    Raises:
        ValueError: `REPRO_DATA` names a folder that does not exist.
    """
    value = os.environ.get("REPRO_DATA")
    if not value:
        return None
    # A relative value means the same folder from every notebook, whatever its working directory.
    folder = repo_root() / given_path("REPRO_DATA", value)
    if not os.path.isdir(folder):  # also of a name that no folder can have
        raise ValueError(
            f"REPRO_DATA is {value!r}, which is not a folder; unset it or point it to the folder "
            "that holds medmnist/, npz/, folders/ or cag/."
        )
    return folder.resolve()


def cache_dir() -> Path:
    """Return the folder for downloaded data, under `XDG_CACHE_HOME`; it may not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "light-medical-classifiers"


def may_download() -> bool:
    """Say whether data and weights may be fetched: yes, unless `REPRO_OFFLINE` is on (`is_on`)."""
    return not is_on("REPRO_OFFLINE")


def is_on(variable: str) -> bool:
    """Read an environment variable that says yes or no; unset or empty is no.

    Raises:
        ValueError: it says something else.
    """
    value = os.environ.get(variable, "")
    if (word := value.strip().lower()) not in _WORDS:
        known = ", ".join(filter(None, _WORDS))
        raise ValueError(f"{variable} is {value!r}; expected one of {known}, or unset it.")
    return _WORDS[word]


def results_root(profile: str = "paper") -> Path:
    """Return the results tree of a profile; quick results never share a tree with paper results.

    The base is `REPRO_RESULTS`, by default `results/` of the repository.
    """
    base = repo_root() / given_path("REPRO_RESULTS", os.environ.get("REPRO_RESULTS") or "results")
    return base if profile == "paper" else base / profile


def published_dir() -> Path:
    """Return the folder of the published numbers, which travel with the repository."""
    return repo_root() / "results" / "published"


def leakage_dir() -> Path:
    """Return the folder that says which test images have a copy, which travels likewise."""
    return repo_root() / "results" / "leakage"


def given_path(name: str, value: str | Path) -> Path:
    """Return a file or folder that somebody named, its "~" expanded.

    Args:
        name: of the option or parameter, for the error.
        value: the path; the working directory is ".", an empty text is a variable without value.

    Raises:
        ValueError: `value` is empty, or no path can have its characters.
    """
    if not str(value).strip() or "\0" in str(value):
        came = "empty" if not str(value).strip() else repr(str(value))
        raise ValueError(f"{name} is {came}; expected a path ('.' is this folder).")
    try:
        return Path(value).expanduser()
    except RuntimeError:  # "~x", and there is no user x
        return Path(value)


class DiskFull(OSError):
    """There is no room for a file; what was at its place is as it was."""


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it replaces `path` if the block ends without an error.

    A reader sees the old file or the whole new one, never a part, also after `kill -9`.

    Raises:
        DiskFull: the disk is full, or the quota used up, whatever the writer made of that.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix is kept: some writers (np.savez, matplotlib) choose the format by it.
        made = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
        made.touch(exist_ok=False)
        temporary = made
        mode = stat.S_IMODE(made.stat().st_mode)  # by the umask; some writers put another file here
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except Exception as error:
        if not _is_full(error, temporary):
            raise
        message = f"the disk is full: no room for {path.name} in {path.parent}; free some."
        full = DiskFull(message)
        full.errno = errno.ENOSPC
        raise full from error
    finally:
        if temporary:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8, see `write_atomically`."""
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _is_full(error: Exception, temporary: Path | None) -> bool:
    """Say whether a write failed for want of room: torch's and others' errors do not tell."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in NO_ROOM
    if os.strerror(errno.ENOSPC) in str(error):  # safetensors says so in words
        return True
    if temporary is None:
        return False
    try:
        with open(temporary, "ab") as file:
            file.write(bytes(2**16))
            file.flush()
            os.fsync(file.fileno())
    except OSError as refused:
        return refused.errno in NO_ROOM
    return False
