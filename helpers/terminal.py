"""What a command prints, on any terminal."""

import sys


def escape_unshowable() -> None:
    """Let stdout and stderr write what their encoding lacks as an escape, instead of an error.

    A file or class name may hold any character. Every command calls this first, so that a name
    never ends a program whose work is done.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a test or a notebook has streams of its own
            stream.reconfigure(errors="backslashreplace")
