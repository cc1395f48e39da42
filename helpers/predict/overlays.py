"""Grad-CAM pictures of some of the frames: where the network saw what it says.

A map costs a backward pass, so not every frame of a large folder gets one: the files share the
number evenly, and the frames of one file are spread over it. The map explains the predicted class
at the last stage of the network (`helpers.explain.cam.stage_layers`), in the image as it is, not in
its mirror image.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from helpers.explain.cam import explain, overlay, stage_layers, unit_range, upsample
from helpers.explain.layers import ExplainError, first_line
from helpers.predict.checkpoint import Checkpoint
from helpers.predict.predict import FrameLine, Predictions, prepare_frame
from helpers.predict.reading import ImageFile, Skipped, read_file

METHOD = "gradcam"
# The longer side of a picture, in pixels: small enough for a page, large enough to see a lesion.
LARGEST, SMALLEST = 384, 224

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Overlay:
    """One frame, seen and explained."""

    row: int  # its place in `Predictions`
    name: str  # file name, unique
    image: np.ndarray  # uint8 (H, W, 3), the frame resized for the eye
    overlay: np.ndarray  # uint8 (H, W, 3), the same under the map
    unit_map: np.ndarray  # float32 (h, w), the map itself, divided by its maximum

    @property
    def is_empty(self) -> bool:
        """Whether the map is zero: nothing in that layer speaks for the class."""
        return not self.unit_map.any()


@dataclass(frozen=True, eq=False)
class Overlays:
    """The explained frames, and why there are none if there are none."""

    pictures: list[Overlay]
    layer: str = ""
    reason: str = ""


def choose_rows(files: Sequence[str], number: int) -> list[int]:
    """Choose at most so many frames to explain: as many of each file as of the others.

    `files` are the frames' files; frames of one file follow each other. Rows in ascending order.
    """
    rows_of: dict[str, list[int]] = {}
    for row, file in enumerate(files):
        rows_of.setdefault(file, []).append(row)
    share = dict.fromkeys(rows_of, 0)
    left = min(number, len(files))
    while left:
        unfinished = [file for file, rows in rows_of.items() if share[file] < len(rows)]
        for file in spread(unfinished, min(left, len(unfinished))):
            share[file] += 1
            left -= 1
    return [row for file, rows in rows_of.items() for row in spread(rows, share[file])]


def spread(items: Sequence[_T], number: int) -> list[_T]:
    """Return so many of the items, evenly spaced."""
    return [items[(2 * k + 1) * len(items) // (2 * number)] for k in range(number)]


def explain_frames(
    checkpoint: Checkpoint, files: Sequence[ImageFile], predictions: Predictions, *, number: int
) -> Overlays:
    """Make the overlay pictures of at most `number` frames; the chosen files are read again.

    None of them, and the reason, where the network has no map that could be shown.
    """
    rows = choose_rows([line.file for line in predictions.lines], number)
    if not rows:
        return Overlays([])
    views = _read_again(files, predictions.lines, rows, checkpoint)
    if not views:
        return Overlays([], reason="the files have gone")
    pixels = torch.cat([pixels for pixels, _ in views.values()])
    try:
        layers = stage_layers(checkpoint.model, image_size=checkpoint.image_size)
        title, layer = list(layers.items())[-1]
        classes = predictions.predicted[list(views)]
        found = explain(checkpoint.model, pixels, layers=[layer], classes=classes, methods=[METHOD])
    except ExplainError as error:
        return Overlays([], reason=str(error))
    except RuntimeError as error:  # what a network can compute it need not be able to differentiate
        return Overlays([], reason=f"the maps cannot be computed: {first_line(error)}")
    maps = unit_range(found[layer, METHOD])
    pictures = [
        _picture(row, predictions.lines[row], image, unit_map)
        for (row, (_, image)), unit_map in zip(views.items(), maps, strict=True)
    ]
    return Overlays(pictures, layer=title)


def _read_again(
    files: Sequence[ImageFile], lines: Sequence[FrameLine], rows: list[int], checkpoint: Checkpoint
) -> dict[int, tuple[Tensor, np.ndarray]]:
    """Return the frames in these rows as the network takes them and for the eye.

    Those that are no longer there are left out.
    """
    by_name = {found.name: found for found in files}
    wanted = {(lines[row].file, lines[row].frame): row for row in rows}
    views = {}
    for file in dict.fromkeys(file for file, _ in wanted):
        read = read_file(by_name[file], checkpoint.reading, min_side=checkpoint.min_side)
        for frame in () if isinstance(read, Skipped) else read:
            if (frame.file, frame.frame) in wanted:
                _, pixels = prepare_frame(frame, checkpoint)
                views[wanted[frame.file, frame.frame]] = pixels, _for_the_eye(frame.pixels)
    return views


def _picture(row: int, line: FrameLine, image: np.ndarray, unit_map: np.ndarray) -> Overlay:
    covered = overlay(image[None], upsample(unit_map[None], image.shape[:2]))
    stem = re.sub(r"[^A-Za-z0-9]", "_", PurePosixPath(line.file).stem)
    return Overlay(
        row=row,
        name=f"overlay_{row:05d}_{stem[:60]}_{line.frame:03d}.png",
        image=image,
        overlay=covered[0],
        unit_map=unit_map,
    )


def _for_the_eye(pixels: np.ndarray) -> np.ndarray:
    """Resize to a longer side from `SMALLEST` to `LARGEST` pixels; uint8 (H, W, 3)."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
    scale = np.clip(max(image.size), SMALLEST, LARGEST) / max(image.size)
    size = tuple(max(1, round(scale * side)) for side in image.size)
    smooth = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
    return np.array(image if size == image.size else image.resize(size, smooth))
