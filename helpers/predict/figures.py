"""What 11_predict draws: calibration before and after, and images beside their overlays."""

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from helpers.metrics.calibration import apply_temperature
from helpers.plots import run, style
from helpers.predict.checkpoint import Checkpoint
from helpers.predict.folder import FolderReport
from helpers.predict.overlays import spread
from helpers.predict.page import chance, title

_COLUMNS = 4
_NAME = 26  # characters of a file's name above a picture


def draw_reliability(checkpoint: Checkpoint, split: str) -> Figure:
    """Draw the reliability of a calibrated run on "val" or "test", with T = 1 and with its own."""
    y_true, probabilities = checkpoint.run.predictions(split)
    temperature = checkpoint.calibration.temperature
    figure, both = plt.subplots(1, 2, figsize=(2 * style.HALF_PAGE[0], style.HALF_PAGE[1]))
    for axes, t in zip(both, (1.0, temperature), strict=True):
        run.plot_reliability(y_true, apply_temperature(probabilities, t), axes=axes)
        axes.set_title(f"T = {t:.2f}\n{axes.get_title()}")
    return figure


def draw_overlays(report: FolderReport) -> Figure:
    """Draw explained frames, each above its overlay, with file, predicted class and probability.

    At most eight of them are drawn, evenly over all; there must be one.
    """
    pictures = report.overlays.pictures
    chosen = spread(pictures, min(8, len(pictures)))
    frames_of = report.table["file"].value_counts().to_dict()
    rows = -(-len(chosen) // _COLUMNS)
    figure, grid = plt.subplots(2 * rows, _COLUMNS, figsize=(1.75 * _COLUMNS, 3.7 * rows))
    for axes in grid.flat:
        axes.set_axis_off()
    for number, picture in enumerate(chosen):
        row, column = divmod(number, _COLUMNS)
        line = report.table.iloc[picture.row]
        above, below = grid[2 * row, column], grid[2 * row + 1, column]
        above.imshow(picture.image)
        below.imshow(picture.overlay)
        name = title(line["file"], line["frame"], frames_of)
        above.set_title(
            name if len(name) <= _NAME else f"…{name[1 - _NAME :]}", fontsize=7, parse_math=False
        )
        said = f"{line['predicted'][:_NAME]} {chance(line['confidence'])}"
        below.set_title(said, fontsize=7, parse_math=False)
    return figure


def brightest_places(report: FolderReport) -> list[tuple[str, int, str]]:
    """Say of each explained frame in which ninth of it its map is highest.

    As file, frame, and "in the upper left" ... "in the lower right", "nowhere" of an empty map.
    """
    places = []
    for picture in report.overlays.pictures:
        line, (height, width) = report.predictions.lines[picture.row], picture.unit_map.shape
        row, column = divmod(int(picture.unit_map.argmax()), width)
        vertical = ("upper", "middle", "lower")[3 * row // height]
        horizontal = ("left", "centre", "right")[3 * column // width]
        place = "nowhere" if picture.is_empty else f"in the {vertical} {horizontal}"
        places.append((line.file, line.frame, place))
    return places
