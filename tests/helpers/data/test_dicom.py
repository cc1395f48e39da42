"""DICOM frames: greys against hand-computed ones, groups, privacy, and each kind of bad file."""

import importlib.util
import io
import logging
import sys
import traceback
import warnings
import zlib
from pathlib import Path

import numpy as np
import pydicom.data
import pytest
from PIL import Image
from pydicom import Dataset, FileMetaDataset, dcmread, dcmwrite
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_color_lut
from pydicom.uid import (
    HTJ2K,
    BasicTextSRStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    XRayAngiographicImageStorage,
)

from helpers.data.datasets import load_dataset
from helpers.data.dicom import decode
from helpers.data.dicom import frames as dicom
from helpers.data.dicom.frames import pseudonym, read_dicom
from helpers.data.image_folder import load_image_folder
from helpers.data.pictures import flatness
from helpers.data.splits import DataError

SECRET = "Zwiebelmann"  # in every place of a header that could come out
SIZE = 16
SPLITS = ("train", "val", "test")


def stored_values(bits=8, frames=1, seed=0, signed=False, size=SIZE):
    low = -(2 ** (bits - 1)) if signed else 0
    values = np.random.default_rng(seed).integers(low, low + 2**bits, (frames, size, size))
    values[0, 0, :2] = low, low + 2**bits - 1
    return values.astype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")


def make(values=None, *, bits=8, patient="P1", syntax=ExplicitVRLittleEndian, **elements):
    """Return a data set of frames (F, H, W); `elements` are set, or deleted where None."""
    values = stored_values(bits) if values is None else values
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    ds.PatientID, ds.PatientName, ds.PatientBirthDate = patient, SECRET, "19011231"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    ds.NumberOfFrames, ds.Rows, ds.Columns = values.shape[:3]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8 * values.itemsize, bits, bits - 1
    ds.PixelRepresentation = int(values.dtype.kind == "i")
    data = values.astype(values.dtype.newbyteorder(">" if syntax == ExplicitVRBigEndian else "<"))
    ds.PixelData = data.tobytes()
    ds["PixelData"].VR = "OB" if values.itemsize == 1 else "OW"
    for keyword, value in elements.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def to_bytes(ds, compress=False):
    if compress:
        ds.compress(RLELossless, generate_instance_uid=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = io.BytesIO()
        dcmwrite(file, ds, enforce_file_format=True)
    return file.getvalue()


def read(ds, frames=None):
    return read_dicom("set/x.dcm", to_bytes(ds), frames)


def greys(ds):
    return read(ds).images[..., 0]


def full_range(values, bits, signed=False):
    low = -(2 ** (bits - 1)) if signed else 0
    return np.round((values.astype(float) - low) * (255 / (2**bits - 1))).astype(np.uint8)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_without_a_window_the_full_range_becomes_0_to_255(bits, signed):
    values = stored_values(bits, frames=3, signed=signed)
    images = greys(make(values, bits=bits))
    assert images.dtype == np.uint8 and images.min() == 0 and images.max() == 255
    np.testing.assert_array_equal(images, full_range(values, bits, signed))
    inverted = greys(make(values, bits=bits, PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(inverted, 255 - images)


def test_a_dark_file_stays_dark_unless_its_levels_would_be_lost():
    for bits, divisor in ((8, 1), (8, 40), (12, 3)):
        values = stored_values(bits) // divisor
        images = greys(make(values, bits=bits))
        np.testing.assert_array_equal(images, full_range(values, bits))


def smooth(frames=1, top=255):
    y, x = np.mgrid[:64, :64]
    grey = np.clip(128 + 80 * np.sin(x / 9) + 40 * np.cos(y / 7), 0, 255) * top / 255
    return np.stack([grey * (1 + i) / frames for i in range(frames)])


OF_16_BITS = {
    "CT": (lambda: smooth() * 8, {"RescaleSlope": 1, "RescaleIntercept": -1024}, True),
    "12 bits": (lambda: smooth() * 16, {}, False),
    "10 bits around 30000": (lambda: smooth(3) * 4 + 30000, {}, False),
    "negative": (lambda: smooth() - 20000, {}, True),
    "negative slope": (lambda: smooth(2), {"RescaleSlope": -2}, False),
    "padded": (lambda: np.where(smooth() > 60, smooth() * 3, -32768), {}, True),
}


@pytest.mark.parametrize("case", OF_16_BITS)
def test_without_a_window_no_level_is_lost(case):
    build, elements, signed = OF_16_BITS[case]
    values = np.round(build()).astype("i2" if signed else "u2")
    if case == "padded":
        elements = {"PixelPaddingValue": -32768}
    content = to_bytes(make(values, bits=16, **elements))
    read_file = read_dicom("x", content)
    there = values[values != -32768].astype(float)
    if case == "negative slope":
        there = -there
    image = values * (-1.0 if case == "negative slope" else 1.0)
    scaled = (image - there.min()) / (there.max() - there.min())
    np.testing.assert_array_equal(
        read_file.images[..., 0], np.clip(np.round(scaled * 255), 0, 255).astype(np.uint8)
    )
    assert not any(flatness(image) for image in read_file.images)
    assert read_file.view.startswith("no window, 16 bits stored, of which ")
    # One scale for all frames, whichever of them are asked for.
    last = len(values) - 1
    np.testing.assert_array_equal(read_dicom("x", content, [last]).images, read_file.images[[last]])


def test_a_window_beside_the_values_is_honoured_and_said():
    ds = make(np.round(smooth()).astype("u2"), bits=16, WindowCenter=5000, WindowWidth=10)
    read_file = read(ds)
    assert read_file.images.max() == 0 and flatness(read_file.images[0])
    assert read_file.view == "window 10 wide around 5000"


def test_32_bits():
    values = (smooth(2) * 12_000_000).astype("u4")
    images = read(make(values, bits=32)).images
    np.testing.assert_array_equal(images[..., 0], np.round(values / (2**32 - 1) * 255))
    window = {"WindowCenter": 2**30, "WindowWidth": 2**31, "RescaleSlope": 0.5}
    images = read(make(values, bits=32, **window)).images
    np.testing.assert_array_equal(images[1, ..., 0], linear(values[1] * 0.5, 2**30, 2**31))


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        RLELossless,
    ],
)
@pytest.mark.parametrize("bits", [8, 12])
def test_transfer_syntaxes(syntax, bits):
    values = stored_values(bits, frames=3)
    compress = syntax == RLELossless
    ds = make(values, bits=bits, syntax=ExplicitVRLittleEndian if compress else syntax)
    content = to_bytes(ds, compress)
    images = read_dicom("x", content).images[..., 0]
    np.testing.assert_array_equal(images, full_range(values, bits))
    np.testing.assert_array_equal(read_dicom("x", content, [2, 0]).images[..., 0], images[[2, 0]])


def test_jpeg_baseline_is_read_with_pillow():
    picture = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    ds = compressed(make(picture[None]), JPEGBaseline8Bit, [encoded(picture, "JPEG", quality=95)])
    assert np.abs(greys(ds)[0].astype(int) - picture).max() <= 3


def linear(x, center, width):
    """PS3.3 C.11.2.1.2.1, output 0 to 255, rounded."""
    low, high = x <= center - 0.5 - (width - 1) / 2, x > center - 0.5 + (width - 1) / 2
    with np.errstate(divide="ignore", invalid="ignore"):  # a width of 1 leaves nothing in between
        between = ((x - (center - 0.5)) / (width - 1) + 0.5) * 255
    return np.round(np.select([low, high], [0.0, 255.0], between))


@pytest.mark.parametrize(("center", "width"), [(2048, 4096), (600, 300), (100.5, 1), (-20, 900)])
def test_window_against_the_formula_of_the_standard(center, width):
    values = stored_values(12)
    window = {"WindowCenter": [center, 5], "WindowWidth": [width, 7]}  # the first one counts
    images = greys(make(values, bits=12, **window))
    np.testing.assert_array_equal(images, linear(values.astype(float), center, width))
    inverted = greys(make(values, bits=12, PhotometricInterpretation="MONOCHROME1", **window))
    np.testing.assert_array_equal(inverted, 255 - images)


def test_window_functions():
    values, c, w = stored_values(10), 500.0, 200.0
    x = values.astype(float)
    window = {"bits": 10, "WindowCenter": c, "WindowWidth": w}
    exact = np.clip((x - c) / w + 0.5, 0, 1) * 255
    sigmoid = 255 / (1 + np.exp(-4 * (x - c) / w))
    for function, expected in (("LINEAR_EXACT", exact), ("SIGMOID", sigmoid)):
        images = greys(make(values, VOILUTFunction=function, **window))
        np.testing.assert_array_equal(images, np.round(expected))


@pytest.mark.parametrize("slope", [2.5, -2.5])
def test_rescale_comes_before_the_window(slope):
    values = stored_values(12, signed=True)
    rescaled = values * slope - 100.0
    ds = make(values, bits=12, RescaleSlope=slope, RescaleIntercept=-100)
    low, high = rescaled.min(), rescaled.max()
    expected = np.round((rescaled - low) * (255 / (high - low)))
    np.testing.assert_array_equal(greys(ds), expected)
    ds.WindowCenter, ds.WindowWidth = 300, 700
    np.testing.assert_array_equal(greys(ds), linear(rescaled, 300, 700))


def lut(keyword, data, first=0, depth=8, vr="US"):
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(data), first, depth])
    item.add_new("LUTData", vr, data if vr == "US" else np.asarray(data, "<u2").tobytes())
    return {keyword: [item]}


@pytest.mark.parametrize("vr", ["US", "OW"])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize(("depth", "first"), [(8, 0), (12, 0), (8, 300)])
@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
def test_luts(keyword, depth, first, syntax, vr):
    # 1000 entries of 8 bits: more entries than an 8-bit index can name.
    data = [(i * i) // 300 % 2**depth for i in range(1000)]
    values = stored_values(12)
    index = np.clip(values.astype(int) - first, 0, 999)
    expected = np.round(np.array(data)[index] * (255 / (2**depth - 1)))
    ds = make(values, bits=12, syntax=syntax, **lut(keyword, data, first, depth, vr))
    np.testing.assert_array_equal(greys(ds), expected)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_a_lut_of_signed_values(syntax):
    values = stored_values(10, signed=True)
    data = list(range(1023, -1, -1))
    ds = make(values, bits=10, syntax=syntax, **lut("VOILUTSequence", data, -512, 10))
    np.testing.assert_array_equal(greys(ds), 255 - full_range(values, 10, signed=True))


def test_the_modality_lut_of_an_angiogram_in_log_values_is_not_for_display():
    values = stored_values(8)
    table = lut("ModalityLUTSequence", [255 - i for i in range(256)])
    plain = full_range(values, 8)
    for relationship, expected in (("LOG", plain), ("DISP", plain), ("LIN", 255 - plain)):
        ds = make(values, PixelIntensityRelationship=relationship, **table)
        ds.SOPClassUID = XRayAngiographicImageStorage
        np.testing.assert_array_equal(greys(ds), expected)
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.PixelIntensityRelationship = "LOG"
    np.testing.assert_array_equal(greys(ds), 255 - plain)


@pytest.mark.parametrize("signed", [False, True])
def test_bits_above_the_stored_ones_are_ignored(signed):
    values = stored_values(12, signed=signed)
    with_overlay = (values.view("u2") & 0x0FFF) | 0xA000
    ds = make(with_overlay, bits=12, PixelRepresentation=int(signed))
    np.testing.assert_array_equal(greys(ds), full_range(values, 12, signed))


@pytest.mark.parametrize("planar", [0, 1])
def test_rgb(planar):
    pixels = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3)).astype(np.uint8)
    data = pixels.transpose(0, 3, 1, 2) if planar else pixels
    ds = make(pixels, PhotometricInterpretation="RGB", SamplesPerPixel=3)
    ds.PlanarConfiguration, ds.PixelData = planar, data.tobytes()
    np.testing.assert_array_equal(read(ds).images, pixels)


def test_the_group_is_the_patient_else_the_study_else_the_series():
    group = read(make(patient=SECRET)).group
    assert group == pseudonym("patient", SECRET) and SECRET not in group
    assert group.startswith("patient-") and len(group) == len("patient-") + 12
    assert read(make(stored_values(seed=1), patient=f" {SECRET} ")).group == group
    assert read(make(patient="P2")).group != group
    assert read(make(patient="  ")).group == pseudonym("study", "1.2.3")
    without = make(patient="", StudyInstanceUID=None)
    assert read(without).group == pseudonym("series", "1.2.3.1")
    del without.SeriesInstanceUID
    assert read(without).group is None


# Folders


def put(path, ds):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(ds if isinstance(ds, bytes) else to_bytes(ds))


def load(folder):
    return load_image_folder(folder.parent, f"cag:{folder.name}")


def where(splits):
    """Return group -> the splits it is in, and how many images."""
    found = {}
    for name, split in splits.items():
        for group in split.groups:
            found.setdefault(str(group), []).append(name)
    return found


@pytest.fixture
def cines(tmp_path):
    """Return a folder of two classes, four patients each: two files of two frames a patient."""
    for c, name in enumerate(("negative", "positive")):
        for p in range(4):
            for f in range(2):
                values = stored_values(12, frames=2, seed=100 * c + 10 * p + f)
                ds = make(values, bits=12, patient=f"{SECRET}{c}{p}")
                put(tmp_path / "cag" / "set" / name / f"IM{p}{f:04d}", ds)
    (tmp_path / "cag" / "set" / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    return tmp_path / "cag" / "set"


def test_class_folders_of_cines_end_to_end(cines, monkeypatch):
    monkeypatch.setenv("REPRO_DATA", str(cines.parent.parent))
    splits = load_dataset("cag:set")
    assert (splits.image_size, splits.in_channels, splits.class_names) == (
        SIZE,
        1,
        ("negative", "positive"),
    )
    found = where(splits)
    assert set(found) == {pseudonym("patient", f"{SECRET}{c}{p}") for c in (0, 1) for p in range(4)}
    for names in found.values():  # both files of a patient, both frames of a file
        assert len(names) == 4 and len(set(names)) == 1
    for _, split in splits.items():
        assert set(split.labels) == {0, 1}
    images = {i.tobytes() for _, split in splits.items() for i in split.images}
    values = stored_values(12, frames=2, seed=131)
    assert all(full_range(frame, 12).tobytes() in images for frame in values)
    assert load(cines).md5 == splits.md5
    values[0, 5, 5] ^= 1  # too small a change for the grey, but another file
    put(cines / "positive" / "IM30001", make(values, bits=12, patient=f"{SECRET}13"))
    assert load(cines).md5 != splits.md5


def test_a_patient_in_two_split_folders_is_found(tmp_path):
    for s, split in enumerate(SPLITS):
        for c in range(2):
            ds = make(stored_values(seed=10 * s + c), patient=f"{SECRET}{s}")
            put(tmp_path / "set" / split / str(c) / "a.dcm", ds)
    assert len(load(tmp_path / "set").train) == 2
    put(tmp_path / "set" / "test" / "1" / "b.dcm", make(patient=f"{SECRET}0"))
    with pytest.raises(DataError, match=r"1 group\(s\) cross splits") as caught:
        load(tmp_path / "set")
    assert pseudonym("patient", f"{SECRET}0") in str(caught.value)
    assert SECRET not in str(caught.value)


def test_files_without_any_id_and_png_are_groups_of_their_own(tmp_path):
    nobody = {"patient": "", "StudyInstanceUID": None, "SeriesInstanceUID": None}
    for c in range(2):
        for i in range(3):
            values = stored_values(frames=2, seed=10 * c + i)
            put(tmp_path / "set" / str(c) / f"1.2.3.{i}", make(values, **nobody))
        Image.fromarray(stored_values(seed=50 + c)[0]).save(tmp_path / "set" / str(c) / "x.png")
    found = where(load(tmp_path / "set"))
    assert sorted(len(names) for names in found.values()) == [1, 1] + [2] * 6
    assert all(name.startswith("file-") for name in found)


def test_one_patient_id_for_all_files_is_named(tmp_path):
    for c in range(2):
        for i in range(5):
            ds = make(stored_values(seed=10 * c + i), patient="anonymous")
            put(tmp_path / "set" / str(c) / f"{i}.dcm", ds)
    with pytest.raises(DataError, match=r"set: 1 group\(s\) \(patients\) in all, too few"):
        load(tmp_path / "set")


@pytest.fixture
def table(tmp_path):
    """Return a function that writes labels.csv beside six files of three frames and a PNG."""

    def write(text):
        for i in range(6):
            ds = make(stored_values(frames=3, seed=i), patient=f"{SECRET}{i}")
            put(tmp_path / "set" / f"{i}.dcm", ds)
        Image.fromarray(stored_values(seed=9)[0]).save(tmp_path / "set" / "x.png")
        (tmp_path / "set" / "labels.csv").write_text(text)
        return tmp_path / "set"

    return write


HEADER = "file,frame,label,split,group,box\n"
ROWS = [
    "0.dcm,2,0,train,a,1 2 3 4",
    "0.dcm,0,1,train,a,",
    "1.dcm,,0,val,b,",
    "2.dcm,1,1,val,b,",
    "3.dcm,0,0,test,c,",
    "3.dcm,1,1,test,c,5 6 7 8",
    "x.png,,0,test,d,",
]


def test_csv_with_frames(table):
    splits = load(table(HEADER + "\n".join(ROWS)))
    frames = [stored_values(frames=3, seed=i) for i in range(4)]
    np.testing.assert_array_equal(splits.train.images[..., 0], frames[0][[0, 2]])
    assert splits.train.labels.tolist() == [1, 0]
    assert splits.train.boxes[1].tolist() == [1, 2, 3, 4] and np.isnan(splits.train.boxes[0]).all()
    np.testing.assert_array_equal(
        splits.val.images[..., 0], np.concatenate([frames[1], frames[2][[1]]])
    )
    assert splits.val.labels.tolist() == [0, 0, 0, 1]
    assert splits.test.groups.tolist() == ["c", "c", "d"]  # the table's, not the header's
    np.testing.assert_array_equal(splits.test.images[2, ..., 0], stored_values(seed=9)[0])


def test_csv_without_groups_takes_the_headers(table):
    rows = [",".join(row.split(",")[:4]) for row in ROWS]
    splits = load(table("file,frame,label,split\n" + "\n".join(rows)))
    assert set(splits.train.groups) == {pseudonym("patient", f"{SECRET}0")}
    rows = [",".join(row.split(",")[:3]) for row in ROWS]
    found = where(load(table("file,frame,label\n" + "\n".join(rows))))
    assert sorted(len(names) for names in found.values()) == [1, 1, 2, 2, 3]
    assert all(len(set(names)) == 1 for names in found.values())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0.dcm,2,1,train,a,", "lists 0.dcm twice"),
        ("0.dcm,02,1,train,a,", "lists 0.dcm twice"),
        ("0.dcm,,1,train,a,", "lists 0.dcm twice"),
        ("1.dcm,0,1,val,b,", "lists 1.dcm twice"),
        ("4.dcm,3,0,train,a,", r"set/4.dcm: frame 3 is out of range; it has the frames 0 to 2"),
        ("4.dcm,-1,0,train,a,", "frame is '-1' for 4.dcm; expected a whole number from 0"),
        ("4.dcm,1.0,0,train,a,", "frame is '1.0' for 4.dcm"),
        ("4.dcm,,0,train,a,1 2 3 4", "4.dcm has a box and 3 frames; say in labels.csv"),
    ],
)
def test_a_wrong_frame_is_named(table, row, message):
    with pytest.raises(DataError, match=message):
        load(table(HEADER + "\n".join([*ROWS, row])))


def test_a_png_has_one_frame(table):
    with pytest.raises(DataError, match=r"set/x.png: frame 1 is out of range; it has frame 0"):
        load(table(HEADER + "\n".join([*ROWS[:-1], "x.png,1,0,test,d,"])))
    assert len(load(table(HEADER + "\n".join([*ROWS[:-1], "x.png,0,0,test,d,"]))).test) == 3


def test_loose_and_unlike_files_are_named(cines):
    put(cines / "IM1", make(patient="x"))
    with pytest.raises(DataError, match=r"IM1 lies beside the class folders"):
        load(cines)
    (cines / "IM1").rename(cines / "negative" / "IM99")
    put(cines / "negative" / "IM99", make(stored_values(size=20), patient="x"))
    with pytest.raises(DataError, match=r"mixed sizes: .*16 x 16 pixels, negative/IM99 20 x 20"):
        load(cines)


# Bad files


def cut(ds, share=0.5, **options):
    content = to_bytes(ds, **options)
    return content[: int(len(content) * share)]


def enhanced(windows, slope=None, frames=2):
    """An enhanced file: a window a frame, the rescale for all."""
    ds = make(stored_values(12, frames=frames), bits=12)
    shared, own = Dataset(), []
    if slope is not None:
        item = Dataset()
        item.RescaleSlope, item.RescaleIntercept = slope, 0
        shared.PixelValueTransformationSequence = [item]
    for center, width in windows:
        item, group = Dataset(), Dataset()
        item.WindowCenter, item.WindowWidth = center, width
        group.FrameVOILUTSequence = [item]
        own.append(group)
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = own
    return ds


def colour(pixels=None, **elements):
    if pixels is None:
        pixels = np.random.default_rng(0).integers(0, 256, (1, SIZE, SIZE, 3)).astype(np.uint8)
    elements = {"PhotometricInterpretation": "RGB", "PlanarConfiguration": 0} | elements
    return make(pixels, bits=8 * pixels.itemsize, SamplesPerPixel=3, **elements)


def jpeg_head(marker, bits=8, size=SIZE):
    """The beginning of a JPEG frame up to its size."""
    return (
        b"\xff\xd8\xff"
        + bytes([marker, 0, 11, bits])
        + 2 * size.to_bytes(2, "big")
        + bytes([1, 1, 17, 0])
    )


def short_lut(keyword):
    ds = make(**lut(keyword, list(range(100))))
    ds[keyword].value[0].LUTDescriptor = [256, 0, 8]
    return ds


def encoded(picture, kind, **options):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind, **options)
    return file.getvalue()


def compressed(ds, syntax, fragments):
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate(fragments)
    ds["PixelData"].is_undefined_length = True
    return ds


def rle(**elements):
    ds = make(stored_values(frames=2))
    ds.compress(RLELossless, generate_instance_uid=False)
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


def renamed_syntax(uid):
    content = to_bytes(make())
    old = str(ExplicitVRLittleEndian).encode()
    assert len(uid) <= len(old) + 1
    return content.replace(old + b"\0", uid.encode().ljust(len(old) + 1, b"\0"))


def bomb():
    """A deflated file of a few kB that inflates to 4 MB."""
    content = to_bytes(make(syntax=DeflatedExplicitVRLittleEndian))
    head = content[: 132 + 12 + int.from_bytes(content[140:144], "little")]
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    inside = b"\x09\x00\x01\x00OB\0\0" + (4_000_000).to_bytes(4, "little") + bytes(4_000_000)
    return head + squeeze.compress(inside) + squeeze.flush()


BAD = {
    "no DICOM": (lambda: b"\x89PNG" + bytes(200), "x.dcm: it is no DICOM file"),
    "nothing but the mark": (lambda: bytes(128) + b"DICM", "does not say its transfer syntax"),
    "noise": (
        lambda: bytes(128) + b"DICM" + np.random.default_rng(0).bytes(500),
        "unreadable|transfer syntax",
    ),
    "no pixels": (lambda: make(PixelData=None), "has no pixel data"),
    "empty pixels": (lambda: make(PixelData=b""), "has no pixel data"),
    "cut in the header": (lambda: to_bytes(make())[:420], "has no pixel data|unreadable"),
    "cut in the pixels": (lambda: cut(make(stored_values(size=64)), 0.6), "truncated or damaged"),
    "deflated and cut": (
        lambda: cut(make(stored_values(size=64), syntax=DeflatedExplicitVRLittleEndian), 0.6),
        "damaged or truncated",
    ),
    "RLE cut": (
        lambda: cut(make(stored_values(frames=2)), 0.8, compress=True),
        "no pixel data|truncated or damaged",
    ),
    "RLE damaged": (
        lambda: compressed(make(), RLELossless, [bytes([1, 0, 0, 0, 64]) + bytes(80)]),
        r"frame 0 cannot be decoded \(RLE Lossless\): truncated or damaged",
    ),
    "RLE lacks a frame": (
        lambda: rle(NumberOfFrames=3),
        "NumberOfFrames is 3, but its pixel data has 2 fragments",
    ),
    "RLE has one more": (lambda: rle(NumberOfFrames=1), "NumberOfFrames is 1, but .* more"),
    "too many frames": (lambda: make(NumberOfFrames=2), r"claims 16 x 16 .* 2 frame\(s\), 512"),
    "too few frames": (
        lambda: make(stored_values(frames=2), NumberOfFrames=1),
        "pixel data is 512 bytes long; NumberOfFrames, Rows, Columns or SamplesPerPixel are wrong",
    ),
    "absurd": (
        lambda: make(Rows=65535, Columns=65535, NumberOfFrames=2**31 - 1),
        r"claims 65535 x 65535 .*2147483647 frame\(s\).* is 256 bytes long",
    ),
    "absurd RLE": (lambda: rle(Rows=65535, Columns=65535), "claims 65535"),
    "absurd JPEG": (
        lambda: compressed(make(Rows=65535, Columns=65535), JPEGBaseline8Bit, [b"\xff\xd8"]),
        "claims 65535",
    ),
    "too many frames for one file": (
        lambda: make(np.zeros((2**17, 1, 1), np.uint8)),
        "131072 frames; more than 65536 are not read",
    ),
    "a frame too large": (
        lambda: compressed(make(Rows=16384, Columns=8193), RLELossless, [bytes(2_200_000)]),
        r"one frame of 8193 x 16384 .* is more than 134217728 bytes",
    ),
    "no rows": (lambda: make(Rows=0), "Rows is 0; expected a whole number from 1"),
    "no frames": (lambda: make(NumberOfFrames=0), "NumberOfFrames is 0"),
    "no palette": (
        lambda: make(PhotometricInterpretation="PALETTE COLOR"),
        "does not say its RedPaletteColorLookupTableDescriptor",
    ),
    "HSV": (lambda: make(PhotometricInterpretation="HSV"), "is HSV; expected one of MONOCHROME1"),
    "a colour of its own": (
        lambda: make(PhotometricInterpretation=SECRET),
        "is no term of the standard; expected one of",
    ),
    "one sample of RGB": (
        lambda: make(PhotometricInterpretation="RGB"),
        "RGB with SamplesPerPixel 1; expected 3",
    ),
    "RCT without JPEG 2000": (
        lambda: colour(PhotometricInterpretation="YBR_RCT"),
        "YBR_RCT is defined for JPEG 2000 alone",
    ),
    "bits": (lambda: make(BitsAllocated=64), "BitsAllocated 64, BitsStored 8; expected 1, 8, 16"),
    "more bits stored": (lambda: make(BitsStored=12), "BitsAllocated 8, BitsStored 12"),
    "high bit": (lambda: make(stored_values(16), bits=12, HighBit=16), "HighBit is 16 .* 11"),
    "floats": (
        lambda: make(PixelData=None, FloatPixelData=bytes(1024)),
        "its pixels are floating-point numbers",
    ),
    "a report": (
        lambda: make(PixelData=None, SOPClassUID=BasicTextSRStorage),
        r"has no pixel data \(its kind: 'Basic Text SR Storage'\): it is no image",
    ),
    "no fragments": (
        lambda: compressed(make(), RLELossless, []),
        "its pixel data has no fragments",
    ),
    "fewer groups than frames": (
        lambda: enhanced([(600, 300)]),
        "functional groups are damaged or fewer than its frames",
    ),
    "zero window": (
        lambda: make(WindowCenter=5, WindowWidth=0),
        "WindowWidth is 0; LINEAR needs 1 or more",
    ),
    "zero sigmoid": (
        lambda: make(WindowCenter=5, WindowWidth=0, VOILUTFunction="SIGMOID"),
        "WindowWidth is 0; SIGMOID needs more than 0",
    ),
    "no width": (lambda: make(WindowCenter=5), "does not say its WindowWidth"),
    "own function": (
        lambda: make(WindowCenter=5, WindowWidth=9, VOILUTFunction=SECRET.upper()),
        "VOILUTFunction is none of LINEAR",
    ),
    "slope 0": (
        lambda: make(RescaleSlope=0, RescaleIntercept=0),
        r"all its values become one grey \(LUT or RescaleSlope 0",
    ),
    "LUT empty": (
        lambda: make(**lut("VOILUTSequence", [])),
        "VOILUTSequence is damaged, empty, or not of 8 to 16 bits",
    ),
    "LUT too short": (
        lambda: short_lut("VOILUTSequence"),
        "VOILUTSequence cannot be applied",
    ),
    "modality LUT too short": (
        lambda: short_lut("ModalityLUTSequence"),
        "ModalityLUTSequence cannot be applied",
    ),
    "LUT of 32 bits": (
        lambda: make(**lut("ModalityLUTSequence", [1, 2], depth=32)),
        "ModalityLUTSequence is damaged, empty, or not of 8 to 16 bits",
    ),
    "JPEG lossless, cut": (
        lambda: compressed(make(), JPEGLosslessSV1, [jpeg_head(0xC3) + bytes(60)]),
        "frame 0 cannot be decoded .*truncated or damaged, or of a kind that gdcm",
    ),
    "JPEG of 12 bits": (
        lambda: compressed(
            make(stored_values(12), bits=12), JPEGExtended12Bit, [jpeg_head(0xC1, 12)]
        ),
        "frames are JPEG of 12 bits .*no decoder here .*`dcmdjpeg`",
    ),
    "another JPEG": (
        lambda: compressed(make(), JPEGBaseline8Bit, [jpeg_head(0xC3)]),
        "transfer syntax is 'JPEG Baseline .*but frame 0 is lossless JPEG",
    ),
    "another size": (
        lambda: compressed(make(), JPEGBaseline8Bit, [jpeg_head(0xC0, size=99)]),
        "frame 0 is 99 x 99 pixels of 1 samples",
    ),
    "HTJ2K": (
        lambda: compressed(make(), HTJ2K, [bytes(60)]),
        "'High-Throughput JPEG 2000.*install a decoder .*pylibjpeg",
    ),
    "JPEG damaged": (
        lambda: compressed(make(), JPEGBaseline8Bit, [b"\xff\xd8" + SECRET.encode() + b" "]),
        "frame 0 does not begin as 'JPEG Baseline .* does; it is damaged",
    ),
    "video": (
        lambda: compressed(make(), "1.2.840.10008.1.2.4.102", [b"\0\0\0\1"]),
        "MPEG-4.*cannot be decoded here",
    ),
    "unknown syntax": (lambda: renamed_syntax("1.9.9"), "transfer syntax is unknown to pydicom"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_named_and_nothing_else_is_said(case, capsys, caplog, recwarn):
    build, message = BAD[case]
    content = build()
    content = content if isinstance(content, bytes) else to_bytes(content)
    recwarn.clear()
    caplog.clear()
    with caplog.at_level(logging.DEBUG), pytest.raises(DataError, match=message) as caught:
        read_dicom("set/x.dcm", content)
    assert str(caught.value).startswith("set/x.dcm")
    assert caught.value.__context__ is None and caught.value.__cause__ is None
    assert not recwarn.list and not caplog.records and capsys.readouterr() == ("", "")
    assert SECRET.lower() not in "".join(traceback.format_exception(caught.value)).lower()


def test_a_deflated_bomb_is_refused(monkeypatch):
    content = bomb()
    assert len(content) < 10_000
    with pytest.raises(DataError, match="has no pixel data"):
        read_dicom("x", content)
    monkeypatch.setattr(dicom, "MAX_BYTES", 3_000_000)
    with pytest.raises(DataError, match="x: it inflates to more than 3000000 bytes"):
        read_dicom("x", content)


def test_an_rle_file_above_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr(dicom, "MAX_BYTES", 511)
    with pytest.raises(DataError, match=r"2 frame\(s\) are more than 511 bytes"):
        read(rle())


def test_a_wrong_window_text_is_named_not_quoted():
    content = to_bytes(make(WindowCenter=12345678, WindowWidth=87654321))
    for number, keyword in ((b"12345678", "WindowCenter"), (b"87654321", "WindowWidth")):
        assert number in content
        with pytest.raises(DataError, match=rf"x: {keyword} is (damaged|no number)") as caught:
            read_dicom("x", content.replace(number, SECRET.encode()[:8]))
        assert SECRET[:8] not in str(caught.value)


@pytest.mark.parametrize("hook", ["ignore", "error", "always"])
def test_a_name_never_comes_out_of_a_file_with_warnings(cines, capsys, caplog, hook):
    """pydicom warns of the study's UID, which is none, and quotes it."""
    content = to_bytes(make(stored_values(12), bits=12, patient="", StudyInstanceUID="1.2.345"))
    for value in (b"1.2.345\0", b"19011231"):
        assert content.count(value) == 1
        content = content.replace(value, SECRET.encode()[:8])
    put(cines / "negative" / "odd.dcm", content)
    logging.getLogger("pydicom").setLevel(logging.DEBUG)
    try:
        with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter(hook)
            splits = load(cines)
        assert logging.getLogger("pydicom").level == logging.DEBUG
    finally:
        logging.getLogger("pydicom").setLevel(logging.WARNING)
    told = [*capsys.readouterr(), caplog.text, *(str(w.message) for w in caught), repr(splits)]
    told += [str(split.groups) for _, split in splits.items()]
    assert all(SECRET[:8] not in text for text in told)
    assert not caught and not caplog.records


def peak_memory():
    """Return the most bytes that this process has had."""
    resource = pytest.importorskip("resource")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def test_no_memory_is_taken_for_what_a_header_claims():
    before = peak_memory()
    for case in ("absurd", "absurd RLE", "absurd JPEG", "unknown syntax"):
        built = BAD[case][0]()
        with pytest.raises(DataError):
            read_dicom("x", built if isinstance(built, bytes) else to_bytes(built))
    assert peak_memory() - before < 50e6


# Codecs and colours


def transcoded(ds, syntax, folder):
    """Return a data set in another transfer syntax, encoded by GDCM."""
    gdcm = pytest.importorskip("gdcm")
    (folder / "source.dcm").write_bytes(to_bytes(ds))
    reader = gdcm.ImageReader()
    reader.SetFileName(str(folder / "source.dcm"))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
    change.SetInput(reader.GetImage())
    assert change.Change()
    output = change.GetOutput()  # its parts live as long as it does
    fragments = output.GetDataElement().GetSequenceOfFragments()
    frames = [
        fragments.GetFragment(i).GetByteValue().GetBuffer().encode("utf-8", "surrogateescape")
        for i in range(fragments.GetNumberOfFragments())
    ]
    return compressed(ds, syntax, frames)


@pytest.mark.parametrize(
    "syntax", [JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless]
)
def test_lossless_codecs(syntax, tmp_path):
    for bits, signed in ((8, False), (12, False), (12, True), (16, False), (16, True)):
        if bits < 16 and signed and syntax == JPEGLSLossless:
            continue  # not written by GDCM's encoder
        values = stored_values(bits, frames=2, signed=signed, size=32)
        content = to_bytes(transcoded(make(values, bits=bits), syntax, tmp_path))
        images = read_dicom("x", content).images[..., 0]
        np.testing.assert_array_equal(images, full_range(values, bits, signed), f"{bits} {signed}")
        np.testing.assert_array_equal(read_dicom("x", content, [1]).images[0, ..., 0], images[1])
    if syntax == JPEG2000Lossless:
        return  # colour below
    pixels = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3)).astype(np.uint8)
    ds = transcoded(colour(pixels), syntax, tmp_path)
    for ds.PlanarConfiguration in (0, 1):  # of a compressed frame it says nothing
        np.testing.assert_array_equal(read(ds).images, pixels)


@pytest.mark.parametrize(("term", "mct"), [("RGB", 0), ("RGB", 1), ("YBR_RCT", 1)])
def test_colour_in_jpeg_2000(term, mct):
    rgb = blurred_colours()
    frames = [encoded(rgb[0], "JPEG2000", mct=mct, no_jp2=no_jp2) for no_jp2 in (True, False)]
    ds = colour(np.concatenate([rgb, rgb]), PhotometricInterpretation=term, PlanarConfiguration=1)
    images = read(compressed(ds, JPEG2000Lossless, frames)).images
    np.testing.assert_array_equal(images, np.concatenate([rgb, rgb]))


def test_without_gdcm_the_error_says_which_package_brings_the_decoder(monkeypatch):
    content = (FILES / "MR_small_jpeg_ls_lossless.dcm").read_bytes()
    found = importlib.util.find_spec
    monkeypatch.setattr(
        decode.importlib.util, "find_spec", lambda name: None if name == "gdcm" else found(name)
    )
    with pytest.raises(DataError, match=r"'JPEG-LS Lossless.*install python-gdcm, which brings"):
        read_dicom("x", content)
    read_dicom("x", (FILES / "MR_small_jp2klossless.dcm").read_bytes())  # Pillow's


def test_gdcm_may_end_its_process(monkeypatch):
    content = (FILES / "MR_small_jpeg_ls_lossless.dcm").read_bytes()
    expected = read_dicom("x", content).images
    process = decode._GDCM._process
    process.kill()
    process.wait()
    np.testing.assert_array_equal(read_dicom("x", content).images, expected)
    start = decode._GDCM._start

    def dying():
        started = start()
        started.kill()
        started.wait()
        return started

    monkeypatch.setattr(decode._GDCM, "_start", dying)
    with pytest.raises(DataError, match="frame 0 cannot be decoded"):
        read_dicom("x", content)
    monkeypatch.undo()
    np.testing.assert_array_equal(read_dicom("x", content).images, expected)


def blurred_colours():
    """RGB without sharp edges, so that halved chroma changes little."""
    y, x = np.mgrid[:32, :32]
    waves = [128 + 100 * np.sin(x / a + y / b) for a, b in ((9, 7), (11, 12), (8, 15))]
    return np.stack(waves, -1).astype(np.uint8)[None]


def ybr(rgb, partial=False):
    """ITU-R BT.601, as PS3.3 C.7.6.3.1.2 has it."""
    matrix = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]])
    values = rgb @ matrix.T
    if partial:
        values *= np.array([219, 224, 224]) / 255
    return np.clip(np.round(values + [16 if partial else 0, 128, 128]), 0, 255).astype(np.uint8)


def half_chroma(values):
    """Y Y Cb Cr for every two pixels of a row."""
    pairs = values.reshape(-1, 2, 3).astype(int)
    chroma = pairs[..., 1:].mean(1).round()
    return np.concatenate([pairs[..., 0], chroma], -1).astype(np.uint8)


@pytest.mark.parametrize("term", ["YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422"])
def test_ybr_becomes_rgb(term):
    rgb = blurred_colours()
    values = ybr(rgb, partial="PARTIAL" in term)
    ds = colour(values, PhotometricInterpretation=term)
    if "422" in term:
        ds.PixelData = half_chroma(values).tobytes()
    assert np.abs(read(ds).images.astype(int) - rgb).max() <= (12 if "422" in term else 2)
    if term == "YBR_FULL":
        ds.PlanarConfiguration = 1
        ds.PixelData = values.transpose(0, 3, 1, 2).tobytes()
        assert np.abs(read(ds).images.astype(int) - rgb).max() <= 2


@pytest.mark.parametrize("term", ["YBR_FULL", "YBR_FULL_422"])
@pytest.mark.parametrize("subsampling", [0, 1])
def test_ultrasound_in_jpeg(term, subsampling):
    rgb = blurred_colours()
    jpeg = encoded(rgb[0], "JPEG", quality=98, subsampling=subsampling)
    ds = compressed(colour(rgb, PhotometricInterpretation=term), JPEGBaseline8Bit, [jpeg])
    assert np.abs(read(ds).images.astype(int) - rgb).max() <= 16
    pillow = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(int)
    assert np.abs(read(ds).images[0] - pillow).mean() < 2


def palette(bits=8, entries=256, depth=16, first=0, segmented=False, **elements):
    rng = np.random.default_rng(5)
    colours = rng.integers(0, 2**depth, (entries, 3))
    values = stored_values(bits)
    ds = make(values, bits=bits, PhotometricInterpretation="PALETTE COLOR", **elements)
    for channel, name in enumerate(("Red", "Green", "Blue")):
        data = colours[:, channel].astype("<u2" if depth == 16 else "u1")
        kind = "Segmented" if segmented else ""
        if segmented:
            data = np.concatenate([[0, entries], data]).astype(data.dtype)
        ds.add_new(
            f"{name}PaletteColorLookupTableDescriptor", "US", [entries % 2**16, first, depth]
        )
        ds.add_new(f"{kind}{name}PaletteColorLookupTableData", "OW", data.tobytes())
    index = np.clip(values.astype(int) - first, 0, entries - 1)
    return ds, np.round(colours[index] * (255 / (2**depth - 1))).astype(np.uint8)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"depth": 8},
        {"entries": 100, "first": 20},
        {"bits": 16, "entries": 2**16},
        {"segmented": True},
    ],
)
def test_palettes(options):
    ds, expected = palette(**options)
    read_file = read(ds)
    np.testing.assert_array_equal(read_file.images, expected)
    assert read_file.view == "palette"


@pytest.mark.parametrize("bits", [12, 16])
def test_colour_of_more_than_8_bits(bits):
    pixels = np.random.default_rng(0).integers(0, 2**bits, (2, SIZE, SIZE, 3)).astype("u2")
    pixels[0, 0, 0] = 0, 0, 2**bits - 1
    expected = full_range(pixels, bits)
    ds = colour(pixels, BitsStored=bits, HighBit=bits - 1)
    np.testing.assert_array_equal(read(ds).images, expected)
    np.testing.assert_array_equal(read(colour(pixels)).images, expected)  # 12 of 16 bits, too


@pytest.mark.parametrize("compress", [False, True])
def test_values_at_the_high_end_of_their_bits(compress):
    values = stored_values(12)
    ds = make(values << 4, bits=12, HighBit=15)
    content = to_bytes(ds, compress)
    np.testing.assert_array_equal(read_dicom("x", content).images[..., 0], full_range(values, 12))


def test_one_bit():
    values = np.random.default_rng(0).integers(0, 2, (3, 7, 9)).astype(np.uint8)
    ds = make(values, bits=1, BitsAllocated=1)
    packed = np.packbits(values.ravel(), bitorder="little").tobytes()
    ds.PixelData = packed + b"\0" * (len(packed) % 2)
    np.testing.assert_array_equal(greys(ds), values * 255)


def test_enhanced_files_have_a_window_a_frame():
    windows = [(600, 300), (2000, 1000), (600, 300)]
    content = to_bytes(enhanced(windows, slope=0.5, frames=3))
    images = read_dicom("x", content).images[..., 0]
    values = stored_values(12, frames=3) * 0.5
    for image, frame, window in zip(images, values, windows, strict=True):
        np.testing.assert_array_equal(image, linear(frame, *window))
    np.testing.assert_array_equal(read_dicom("x", content, [1]).images[0, ..., 0], images[1])
    many = [(600, 300 + i % 70) for i in range(140)]
    images = greys(enhanced(many, frames=140))
    last = stored_values(12, frames=140)[139].astype(float)
    np.testing.assert_array_equal(images[139], linear(last, *many[139]))
    without = enhanced([], slope=2, frames=2)
    np.testing.assert_array_equal(greys(without), full_range(stored_values(12, frames=2), 12))


# What may be missing, and what it is then


def whole_files():
    """A file of each kind, with every element that has a default in the standard at its default."""
    grey = make(RescaleSlope=1, RescaleIntercept=0)
    rgb = blurred_colours()
    source = colour(rgb, PhotometricInterpretation="YBR_FULL_422")
    jpeg = compressed(source, JPEGBaseline8Bit, [encoded(rgb[0], "JPEG")])
    return {"grey": grey, "RGB": colour(), "JPEG": jpeg, "palette": palette()[0], "RLE": rle()}


DEFAULT = (
    "PixelRepresentation",
    "SamplesPerPixel",
    "PlanarConfiguration",
    "BitsStored",
    "HighBit",
    "NumberOfFrames",
    "RescaleSlope",
    "RescaleIntercept",
)
NAMED = ("PhotometricInterpretation", "Rows", "Columns", "BitsAllocated")


@pytest.mark.parametrize("kind", ["grey", "RGB", "JPEG", "palette", "RLE"])
@pytest.mark.parametrize("empty", [False, True])
def test_a_missing_element_is_read_by_its_default_or_named(kind, empty):
    whole = to_bytes(whole_files()[kind])
    expected = read_dicom("x", whole).images
    for keyword in (*DEFAULT, *NAMED):
        ds = dcmread(io.BytesIO(whole))
        if keyword not in ds or (kind, keyword) == ("RLE", "NumberOfFrames"):
            continue
        if empty:
            setattr(ds, keyword, None)
        else:
            delattr(ds, keyword)
        if keyword in DEFAULT or (kind, keyword) == ("palette", "PhotometricInterpretation"):
            np.testing.assert_array_equal(read(ds).images, expected, keyword)
        else:
            with pytest.raises(DataError, match=f"does not say its {keyword}"):
                read(ds)


def test_the_presentation_tells_a_negative():
    expected = greys(make())
    for shape, images in (("IDENTITY", expected), ("INVERSE", 255 - expected)):
        ds = make(PhotometricInterpretation=None, PresentationLUTShape=shape)
        np.testing.assert_array_equal(greys(ds), images)


# Files that others made

FILES = Path(pydicom.data.__file__).parent / "test_files"
REFUSED = {
    "JPEG-lossy.dcm": "JPEG of 12 bits",
    "JPGExtended.dcm": "JPEG of 12 bits",
    "JPEG2000-embedded-sequence-delimiter.dcm": "frame 0 is 3722445056 x 1024 pixels",
    "MR_truncated.dcm": "8192 bytes; its pixel data is 8130 bytes long. It is truncated",
    "badVR.dcm": "NumberOfFrames is no number",
    "meta_missing_tsyntax.dcm": "does not say its transfer syntax",
    "nested_priv_SQ.dcm": "does not say its PhotometricInterpretation",
}


def test_the_files_that_pydicom_ships(capfd, recwarn):
    found = [
        Path(name)
        for name in {*pydicom.data.get_testdata_files(), *pydicom.data.get_charset_files()}
        if Path(name).is_file()
    ]
    with_pixels, outcomes = 0, {}
    for path in sorted(found):
        content = path.read_bytes()
        recwarn.clear()
        try:
            images, reason = read_dicom(path.name, content).images, ""
        except DataError as error:
            images, reason = None, str(error)
        assert not recwarn.list
        outcomes[path.name] = reason
        if b"\xe0\x7f\x10\x00" not in content and b"\x7f\xe0\x00\x10" not in content:
            assert "no pixel data" in reason or "no DICOM file" in reason or images is not None
        elif path.name not in REFUSED and "no DICOM file" not in reason:
            with_pixels += 1
            assert images is not None, reason
    assert len(outcomes) > 100 and with_pixels > 50
    for name, reason in REFUSED.items():
        assert reason in outcomes[name]
    assert capfd.readouterr() == ("", "")


def test_the_colours_of_one_picture_agree_across_codecs():
    picture = read_dicom("x", (FILES / "SC_rgb_rle.dcm").read_bytes()).images.astype(int)
    for name in (
        "SC_rgb_dcmtk_+eb+cy+n1.dcm",
        "SC_rgb_dcmtk_+eb+cy+np.dcm",
        "SC_rgb_dcmtk_+eb+cy+s4.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "SC_rgb_jpeg_lossy_gdcm.dcm",
        "SC_rgb_jls_lossy_line.dcm",
        "SC_rgb_jls_lossy_sample.dcm",
        "SC_rgb_gdcm_KY.dcm",
        "SC_rgb_rle_16bit.dcm",
        "SC_rgb_rle_32bit.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
    ):
        other = read_dicom("x", (FILES / name).read_bytes()).images
        assert np.abs(other - picture).mean() < 4, name


@pytest.mark.parametrize("name", ["examples_palette", "examples_ybr_color", "examples_jpeg2k"])
def test_colours_against_pydicom(name):
    path = FILES / f"{name}.dcm"
    ds = dcmread(path)
    expected = ds.pixel_array
    if name == "examples_palette":
        expected = np.round(apply_color_lut(expected, ds) / 257)
    images = read_dicom("x", path.read_bytes()).images
    np.testing.assert_array_equal(images.squeeze(), expected)


MUTATED = (
    "CT_small.dcm",
    "ExplVR_BigEnd.dcm",
    "MR_small_implicit.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "JPEGLSNearLossless_16.dcm",
    "SC_rgb_jls_lossy_line.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_small_odd_jpeg.dcm",
    "SC_rgb_rle_2frame.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "image_dfl.dcm",
    "rtdose_rle.dcm",
    "liver_1frame.dcm",
    "examples_palette.dcm",
)


def mutated(content, random):
    """Change bytes of the header or of the pixels, cut, or repeat a piece."""
    content = bytearray(content)
    how = random.integers(0, 10)
    if how < 7:
        # Mostly where sizes are: before the pixels, and where these begin.
        start, end = (132, len(content)) if how < 2 else (132, min(len(content), 3000))
        if how > 4:
            start = max(132, content.rfind(b"\xe0\x7f\x10\x00"))
            end = min(start + 200, len(content))
        for place in random.integers(start, end, random.integers(1, 5)):
            content[place] = random.choice([0, 255, random.integers(0, 256)])
    elif how < 9:
        del content[random.integers(132, len(content)) :]
    else:
        place = random.integers(132, len(content))
        content[place:place] = content[place : place + random.integers(1, 200)]
    return bytes(content)


def test_a_thousand_mutations_give_images_or_a_data_error(capfd, caplog, recwarn):
    """Of files of every transfer syntax; memory stays bounded, nothing is printed, nobody named."""
    random = np.random.default_rng(7)
    window = {"WindowCenter": 600, "WindowWidth": 300, "VOILUTFunction": "LINEAR"}
    files = [
        *((FILES / name).read_bytes() for name in MUTATED),
        to_bytes(make(bits=12, patient=SECRET, **window)),
        to_bytes(make(patient=SECRET, **lut("VOILUTSequence", list(range(256))))),
    ]
    for content in files:
        read_dicom("x", content)
    recwarn.clear()
    before = peak_memory()
    outcomes = {"read": 0, "refused": 0}
    for i in range(1008):
        try:
            images = read_dicom("x", mutated(files[i % len(files)], random)).images
            assert images.dtype == np.uint8 and images.ndim == 4
            outcomes["read"] += 1
        except DataError as error:
            assert str(error).startswith("x: ") and SECRET[:6] not in str(error)
            assert error.__context__ is None
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 200
    assert not recwarn.list and not caplog.records and capfd.readouterr() == ("", "")
    assert peak_memory() - before < 300e6
