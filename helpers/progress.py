"""Print the progress line of finished runs: `python -m helpers.progress RUN.JSON...`."""

import sys
from pathlib import Path

from helpers.results import load_run, summary_line

if __name__ == "__main__":
    for file in sys.argv[1:]:
        print(summary_line(load_run(Path(file).parent)), flush=True)
