"""The names of models and data sets, without loading torch each time they are asked for.

The registry imports every network, which takes ten seconds, and a plan is read by every job of a
sweep. So the names are listed once, by a process of its own, and kept as long as the code that they
come from is the same. `python -m helpers.runs.known_names` lists them anew.
"""

import hashlib
import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches

from helpers.config import ConfigError, without_size
from helpers.paths import cache_dir, repo_root, write_atomically

OWN_PREFIXES = ("folder:", "cag:", "npz:")  # data sets of one's own


@dataclass(frozen=True)
class KnownNames:
    """What a run may name.

    Attributes:
        models: Names for `build_model`.
        datasets: Names for `load_dataset`, without sizes and image folders.
        refused: Message for each data set of MedMNIST that cannot be loaded.
    """

    models: tuple[str, ...]
    datasets: tuple[str, ...]
    refused: dict[str, str]

    def check_model(self, name: str) -> None:
        """Raise a `ConfigError` that lists the known models unless this is one."""
        if name not in self.models:
            raise ConfigError(f"unknown model {name!r}; {did_you_mean(name, self.models)}")

    def check_dataset(self, name: str) -> None:
        """Raise a `ConfigError` that lists the known data sets unless this is one.

        An image folder or an own file is looked for when its run starts: it may lie elsewhere.
        """
        flag = without_size(name)
        if flag in self.refused:
            raise ConfigError(self.refused[flag])
        if not (name.startswith(OWN_PREFIXES) or flag in self.datasets):
            known = (*self.datasets, *(f"{prefix}<name>" for prefix in OWN_PREFIXES))
            raise ConfigError(f"unknown data set {name!r}; {did_you_mean(name, known)}")


def did_you_mean(name: str, known: tuple[str, ...]) -> str:
    """Return the end of a message about an unknown name: the nearest known one, and all of them."""
    nearest = get_close_matches(name, known, n=1)
    return (f"did you mean {nearest[0]}? " if nearest else "") + f"Known: {', '.join(known)}."


def known_names() -> KnownNames:
    """Return the names: asked for where torch is loaded anyway, else from the cache.

    Raises:
        RuntimeError: the process that lists them failed; its message is passed on.
    """
    if "torch" in sys.modules:
        return _read(json.dumps(_list()))
    file = cache_dir() / "names" / f"{_code_digest()}.json"
    if file.exists():
        return _read(file.read_text())
    done = subprocess.run(
        [sys.executable, "-m", "helpers.runs.known_names"],
        cwd=repo_root(),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"models and data sets cannot be listed: {done.stderr.strip()}")
    listed = done.stdout.splitlines()[-1]
    with suppress(OSError), write_atomically(file) as temporary:  # a home may be read-only
        temporary.write_text(listed + "\n")
    return _read(listed)


def _read(text: str) -> KnownNames:
    content = json.loads(text)
    return KnownNames(tuple(content["models"]), tuple(content["datasets"]), content["refused"])


def _code_digest() -> str:
    """Return a hash of what the names depend on: code of models and data, pinned versions."""
    root = repo_root()
    files = [
        file for name in ("models", "data") for file in (root / "helpers" / name).rglob("*.py")
    ]
    files = [*sorted(files), root / "requirements.txt"]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _list() -> dict[str, list[str] | dict[str, str]]:
    """Ask the registry and the data sets themselves."""
    import medmnist

    from helpers.data.datasets import list_datasets
    from helpers.data.medmnist import parse_name
    from helpers.data.splits import DataError
    from helpers.models.registry import list_models

    refused = {}
    for flag in medmnist.INFO:
        try:
            parse_name(flag)
        except DataError as error:
            refused[flag] = str(error)
    datasets = [name for name in list_datasets() if not name.startswith(OWN_PREFIXES)]
    return {"models": list(list_models()), "datasets": datasets, "refused": refused}


if __name__ == "__main__":
    print(json.dumps(_list()))
