# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs pip like the bootstrap script of that name, from the interpreter's own copy and the package index.

Called as get-pip.py is: with pip's options and the packages to install (pip==24.2 …).
"""

from __future__ import annotations

import subprocess
import sys

# in a process of its own: ensurepip turns pip's configuration off for the process that it runs in
subprocess.check_call([sys.executable, "-m", "ensurepip"])
arguments = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", "--upgrade", *arguments]))
