"""Measurements on disk, beside the run store: one reader and one writer for each kind of file.

JSON for times and sizes (`results/efficiency`, `results/benchmarks`), arrays for maps
(`results/localisation`), CSV for tied images (`results/leakage`). A file appears whole or not at
all. What is read is of a known form and a bounded size; whatever is wrong with it ends in an error
of the module that asks, which names the file. Runs, also AutoML's, lie in `helpers.runs.store`.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from helpers.files import Arrays, DamagedFile, open_arrays, read_json, reading
from helpers.paths import write_atomically, write_text

# The largest file that is stored has about a twentieth of this.
MOST_BYTES = 64 * 2**20


@contextmanager
def open_measured(path: Path, error: type[Exception], advice: str = "") -> Iterator[None]:
    """Check a file's size, and turn whatever is wrong in the block into one error that names it.

    The block reads the file and takes it apart; the advice, what to do, comes after the reason.
    """
    with reading(path, error, advice):
        if path.stat().st_size > MOST_BYTES:
            raise DamagedFile(f"{path.name}: it has more than {MOST_BYTES:,} bytes")
        yield


@contextmanager
def open_record(
    path: Path, error: type[Exception], advice: str = "", *, schema: int
) -> Iterator[dict[str, Any]]:
    """Open what `save_record` wrote, without its schema, which must be the one asked for."""
    with open_measured(path, error, advice):
        content = read_json(path)
        if not isinstance(content, dict):
            raise DamagedFile(f"{path.name}: it holds no record")
        if (found := content.pop("schema", None)) != schema:
            raise DamagedFile(f"{path.name}: it has schema {found!r}, expected {schema}")
        yield content


def save_record(path: Path, content: Mapping[str, Any], *, schema: int) -> None:
    """Write a JSON file, all of its numbers finite, over the one before."""
    text = json.dumps({"schema": schema} | dict(content), indent=1, allow_nan=False)
    write_text(path, text + "\n")


@contextmanager
def open_array_file(
    path: Path, error: type[Exception], advice: str = ""
) -> Iterator[tuple[Arrays, dict[str, Any]]]:
    """Open what `save_arrays` wrote: the arrays, and the text beside them."""
    with open_measured(path, error, advice), open_arrays(path) as arrays:
        yield arrays, json.loads(str(arrays.read("text", "U", ())))


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray], text: Mapping[str, Any]) -> None:
    """Write arrays with a JSON-ready text beside them."""
    with write_atomically(path) as temporary:
        np.savez_compressed(temporary, **arrays, text=np.array(json.dumps(text, sort_keys=True)))
