# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m agentstack` is `agentstack`."""

from agentstack.cli import main

main()
