"""What one file may cost: memory above the network, and writes where nobody asked for them."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from helpers.paths import repo_root

LIMIT = 2 * 2**30  # bytes above what is there before the file is read

MAKE = """
import struct, sys, zlib
import numpy as np
from pathlib import Path
from PIL import Image
grey = lambda h, w: np.zeros((h, w), np.uint8)

def make(kind, path):
    if kind == "pages.tif":
        import cv2  # writes many pages many times as fast as Pillow
        deflate = [cv2.IMWRITE_TIFF_COMPRESSION, cv2.IMWRITE_TIFF_COMPRESSION_ADOBE_DEFLATE]
        assert cv2.imwritemulti(str(path), [grey(128, 128)] * 4000, deflate)
    elif kind == "large.webp":
        Image.new("RGB", (8192, 8192)).save(path, lossless=True, method=0, quality=0)
    elif kind == "cmyk.jpg":
        Image.new("CMYK", (8192, 8192)).save(path)
    elif kind == "large.jp2":
        Image.fromarray(np.zeros((8192, 8192), np.uint16)).save(path, irreversible=True)
    elif kind in ("huge.png", "deep.png"):
        side, kind_of, bits = (30000, 0, 8) if kind == "huge.png" else (8192, 2, 16)
        row = b"\\0" + bytes(side * (1 if kind_of == 0 else 3) * bits // 8)
        packer = zlib.compressobj(1)
        packed = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
        ends = lambda k, d: struct.pack(">I", zlib.crc32(k + d))
        chunk = lambda k, d: struct.pack(">I", len(d)) + k + d + ends(k, d)
        head = struct.pack(">IIBBBBB", side, side, bits, kind_of, 0, 0, 0)
        chunks = chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
        path.write_bytes(b"\\x89PNG\\r\\n\\x1a\\n" + chunks)
    elif kind == "float.tif":
        Image.fromarray(np.zeros((8192, 8192), np.float32)).save(path, compression="tiff_deflate")
    elif kind == "frames.dcm":
        from pydicom.dataset import Dataset, FileMetaDataset
        from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = SecondaryCaptureImageStorage
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = "1.2.3"
        n = 900
        ds.NumberOfFrames, ds.Rows, ds.Columns, ds.SamplesPerPixel = n, 512, 512, 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
        ds.PixelRepresentation = 0
        ds.PixelData = bytes(n * 512 * 512 * 2); ds["PixelData"].VR = "OW"
        ds.save_as(path, enforce_file_format=True)

for name in sys.argv[2:]:
    folder = Path(sys.argv[1], name)
    folder.mkdir()
    make(name, folder / name)
"""

# Each file in a process of its own, forked from one that has imported everything.
READ = """
import json, multiprocessing, resource, sys
from pathlib import Path
import cv2
from helpers.predict.reading import Skipped, list_folder, read_file

def read(folder):
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    before = peak()
    (found,), _ = list_folder(folder)
    read = read_file(found)
    said = read.reason if isinstance(read, Skipped) else f"{len(read)} frames"
    return peak() - before, said

with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
    folders = sorted(Path(sys.argv[1]).iterdir())
    print(json.dumps({f.name: pool.apply(read, (f,)) for f in folders}))
"""

SAID = {
    "pages.tif": "4000 frames",
    "large.webp": "1 frames",
    "cmyk.jpg": "pixel mode CMYK",
    "large.jp2": "1 frames",
    "huge.png": "more than 67,108,864 pixels",
    "deep.png": "pixels of 402,653,184 bytes in all are too many",
    "float.tif": "pixel mode F",
    "frames.dcm": "900 frames",
}


def run(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(repo_root())},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.fixture(scope="module")
def taken_and_said(tmp_path_factory):
    """For each file by name the bytes that reading it took, and what was said of it."""
    folder = tmp_path_factory.mktemp("files")
    run(MAKE, folder, *SAID)
    read = json.loads(run(READ, folder).splitlines()[-1])
    shutil.rmtree(folder)  # half a gigabyte
    return read


@pytest.mark.parametrize("name", SAID)
def test_memory_of_one_file(taken_and_said, name):
    taken, said = taken_and_said[name]
    assert SAID[name] in said
    assert taken < LIMIT, f"{name}: {taken / 2**20:,.0f} MiB"


# --- writes ---------------------------------------------------------------------------------------

WATCHED = """
import json, os, sys
written = set()
names = {"open": 0, "os.mkdir": 0, "os.remove": 0, "os.rmdir": 0, "os.truncate": 0, "os.chmod": 0}
names |= {"os.rename": 1, "os.link": 1, "os.symlink": 1, "shutil.rmtree": 0}

def watch(event, arguments):
    if event not in names or not isinstance(arguments[names[event]], (str, bytes, os.PathLike)):
        return
    if event == "open":
        mode, flags = arguments[1], arguments[2]
        writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT
        if not (any(c in mode for c in "wax+") if mode else flags & writes):
            return
    written.add(os.path.abspath(os.fsdecode(arguments[names[event]])))

sys.addaudithook(watch)
import matplotlib
matplotlib.use("agg")
from helpers.plots import figures
from helpers.predict import __main__ as command
from helpers.runs.experiment import config_from_parameters, run_experiment
run = run_experiment(config_from_parameters(dict(
    recipe="quick", dataset="phantom", model="mobilenet_v2", seed=0, pretrained="none",
    image_size=28, epochs=1, n_train=32, profile="quick")))
images, output = sys.argv[1:]
asked = ["--run", str(run.path), "--images", images, "--output", output, "--overlays", "1"]
assert command.main(asked) == 0
assert figures.main([str(run.path), "--profile", "quick", "--dpi", "50"]) == 0
print(json.dumps(sorted(written)))
"""


def test_nothing_is_written_outside_results_output_and_cache(tmp_path, monkeypatch):
    """A tracer of all of Python's own opening, making, renaming and removing of files."""
    from PIL import Image

    for name in ("images", "results", "cache", "work", "tmp", "matplotlib"):
        (tmp_path / name).mkdir()
    Image.new("L", (64, 64), 100).save(tmp_path / "images" / "a.png")
    monkeypatch.setenv("REPRO_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    # What torch compiles goes to the temporary folder unless an import of torch has said otherwise.
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.chdir(tmp_path / "work")
    before = (tmp_path / "images" / "a.png").read_bytes()
    printed = run(WATCHED, tmp_path / "images", tmp_path / "output")
    written = json.loads(printed.splitlines()[-1])
    own = [path for path in written if path.startswith(str(tmp_path))]
    assert len([p for p in own if p.endswith("run.json")]) == 1
    allowed = [str(tmp_path / n) for n in ("results", "output", "cache", "tmp", "matplotlib")]
    # The package medmnist makes the folder of its downloads when it is imported.
    allowed += ["/dev/", "/proc/", str(tmp_path / "home" / ".medmnist")]
    stray = [path for path in written if not path.startswith(tuple(allowed))]
    assert set(stray) <= {str(tmp_path / "home")}, stray
    left = [*(tmp_path / "work").iterdir(), *(tmp_path / "tmp").iterdir()]
    assert not [path for path in left if not path.name.startswith("torchinductor")]
    assert (tmp_path / "images" / "a.png").read_bytes() == before
