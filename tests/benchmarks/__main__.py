# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.benchmarks [--quick] [NAME …]`: run the benchmarks, all or those named."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import urllib3

from .report import Figure, Report

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
OUT = ROOT / "build" / "bench.json"


def names() -> list[str]:
    """Every benchmark there is: the names of the files without their prefix."""
    return sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def run(name: str, *, quick: bool, show: Callable[[Figure], None] = lambda figure: None) -> Report:
    """Run one benchmark. `show`: what is done with each figure at once."""
    report = Report(name, quick, show=show)
    importlib.import_module(f"{__package__}.bench_{name}").run(report)
    return report


def line(figure: Figure) -> str:
    """A figure as a row of the table."""
    aim = f"(aim {figure.aim:g})" if figure.aim is not None else ""
    against = ""
    if figure.ratio is not None and figure.against is not None:
        against = f"{figure.alternative} {figure.against:,.4g} {figure.unit}: x {figure.ratio:,.3g}"
    parts = f"{figure.area:<12} {figure.name:<58} {figure.value:>12,.4g} {figure.unit:<9} {aim:<12} {against}"
    return "  ".join(filter(None, [parts.rstrip(), figure.note]))


def main() -> int:
    """Run, print, write build/bench.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: only to see that the benchmarks run")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    # where Ansible finds the collection; pytest does that by its configuration
    sys.path.insert(0, str(ROOT / ".ansible/collections"))
    # the agents' certificates are their own
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    known = names()
    if unknown := sorted(set(options.names) - set(known)):
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(known)}")
    figures = []
    for name in options.names or known:
        figures += run(name, quick=options.quick, show=lambda figure: print(line(figure), flush=True)).to_json()
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps({"quick": options.quick, "figures": figures}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
