# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every benchmark runs, with small sizes; what it measures is no verdict here."""

from __future__ import annotations

import pytest

from .__main__ import names, run

pytestmark = [pytest.mark.soak, pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")]


@pytest.mark.parametrize("name", names())
def test_it_runs(name: str) -> None:
    figures = run(name, quick=True).figures
    assert figures
    assert all(figure.value > 0 for figure in figures)
