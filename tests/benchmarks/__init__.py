# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What things cost: `make bench` runs every `bench_*.py`, prints one table and writes build/bench.json."""
