"""What a sweep says: a line for each finished run, and at its end the runs that are not done.

`python -m helpers.runs.progress RUN SWEEP` prints the line of a run that a sweep has finished, by
the folders of both: which one of how many it is, what it reached, the time left for the others.
"""

import os
import re
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from helpers.runs.store import load_run, summary_line
from helpers.terminal import command

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_RAISED = ("Traceback (most recent call last)", "Exception encountered at")
# "ValueError: what came", also with the module's name before it.
_EXCEPTION = re.compile(r"([a-z_]\w*\.)*[A-Z]\w*(: .*)?$")
# In a sweep's folder: when it began (seconds since 1970), then the names of its runs.
PLANNED = "planned.txt"


def begin_sweep(runs: Collection[str], *, folder: Path) -> None:
    """Note in a sweep's folder when it began and which runs it has to do."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{time.time():.0f}", *sorted(runs)]
    (folder / PLANNED).write_text("\n".join(lines) + "\n", encoding="utf-8")


def place_in_sweep(folder: Path) -> tuple[str, str]:
    """Return which run the one that ends now is, "[3 of 8] ", and how long the others will take.

    The time left is what the finished ones took, by the clock, for as many as are left; those that
    are under way count as half done. Both are "" for a sweep that noted nothing, or whose note is
    damaged: no run may fail for a word about it.
    """
    try:
        first, *runs = (folder / PLANNED).read_text(encoding="utf-8").splitlines()
        began = float(first)
    except (FileNotFoundError, ValueError):
        return "", ""
    done = 1 + sum(os.path.exists(folder / f"{run}.done") for run in runs)
    left = len(runs) - done
    # This run itself has a log and no mark yet.
    begun = sum(os.path.exists(folder / f"{run}.log") for run in runs)
    half = max(0, begun - done) / 2
    minutes = (time.time() - began) / (done + half) * (left - half) / 60
    words = f"about {minutes:.0f} min" if minutes >= 1.5 else f"about {60 * minutes:.0f} s"
    return f"[{done} of {len(runs)}] ", f"; {words} of training left" if left > 0 else ""


def duration(seconds: float) -> str:
    """Return a time in words: "4 min 05 s"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def failure_reason(log: Path) -> str:
    """Return why a run is not done, in one line, from its log: the last exception's message."""
    lines = [_COLOUR.sub("", line).rstrip() for line in log.read_text(errors="replace").split("\n")]
    raised = [i for i, line in enumerate(lines) if any(mark in line for mark in _RAISED)]
    if not any(lines):
        return "its job failed before the notebook started; see the messages above"
    if not raised:
        return "stopped without an error: killed, or out of time or memory"
    after = [line for line in lines[raised[-1] + 1 :] if line]
    named = [line for line in after if _EXCEPTION.match(line)]
    return (named or after or ["an error without a message"])[-1]


def list_unfinished(runs: Collection[str], *, folder: Path) -> str:
    """Return what a sweep did not finish, and why; nothing if all ended well.

    Its runs are `<recipe>/<dataset>/<model>/<hash>_s<seed>`; its own folder has `<run>.log` of what
    was started and `<run>.done` of what ended well. Two lines for each run that was started and did
    not end well, a count of those that were not started, and what to do.
    """
    unfinished = [run for run in runs if not (folder / f"{run}.done").exists()]
    if not unfinished:
        return ""
    lines = [f"of {len(runs)} runs of this sweep, {len(unfinished)} not done:"]
    waiting = 0
    for run in unfinished:
        log = folder / f"{run}.log"
        if log.exists():
            lines += [f"  {run}: {failure_reason(log)}", f"    log: {log}"]
        else:
            waiting += 1
    if waiting:
        lines.append(f"  {waiting} not started")
    lines.append("The same command goes on from here; what is stored is not trained again.")
    return "\n".join(lines) + "\n"


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Print the line of a run that a sweep has finished."""
    stored, sweep = map(Path, sys.argv[1:] if arguments is None else arguments)
    before, after = place_in_sweep(sweep)
    print(f"{before}{summary_line(load_run(stored))}{after}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
