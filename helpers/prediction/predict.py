"""Many images through one network: worker threads read and resize while the network computes.

An image of any size is resized as a whole to the square that the network takes, like the images it
was trained on (`helpers.data.transforms.preprocess`, bilinear with antialias). Nothing is cropped,
as the finding may lie anywhere; an image that is no square is squeezed, and a note says so where
its sides differ by more than 10 %. For a run trained on grey images colour becomes grey; a run
trained on colour sees grey as three equal channels.
"""

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from helpers.prediction.calibration import apply_temperature
from helpers.prediction.checkpoint import Checkpoint
from helpers.prediction.reading import Found, Frame, Skipped, read_file, to_grey
from helpers.stage_inputs import prepare

BATCH_SIZE = 32
_BYTES_AHEAD = 2**26  # of files being read ahead: bounds the memory that large pictures take

_T = TypeVar("_T")


class Line(NamedTuple):
    """What is kept of a frame: everything but its pixels."""

    file: str
    frame: int
    width: int
    height: int
    notes: tuple[str, ...]


_Prepared = list[tuple[Line, Tensor]]  # one file's frames, as the network takes them


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a network says of a folder.

    Attributes:
        lines: One frame each, in the order of file names and frames.
        probabilities: float64 (N, K), calibrated; as they are where there is no calibration.
        uncalibrated: float32 (N, K).
        skipped: Files that could not be read.
    """

    lines: list[Line]
    probabilities: np.ndarray
    uncalibrated: np.ndarray
    skipped: list[Skipped]

    @property
    def predicted(self) -> np.ndarray:
        """The class with the highest probability, int64 (N,); calibration does not change it."""
        return self.uncalibrated.argmax(axis=1)


def predict_files(
    checkpoint: Checkpoint,
    files: Sequence[Found],
    *,
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
) -> Predictions:
    """Predict every frame of every file that can be read.

    Args:
        checkpoint: the network.
        files: from `reading.list_folder`.
        batch_size: frames that go through the network together; does not change the result.
        workers: threads that read; by default one for each processor, at most 4.

    Raises:
        ValueError: `batch_size` or `workers` below 1.
    """
    workers = min(4, os.cpu_count() or 1) if workers is None else workers
    for name, value in (("batch_size", batch_size), ("workers", workers)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}.")
    lines: list[Line] = []
    skipped: list[Skipped] = []
    raw = [np.empty((0, len(checkpoint.class_names)), np.float32)]
    # A worker resizes its own images on one thread; several would contend with the network's.
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    with pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of files that it reads or refuses anyway
        job = partial(_read_and_prepare, checkpoint=checkpoint)
        results = _in_order(pool, job, files, ahead=batch_size + workers)
        # disable=None: a bar on a terminal, silence in notebooks and log files.
        results = tqdm(results, total=len(files), unit="file", disable=None)
        for batch in _batches(_readable(results, skipped), batch_size):
            lines += [line for line, _ in batch]
            raw.append(checkpoint.probabilities(torch.cat([pixels for _, pixels in batch])))
    uncalibrated = np.concatenate(raw)
    calibration = checkpoint.calibration
    return Predictions(
        lines=lines,
        probabilities=(
            uncalibrated.astype(np.float64)
            if calibration is None
            else apply_temperature(uncalibrated, calibration.temperature)
        ),
        uncalibrated=uncalibrated,
        skipped=skipped,
    )


def prepare_frame(frame: Frame, checkpoint: Checkpoint) -> tuple[Tensor, tuple[str, ...]]:
    """Turn a frame into the network's input, float32 (1, 3, S, S), and say what was done to it."""
    pixels, notes = frame.pixels, frame.notes
    if checkpoint.is_grey and pixels.shape[2] == 3:
        pixels = to_grey(frame.pixels)
        if (frame.pixels != pixels).any():
            notes += ("colour turned grey, as in the images that the run was trained on",)
    images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]
    return prepare(images, checkpoint.image_size), notes


def _read_and_prepare(found: Found, *, checkpoint: Checkpoint) -> _Prepared | Skipped:
    frames = read_file(found)
    if isinstance(frames, Skipped):
        return frames
    prepared = []
    for frame in frames:
        pixels, notes = prepare_frame(frame, checkpoint)
        height, width = frame.pixels.shape[:2]
        prepared.append((Line(frame.file, frame.frame, width, height, notes), pixels))
    return prepared


def _readable(
    results: Iterable[_Prepared | Skipped], skipped: list[Skipped]
) -> Iterator[tuple[Line, Tensor]]:
    """Yield frame by frame; what was skipped is put aside."""
    for result in results:
        if isinstance(result, Skipped):
            skipped.append(result)
        else:
            yield from result


def _in_order(
    pool: ThreadPoolExecutor, job: Callable[[Found], _T], files: Sequence[Found], *, ahead: int
) -> Iterator[_T]:
    """Yield the job's result for each file in their order, with some files begun ahead."""
    waiting: deque[tuple[int, Future[_T]]] = deque()
    begun = 0
    try:
        for found in files:
            while len(waiting) > ahead or (waiting and begun + found.size > _BYTES_AHEAD):
                size, future = waiting.popleft()
                begun -= size
                yield future.result()
            waiting.append((found.size, pool.submit(job, found)))
            begun += found.size
        while waiting:
            yield waiting.popleft()[1].result()
    finally:
        for _, future in waiting:
            future.cancel()


def _batches(items: Iterator[_T], size: int) -> Iterator[list[_T]]:
    while batch := list(islice(items, size)):
        yield batch
