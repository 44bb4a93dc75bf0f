# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""HA is set aside while links are changed, and put back: by disarming, and on Proxmox VE 8 by stopping its services."""

from __future__ import annotations

import pytest
from ansible_collections.quorate.pve.plugins.module_utils._ha_pause import MARK

from ...stacks import StackFactory, wait_until
from .control_node import good
from .test_links import NAMES, NETWORKS, Cluster

pytestmark = pytest.mark.long

PATIENCE = 120.0
# a busy machine must not let a watchdog run out
SCALE = 10


def cluster(stack_factory: StackFactory, version: str) -> Cluster:
    """Three nodes with a guest that HA has started."""
    stack = stack_factory(
        {name: {"kind": "pve", "version": version} for name in NAMES},
        scale=SCALE,
        networks={name: {} for name in NETWORKS},
        start={"clustered": {"name": "ha", "guests": {100: {"node": "pve1", "running": True, "ha": "started"}}}},
    )
    made = Cluster(stack, *NAMES)
    wait_until(lambda: started(made), PATIENCE)
    return made


def started(site: Cluster) -> bool:
    status = site.client().get("/cluster/ha/status/current")
    return any(each["type"] == "service" and each["status"].endswith("started)") for each in status)


def armed(site: Cluster) -> str | None:
    client = site.client()
    return next(
        (str(each["armed-state"]) for each in client.get("/cluster/ha/status/current") if each["type"] == "fencing"),
        None,
    )


def test_disarmed_and_armed_again(stack_factory: StackFactory) -> None:
    site = cluster(stack_factory, "9.2")
    wait_until(lambda: armed(site) == "armed", PATIENCE)
    both = (site.link(0, "mgmt"), site.link(1, "ring1"))
    assert good(site.change(*both)) == ["create link 1"]
    assert armed(site) == "armed"

    nowhere = {"number": 2, "addresses": {name: f"192.0.2.{index}" for index, name in enumerate(NAMES, 11)}}
    assert "The links of before are back" in site.change(*both, nowhere, timeout=5)["msg"]
    assert armed(site) == "armed"

    # as a run leaves it that was killed in between
    with site.shell("pve1") as shell:
        shell.write(MARK, "cut off\n")
    site.client().post("/cluster/ha/status/disarm-ha", {"resource-mode": "freeze"})
    wait_until(lambda: armed(site) == "disarmed", PATIENCE)
    assert good(site.change(*both, check=True)) == ["update HA of the cluster"]
    assert good(site.change(*both)) == ["update HA of the cluster"]
    assert good(site.change(*both)) == []
    assert armed(site) == "armed"

    # what somebody else has disarmed
    site.client().post("/cluster/ha/status/disarm-ha", {"resource-mode": "freeze"})
    wait_until(lambda: armed(site) == "disarmed", PATIENCE)
    result = site.change(site.link(0, "mgmt"), purge=True)
    assert good(result) == ["delete link 1"]
    assert result["warnings"] == ["HA was disarmed by somebody else and stays so"]
    assert armed(site) == "disarmed"


def test_services_are_stopped_and_started_again(stack_factory: StackFactory) -> None:
    site = cluster(stack_factory, "8.4")
    assert armed(site) is None
    assert good(site.change(site.link(0, "mgmt"), site.link(1, "ring1"))) == ["create link 1"]
    for name in NAMES:
        with site.shell(name) as shell:
            assert shell.attempt(["systemctl", "is-active", "pve-ha-lrm", "pve-ha-crm"]).text == "active\nactive\n"
    wait_until(lambda: started(site), PATIENCE)
