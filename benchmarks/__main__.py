"""``python -m benchmarks [NAME …] [--quick]``: measure, and print Markdown."""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
import os
import platform
import sys

from IPython.core.interactiveshell import InteractiveShell

NAMES = ("loading", "creation", "latency", "streaming", "transfer", "panel")


def main() -> int:
    """Run the benchmarks named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="few rounds, to see that it works")
    options = parser.parse_args()
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    shell = InteractiveShell.instance()
    out = sys.stdout
    out.write(
        f"## {dt.datetime.now(dt.timezone.utc):%Y-%m-%d}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, `python -m benchmarks {' '.join(options.names)}`\n\n"
    )
    for name in options.names or NAMES:
        module = importlib.import_module(f"benchmarks.{name}")
        out.write(module.report(shell, quick=options.quick) + "\n")
        out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
