# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every variable of the roles is exported, or the documentation says why it is not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.quorate.pve.plugins.module_utils import _export_nodes
from ansible_collections.quorate.pve.plugins.module_utils._export import TABLES

ROOT = Path(__file__).resolve().parents[3]


def test_every_variable() -> None:
    declared: set[str] = set()
    for path in (ROOT / "roles").glob("*/meta/argument_specs.yml"):
        declared |= set(yaml.safe_load(path.read_text("utf-8"))["argument_specs"]["main"]["options"])
    text = (ROOT / "docs" / "adopt.md").read_text("utf-8")
    rows = text.partition("| variables | why")[2].partition("\n\n")[0].splitlines()
    explained = {name for row in rows for name in re.findall(r"`(p(?:ve|bs)_\w+)`", row.split("|")[1])}
    explained -= {"pve_", "pbs_"}
    declared = {name for name in declared if name.startswith(("pve_", "pbs_"))}
    exported = {line.variable for lines in TABLES.values() for line in lines}
    assert exported & explained == set()
    unexplained = sorted(declared - exported - explained)
    assert not unexplained, "export them (_export.py), or say in the table of docs/adopt.md why not"
    assert exported | explained == declared


@pytest.mark.parametrize(
    ("address", "names", "own"),
    [
        ("127.0.0.1", ["localhost.localdomain", "localhost"], True),
        ("::1", ["ip6-localhost", "ip6-loopback"], True),
        ("fe00::0", ["ip6-localnet"], True),
        ("192.0.2.11", ["pve1.example.org", "pve1"], True),
        ("192.0.2.12", ["pve2.example.org", "pve2"], False),
        ("192.0.2.9", ["nas"], False),
    ],
)
def test_lines_of_the_machine_itself(address: str, names: list[str], own: bool) -> None:
    assert _export_nodes._own(address, names, "pve1") is own


class Nodes:
    """As much of the state of a run as is asked for the nodes."""

    def __init__(self, **status: str) -> None:
        self.nodes = {name: {"status": words} for name, words in status.items()}

    def online(self, node: str) -> bool:
        return self.nodes[node]["status"] == "online"


def zone(node: str, name: str) -> dict[str, Any]:
    return {"node": node, "timezone": name}


def test_what_all_nodes_have_alike_is_said_once() -> None:
    api: Any = Nodes(pve1="online", pve2="online")
    assert _export_nodes._alike(api, lambda node: [zone(node, "UTC")]) == [zone("*", "UTC")]
    differ = _export_nodes._alike(api, lambda node: [zone(node, node)])
    assert differ == [zone("pve1", "pve1"), zone("pve2", "pve2")]
    # nobody knows what one that is away has
    away: Any = Nodes(pve1="online", pve2="offline")
    assert _export_nodes._alike(away, lambda node: [zone(node, "UTC")]) == [zone("pve1", "UTC")]
