# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The links of a running cluster are changed under a client that writes all the time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils._errors import QuorateError

from ...stacks import StackFactory, wait_until
from .control_node import Site, good

NAMES = ("pve1", "pve2", "pve3")
NETWORKS = ("mgmt", "ring1", "ring2")
INTERVAL = 0.1
"""Seconds between two writes of the client."""


class Cluster(Site):
    """The cluster of this file."""

    def link(self, number: int, network: str, **more: Any) -> dict[str, Any]:
        return {"number": number, "addresses": {name: self.address(name, network) for name in NAMES}, **more}

    def change(self, *links: dict[str, Any], **more: Any) -> dict[str, Any]:
        return self.run("corosync_links", links=list(links), nodes=self.shells(*NAMES), **{"settle": 0.5, **more})

    def version(self) -> int:
        return int(self.client().get("/cluster/config/totem")["config_version"])

    def files(self) -> set[str]:
        return {
            (self.stack.dir / "hosts" / name / "root/etc/corosync/corosync.conf").read_text(encoding="utf-8")
            for name in NAMES
        }


class Writer(threading.Thread):
    """Writes over the API without a pause, and keeps what went wrong."""

    def __init__(self, site: Cluster) -> None:
        super().__init__()
        self.client = site.client()
        self.enough = threading.Event()
        self.writes = 0
        self.failed: list[str] = []

    def run(self) -> None:
        while not self.enough.wait(INTERVAL):
            try:
                self.client.put("/cluster/options", {"description": f"write {self.writes}"})
            except QuorateError as error:
                self.failed.append(str(error))
            self.writes += 1

    def __enter__(self) -> Writer:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.enough.set()
        self.join()


@pytest.fixture(scope="module")
def site(stack_factory: StackFactory) -> Cluster:
    stack = stack_factory(
        {name: {"kind": "pve"} for name in NAMES},
        networks={name: {} for name in NETWORKS},
        start={"clustered": {"name": "links"}},
    )
    return Cluster(stack, *NAMES)


def back_at(site: Cluster, version: int) -> set[str]:
    """The files of the nodes, two versions after this one, but for the version."""
    return {text.replace(f"config_version: {version + 2}", f"config_version: {version}") for text in site.files()}


# step by step, each building on the one before; what is expected, and the links then
STEPS: dict[str, tuple[Callable[[Cluster], list[dict[str, Any]]], list[str]]] = {
    "add": (lambda site: [site.link(0, "mgmt"), site.link(1, "ring1", priority=20)], ["create link 1"]),
    "priority": (lambda site: [site.link(0, "mgmt", priority=5), site.link(1, "ring1")], ["update link 0"]),
    "renumber": (
        lambda site: [site.link(0, "mgmt"), site.link(2, "ring1", priority=9)],
        ["delete link 1", "create link 2"],
    ),
    "other addresses": (lambda site: [site.link(0, "mgmt"), site.link(2, "ring2")], ["update link 2"]),
    "swap in two steps": (
        lambda site: [site.link(0, "ring1"), site.link(1, "mgmt"), site.link(2, "ring2")],
        ["update link 0", "create link 1"],
    ),
    "remove": (lambda site: [site.link(0, "ring1")], ["delete link 1", "delete link 2"]),
}


def test_changes_are_made_under_a_writing_client(site: Cluster) -> None:
    with Writer(site) as writer:
        for name, (links, expected) in STEPS.items():
            before = site.version()
            assert good(site.change(*links(site), purge=True, purge_limit="100%")) == expected, name
            assert site.version() == before + len(expected), name
            assert good(site.change(*links(site), purge=True, purge_limit="100%")) == [], name
    assert writer.failed == []
    assert writer.writes > 0
    assert site.settled()
    assert len(site.files()) == 1


def test_an_unreachable_network_is_taken_back(site: Cluster) -> None:
    """Follows the test above: link 0 in ring1 is the only one."""
    there = site.link(0, "ring1")
    nowhere = {"number": 1, "addresses": {name: f"192.0.2.{index}" for index, name in enumerate(NAMES, 11)}}
    before, version = site.files(), site.version()
    result = site.change(there, nowhere, timeout=5)
    assert result["failed"]
    assert "pve1 does not see pve2, pve3 on link 1" in result["msg"], result["msg"]
    assert f"The links of before are back, as version {version + 2}" in result["msg"], result["msg"]
    assert [each["object"] for each in result["not_done"]] == ["link 1"]
    assert back_at(site, version) == before


@pytest.mark.long
def test_without_quorum_the_local_files_bring_it_back(site: Cluster) -> None:
    before, version = site.files(), site.version()
    nowhere = {"number": 0, "addresses": {name: f"192.0.2.{index}" for index, name in enumerate(NAMES, 11)}}
    refused = site.change(nowhere)
    assert refused["failed"]
    assert "is the only one" in refused["msg"]
    result = site.change(nowhere, timeout=5, allow_interruption=True)
    assert result["failed"]
    assert f"The links of before are back, as version {version + 2}" in result["msg"], result["msg"]
    assert back_at(site, version) == before
    wait_until(site.settled, 60)
    assert site.version() == version + 2
