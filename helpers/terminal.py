"""What a command prints, on any terminal, and how it ends."""

import argparse
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from helpers.paths import given_path

OURS = ("helpers", "study", "benchmarks")  # the packages with commands and errors of their own

Main = Callable[..., int | None]


def escape_unshowable() -> None:
    """Let stdout and stderr write what their encoding lacks as an escape, instead of an error.

    A file or class name may hold any character. Every command calls this first, so that a name
    never ends a program whose work is done.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a test or a notebook has streams of its own
            stream.reconfigure(errors="backslashreplace")


def command(main: Main) -> Callable[..., int]:
    """Make a command of a function that takes arguments and may return an exit status.

    What is wrong with its input (`ValueError`, `OSError`), and any error of our own, is said in one
    line, with the status 1. What else is raised is a fault of the code, whose place is wanted.
    """

    @wraps(main)
    def run(*given: Any) -> int:
        escape_unshowable()
        try:
            return main(*given) or 0
        except Exception as error:
            ours = type(error).__module__.partition(".")[0] in OURS
            if not (ours or isinstance(error, ValueError | OSError)):
                raise
            said = "\\n".join(str(error).strip().splitlines())  # a name may hold line ends
            print(f"error: {said or type(error).__name__}", file=sys.stderr)
            return 1

    return run


def path_argument(text: str) -> Path:
    """Return a path from a command line, for argparse's `type`; "~" is expanded."""
    try:
        return given_path("the path", text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def count_argument(text: str) -> int:
    """Return a whole number from 1 to a million from a command line, for argparse's `type`."""
    number = int(text)
    if not 1 <= number <= 10**6:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 to a million, got {text}")
    return number


count_argument.__name__ = "count"  # argparse's word for what is no number
