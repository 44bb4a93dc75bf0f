# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m agentstack.commands.up [--file FILE] --dir DIR [--net NET]`: `agentstack up` for those who always call it.

Every run of the site does, and loading what a command line for people needs takes longer than seeing that all are up.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from agentstack import launch
from agentstack.reader import StackError


def told(file: Path | None, state: Path, net: int | None) -> str:
    """Bring the stack up, and say what came of it. Raises StackError."""
    outcome = launch.up(file, state, net)
    names = " ".join(outcome.stack.hosts)
    word = "are up already" if outcome.seconds is None else f"up in {outcome.seconds:.1f} s"
    return f"agents    {names} {word}            {state}"


def main() -> int:
    """Exit status 1 with one message if it cannot be."""
    parser = argparse.ArgumentParser(prog="agentstack up", allow_abbrev=False)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--net", type=int, choices=range(1, 255), metavar="NET")
    options = parser.parse_args()
    try:
        print(told(options.file, options.dir, options.net))
    except StackError as error:
        print(f"agentstack: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
