"""Shared fixtures: small data, quiet threads, no network, a results tree of its own."""

import ipaddress
import os
import socket
from pathlib import Path

import numpy as np
import pytest

from helpers.data.splits import Split, Splits

# Before any test module is read: some ask at import what data there is.
os.environ["REPRO_OFFLINE"] = os.environ["HF_HUB_OFFLINE"] = "1"

# What takes longest is begun first, so that no worker is left with it at the end.
LONGEST = (
    "study/tables/test_tables.py",
    "test_damaged_files.py",
    "test_memory.py",
    "test_own_data.py",
    "test_sweep.py",
    "helpers/training/test_loop.py",
    "helpers/runs/test_store.py",
    "study/costs/test_measure.py",
)


def pytest_collection_modifyitems(items):
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(LONGEST)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give files to workers whole, in that order; those that judge all stored runs to one of them.

    A process reads the runs and counts the networks but once.
    """
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid):
            judges = nodeid.startswith(("tests/study/claims/", "tests/study/tables/"))
            return "tests/study" if judges else super()._split_scope(nodeid)

    config.option.loadscopereorder = False  # by the number of tests, which says little of time
    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(autouse=True, scope="session")
def one_thread_and_no_window():
    """Both are imported here: the process that starts the workers needs neither."""
    import matplotlib
    import torch

    torch.set_num_threads(1)
    matplotlib.use("agg")  # by MPLBACKEND the kernels that tests start would draw nothing


@pytest.fixture(autouse=True, scope="session")
def no_network():
    """No test reaches another machine: what is not at hand is skipped, or runs on the phantom."""
    connect = socket.socket.connect

    def local_only(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(address[0]):
            raise OSError(f"a test asked for {address[0]}; tests use no network")
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", local_only)
        yield


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture
def may_download(monkeypatch):
    """The fetching itself is under test: downloads are allowed, and made of something else."""
    monkeypatch.delenv("REPRO_OFFLINE")


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


def make_toy_splits() -> Splits:
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


@pytest.fixture
def toy_splits() -> Splits:
    return make_toy_splits()


@pytest.fixture
def axes():
    """Return axes in the house's style; a picture that cannot be drawn fails its test."""
    import matplotlib.pyplot as plt  # few tests draw

    from helpers.plots import style

    with style.style():
        figure, axes = plt.subplots()
        yield axes
        figure.canvas.draw()
        plt.close(figure)
