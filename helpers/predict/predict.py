"""Many images through one network: threads read and resize while the network computes.

On a CPU the network takes several batches at once, on one or a few processors each, rather than one
batch on all of them: its small layers are not worth the handing out, and reading can fill the gaps.

An image of any size is resized as a whole to the square that the network takes, like the images it
was trained on (`helpers.data.transforms.preprocess`, bilinear with antialias). Nothing is cropped,
as the finding may lie anywhere; an image that is no square is squeezed, and a note says so where
its sides differ by more than 10 %. For a run trained on grey images colour becomes grey; a run
trained on colour sees grey as three equal channels.
"""

import os
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Annotated, NamedTuple, TypeVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from tqdm import tqdm

from helpers.config import check_type
from helpers.data.pictures import LargeFile
from helpers.metrics.calibration import apply_temperature
from helpers.predict.checkpoint import Checkpoint
from helpers.predict.reading import Frame, ImageFile, Skipped, read_file, to_grey
from helpers.runs.store import RunError
from helpers.training.inference import prepare

BATCH_SIZE = 32
_CALLS = 4  # batches that a CPU computes at once, at most: bounds the memory they take
_BYTES_AHEAD = 2**26  # of files being read ahead, as they are on disk
# A file that decodes to more is read in its turn, alone: few at a time would fill the memory.
_LARGE = 2**25
_FRAMES_AHEAD = 8  # of a file: the network's input may take more memory than the frames themselves
MOST = 1024  # of frames in a batch, and of threads: each file read ahead waits in memory

_S = TypeVar("_S")
_T = TypeVar("_T")


class FrameLine(NamedTuple):
    """What is kept of a frame: everything but its pixels."""

    file: str
    frame: int
    width: int
    height: int
    notes: tuple[str, ...]


_Prepared = tuple[FrameLine, Tensor]  # a frame, as the network takes it


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a network says of a folder."""

    lines: list[FrameLine]  # one frame each, in the order of file names and frames
    # float64 (N, K), calibrated; as they are where there is no calibration.
    probabilities: np.ndarray
    uncalibrated: np.ndarray  # float32 (N, K)
    skipped: list[Skipped]  # files that could not be read

    @property
    def predicted(self) -> np.ndarray:
        """The class with the highest probability, int64 (N,); calibration does not change it."""
        return self.uncalibrated.argmax(axis=1)


def predict_files(
    checkpoint: Checkpoint,
    files: Sequence[ImageFile],
    *,
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
) -> Predictions:
    """Predict every frame of every file (see `reading.list_folder`) that can be read.

    `batch_size` frames go through the network together, which does not change the result; `workers`
    threads read, by default as many as leave the network its processors.

    Raises:
        ValueError: `batch_size` or `workers` below 1 or above `MOST`.
        RunError: the network's answers are not finite.
    """
    calls, threads = _share_processors(checkpoint)
    workers = _readers(calls * threads) if workers is None else workers
    for name, value in (("batch_size", batch_size), ("workers", workers)):
        check_type(name, value, Annotated[int, Field(ge=1, le=MOST)])
    lines: list[FrameLine] = []
    skipped: list[Skipped] = []
    raw = [np.empty((0, len(checkpoint.class_names)), np.float32)]
    # Reading is many small steps: on several threads each they would contend with the network.
    readers = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    network = ThreadPoolExecutor(calls, initializer=torch.set_num_threads, initargs=(threads,))
    with network, readers, _quick_turns(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of files that it reads or refuses anyway
        read = partial(_read_and_prepare, checkpoint=checkpoint, at_most=_LARGE)
        ahead = batch_size + workers
        results = _in_order(readers, read, files, ahead=ahead, size=lambda found: found.size)
        # disable=None: a bar on a terminal, silence in notebooks and log files.
        results = tqdm(results, total=len(files), unit="file", disable=None)
        batches = _batches(_readable(results, skipped, checkpoint), batch_size)
        compute = partial(_compute, checkpoint=checkpoint)
        for some_lines, probabilities in _in_order(network, compute, batches, ahead=calls):
            lines += some_lines
            raw.append(probabilities)
    uncalibrated = np.concatenate(raw)
    if not np.isfinite(uncalibrated).all():
        raise RunError(
            f"{checkpoint.run.path.name}: the network's answers are not finite numbers; its "
            "weights are damaged, or its training diverged."
        )
    probabilities = uncalibrated.astype(np.float64)
    if checkpoint.calibration is not None:
        probabilities = apply_temperature(uncalibrated, checkpoint.calibration.temperature)
    return Predictions(lines, probabilities, uncalibrated, skipped)


def prepare_frame(frame: Frame, checkpoint: Checkpoint) -> _Prepared:
    """Turn a frame into the network's input, float32 (1, C, S, S), and say what was done to it."""
    pixels, notes = frame.pixels, frame.notes
    height, width, channels = pixels.shape
    if checkpoint.is_grey and channels == 3:
        pixels = to_grey(frame.pixels)
        if (frame.pixels != pixels).any():
            notes += ("colour turned grey, as in the images that the run was trained on",)
    images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]
    form = checkpoint.run.form
    if form.channels == "native":  # a grey image for a network of colour images
        images = images.expand(-1, 1 if checkpoint.is_grey else 3, -1, -1)
    line = FrameLine(frame.file, frame.frame, width, height, notes)
    return line, prepare(images, checkpoint.image_size, form)


def _read_and_prepare(
    found: ImageFile, *, checkpoint: Checkpoint, at_most: int | None
) -> Iterator[_Prepared] | Skipped | ImageFile:
    """Return a file's frames, or why it has none, or the file itself if it is large."""
    try:
        frames = read_file(found, checkpoint.reading, min_side=checkpoint.min_side, at_most=at_most)
    except LargeFile:
        return found
    if isinstance(frames, Skipped):
        return frames
    ahead = [prepare_frame(frame, checkpoint) for frame in frames[:_FRAMES_AHEAD]]
    rest = frames[_FRAMES_AHEAD:]
    return chain(ahead, (prepare_frame(frame, checkpoint) for frame in rest))


def _readable(
    results: Iterable[Iterator[_Prepared] | Skipped | ImageFile],
    skipped: list[Skipped],
    checkpoint: Checkpoint,
) -> Iterator[_Prepared]:
    """Yield frame by frame; what was skipped is put aside."""
    for result in results:
        if isinstance(result, ImageFile):
            result = _read_and_prepare(result, checkpoint=checkpoint, at_most=None)
        if isinstance(result, Skipped):
            skipped.append(result)
        else:
            yield from result


def _compute(
    batch: Sequence[_Prepared], *, checkpoint: Checkpoint
) -> tuple[list[FrameLine], np.ndarray]:
    pixels = torch.cat([pixels for _, pixels in batch])
    return [line for line, _ in batch], checkpoint.probabilities(pixels)


def _share_processors(checkpoint: Checkpoint) -> tuple[int, int]:
    """Return how many batches to compute at once, and on how many threads each."""
    if next(checkpoint.model.parameters()).device.type != "cpu":
        return 1, torch.get_num_threads()
    calls = min(_CALLS, torch.get_num_threads())
    return calls, torch.get_num_threads() // calls


def _readers(busy: int) -> int:
    """Return how many threads should read: few enough to leave `busy` processors to the network."""
    processors = os.cpu_count() or 1
    # At least two: of two processors the readers take a third, which one thread seldom gets.
    return min(8, max(2, processors - busy, processors // 2))


@contextmanager
def _quick_turns() -> Iterator[None]:
    """Let threads take turns in the interpreter every half millisecond.

    By Python's own 5 ms the network waits for a reader longer than many of its layers take.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _in_order(
    pool: ThreadPoolExecutor,
    job: Callable[[_S], _T],
    items: Iterable[_S],
    *,
    ahead: int,
    size: Callable[[_S], int] = lambda item: 0,
) -> Iterator[_T]:
    """Yield the job's result for each item in their order, with some items begun ahead."""
    waiting: deque[tuple[int, Future[_T]]] = deque()
    begun = 0
    try:
        for item in items:
            while len(waiting) > ahead or (waiting and begun + size(item) > _BYTES_AHEAD):
                weight, future = waiting.popleft()
                begun -= weight
                yield future.result()
            waiting.append((size(item), pool.submit(job, item)))
            begun += size(item)
        while waiting:
            yield waiting.popleft()[1].result()
    finally:
        for _, future in waiting:
            future.cancel()


def _batches(items: Iterator[_T], size: int) -> Iterator[list[_T]]:
    while batch := list(islice(items, size)):
        yield batch
