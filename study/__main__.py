"""The study's commands: `python -m study` lists them."""

import importlib
import sys
from collections.abc import Sequence

from helpers.terminal import command

COMMANDS = {
    "tables": ("study.tables.__main__", "all generated tables, or --check to compare them only"),
    "check": ("study.reproduced", "do all tables and verdicts come out again; into a JSON file"),
    "costs": ("study.costs.measure", "time, memory and exported forms of every network"),
    "maps": ("study.maps.measure", "where the networks' maps look"),
    "automl": ("study.automl.search", "the AutoML runs"),
    "leakage": ("study.tables.leakage", "which test images are tied to training images"),
    "pictures": ("study.plots.readme", "the README's pictures"),
    "claims": ("study.claims.__main__", "the ledger: every claim with its verdict"),
    "report": ("study.report.page", "the page of results"),
}


@command
def main(arguments: Sequence[str] | None = None) -> int | None:
    """Run one command with the arguments after its name; return its exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] not in COMMANDS:
        asked = f"unknown command {arguments[0]!r}" if arguments else "which command?"
        lines = [f"  {name:8}{text}" for name, (_, text) in COMMANDS.items()]
        known = "\n".join(["usage: python -m study COMMAND [options]", *lines])
        help_wanted = arguments[:1] in (["-h"], ["--help"])
        if help_wanted:
            print(known)
            return 0
        print(f"{known}\nerror: {asked}", file=sys.stderr)
        return 2
    module, _ = COMMANDS[arguments[0]]
    return importlib.import_module(module).main(arguments[1:])


if __name__ == "__main__":
    sys.exit(main())
