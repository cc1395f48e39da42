"""Shared fixtures: small data, quiet threads, a results tree of its own for every test."""

import numpy as np
import pytest
import torch

from helpers.data.splits import Split, Splits


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def results_tree(tmp_path, monkeypatch):
    """An empty results tree, so that no test touches the repository's."""
    monkeypatch.setenv("REPRO_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


def toy_split(n: int, *, num_classes: int = 2, size: int = 28, seed: int = 0) -> Split:
    """Images whose brightness tells the class: learnable in a few steps."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % num_classes
    noise = generator.integers(0, 60, (n, size, size, 1))
    images = noise + (190 * labels / (num_classes - 1)).astype(int)[:, None, None, None]
    return Split(images=images.astype(np.uint8), labels=labels.astype(np.int64))


@pytest.fixture
def toy_splits() -> Splits:
    """Two classes, 48/24/24 images of 28 px."""
    return Splits(
        name="toy",
        train=toy_split(48),
        val=toy_split(24, seed=1),
        test=toy_split(24, seed=2),
        class_names=("dark", "bright"),
        source="toy",
        md5="0" * 32,
    )
