"""Command line of `helpers.predict`."""

import argparse
import sys
from collections.abc import Sequence

from helpers.config import PROFILES
from helpers.paths import given_path
from helpers.predict import folder
from helpers.predict.checkpoint import find_run, open_checkpoint, public_name
from helpers.predict.predict import BATCH_SIZE
from helpers.runs.store import list_shipped
from helpers.terminal import command


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.predict",
        description="Predict a folder of images with a stored run. Not for clinical use.",
    )
    parser.add_argument(
        "--run",
        required=True,
        help="a kind of images whose network travels with the repository "
        f"({', '.join(list_shipped())}), the folder of a run, or its id in the store",
    )
    parser.add_argument("--images", required=True, help="folder with pictures or DICOM")
    parser.add_argument("--output", required=True, help="folder for the results")
    parser.add_argument(
        "--overlays",
        type=int,
        default=folder.OVERLAY_COUNT,
        metavar="N",
        help=f"frames that get a class activation map, at most (default {folder.OVERLAY_COUNT})",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the files of an earlier prediction"
    )
    parser.add_argument("--batch-size", type=int, default=BATCH_SIZE, metavar="N")
    parser.add_argument("--workers", type=int, default=None, metavar="N", help="reading threads")
    parser.add_argument("--profile", choices=PROFILES, default="paper", help="whose run store")
    options = parser.parse_args(arguments)
    images = given_path("--images", options.images)
    output = given_path("--output", options.output)
    run = find_run(options.run, profile=options.profile)
    checkpoint = open_checkpoint(run)
    print(f"run         {public_name(run)}")
    print(f"calibration {checkpoint.calibration or folder.NOT_CALIBRATED}", flush=True)
    report = folder.predict_folder(
        checkpoint,
        images,
        output,
        overlays=options.overlays,
        overwrite=options.overwrite,
        batch_size=options.batch_size,
        workers=options.workers,
    )
    _report(report)
    return 0


def _report(report: folder.FolderReport) -> None:
    files = report.table["file"].nunique()
    print(f"predicted   {len(report.table)} frame(s) of {files} file(s)")
    for name, count in report.table["predicted"].value_counts().items():
        print(f"            {count:>6}  {name}")
    for entry in report.predictions.skipped:
        print(f"skipped     {entry.file}: {entry.reason}")
    if report.overlays.reason:
        print(f"no overlays {report.overlays.reason}")
    names = f"{folder.PREDICTIONS}, {folder.SKIPPED}, {folder.OVERLAYS}/, {folder.PAGE}"
    print(f"written     {names} in {report.output}")
    print("Not for clinical use.")


if __name__ == "__main__":
    sys.exit(main())
