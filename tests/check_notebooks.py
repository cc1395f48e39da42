"""Run every notebook and compare it with its committed output: `python -m tests.check_notebooks`.

A notebook whose data set can be had here runs on it and must print what it printed when it was
committed (`pytest --nbval`). One whose data set cannot be had runs on the phantom; then its outputs
are not compared (`pytest --nbval-lax`), its own assertions still are. The outcome says which.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat

from helpers.data.datasets import stand_in
from helpers.paths import repo_root

# About a minute each, as they say themselves; begun first, so that no worker ends with one alone.
LONGEST = ("02_models", "10_claims", "08_paper_b", "09_efficiency")


def dataset_of(notebook: Path) -> str | None:
    """Return the default of the notebook's `dataset` parameter, None if it has none."""
    cells = nbformat.read(notebook, as_version=4).cells
    for cell in cells:
        if "parameters" in cell.metadata.get("tags", []):
            namespace: dict = {}
            exec(cell.source, namespace)  # plain literals of this repository
            return namespace.get("dataset")
    raise SystemExit(f"{notebook.name}: no cell is tagged 'parameters'.")


def main() -> int:
    """Check all notebooks; return pytest's worst exit code."""
    # Two kernels of the same thread count give the same last bits.
    environment = os.environ | {"REPRO_STAND_IN": "phantom", "OMP_NUM_THREADS": "1"}
    os.environ["REPRO_STAND_IN"] = "phantom"
    notebooks = sorted((repo_root() / "notebooks").glob("*.ipynb"))
    notebooks.sort(key=lambda path: (*LONGEST, path.stem).index(path.stem))
    real, phantom = [], []
    for notebook in notebooks:
        dataset = dataset_of(notebook)
        stands_in = dataset is not None and stand_in(dataset) != dataset
        (phantom if stands_in else real).append(notebook)

    common = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--nbval-cell-timeout=600"]
    # Two notebooks at once, in the order given.
    common += ["--numprocesses=2", "--dist=loadfile", "--no-loadscope-reorder"]
    codes = []
    if real:
        sanitizer = str(repo_root() / "tests" / "nbval_sanitize.cfg")
        codes.append(
            subprocess.run(
                [*common, "--nbval", f"--nbval-sanitize-with={sanitizer}", *map(str, real)],
                env=environment,
            ).returncode
        )
    if phantom:
        with tempfile.TemporaryDirectory() as results:
            codes.append(
                subprocess.run(
                    [*common, "--nbval-lax", *map(str, phantom)],
                    env=environment | {"REPRO_RESULTS": results},
                ).returncode
            )
    for notebook in real:
        print(f"{notebook.name}: outputs compared with the committed ones")
    for notebook in phantom:
        print(f"{notebook.name}: ran on the PHANTOM, its outputs were not compared")
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
