"""Python functions as machine code, kept for the next process, and run by several threads.

numba compiles them. The code is kept in the user's cache folder (or in `NUMBA_CACHE_DIR`); where
nothing can be kept there, each process compiles for itself. Threads are Python's, started for a
call and as many as `torch.get_num_threads()`: loops that numba would run in parallel keep a pool of
their own, which does not survive a fork.
"""

import os
import stat
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numba
import torch

from helpers.paths import cache_dir

_LEAST_WORK = 2**20  # steps that are worth a thread: about a millisecond

_lock = threading.Lock()
_compiled: dict[tuple, Callable[..., None]] = {}


def share_out(function: Callable[..., None], arguments: tuple, *, tasks: int, steps: int) -> None:
    """Run a kernel over all tasks, in as many threads as torch would use.

    Args:
        function: takes the arguments, the first task and the one after the last.
        arguments: arrays and numbers.
        tasks: how many there are; none writes what another reads.
        steps: of all tasks together, of which `_LEAST_WORK` are worth a thread.
    """
    threads = min(torch.get_num_threads(), tasks, 1 + steps // _LEAST_WORK)
    kernel = _compile(function, (*arguments, 0, 0))
    if threads == 1:
        kernel(*arguments, 0, tasks)
        return
    bounds = [tasks * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(kernel, *arguments, *part) for part in pairwise(bounds[1:])]
        kernel(*arguments, 0, bounds[1])
    for other in others:
        other.result()


def _compile(function: Callable[..., None], arguments: tuple) -> Callable[..., None]:
    """Return machine code for arguments of these types: ours, that of a cache, or new one."""
    signature = tuple(numba.typeof(argument) for argument in arguments)
    with _lock:
        key = (function, signature)
        if key not in _compiled:
            kernel = _from_cache(function, signature) or _jit(function)
            kernel.compile(signature)  # nothing to do for one of the cache
            _compiled[key] = kernel
        return _compiled[key]


def _from_cache(function: Callable[..., None], signature: tuple) -> Callable[..., None] | None:
    """Load or compile and keep; None where nothing can be kept, with a warning that says why."""
    before = numba.config.CACHE_DIR
    try:
        folder = Path(before) if before else _own_folder(cache_dir() / "numba")
        numba.config.CACHE_DIR = str(folder)
        kernel = _jit(function)
        kernel.enable_caching()
        if folder not in Path(kernel.stats.cache_path).parents:  # numba would try other places
            raise PermissionError(f"{folder} cannot be written to")
        kernel.compile(signature)
        return kernel
    # A full disk, a folder of somebody else, a damaged file: whatever it is, a new kernel works.
    except Exception as error:
        warnings.warn(
            f"compiled loops are not kept for the next process ({error}); set NUMBA_CACHE_DIR to a "
            "folder of your own to save the seconds that they take.",
            stacklevel=2,
        )
        return None
    finally:
        numba.config.CACHE_DIR = before


def _own_folder(folder: Path) -> Path:
    """Make a folder that nobody else can write to: what lies there is run.

    Raises:
        OSError: it cannot be made, or is somebody else's.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if hasattr(os, "getuid") and (
        found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    ):
        raise PermissionError(f"others can write to {folder}")
    return folder


def _jit(function: Callable[..., None]) -> Callable[..., None]:
    # "contract": a product and a sum may be one instruction. Nothing else is assumed of numbers.
    return numba.njit(nogil=True, fastmath={"contract"}, error_model="numpy")(function)
