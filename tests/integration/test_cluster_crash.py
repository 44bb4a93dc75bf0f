# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client saw acknowledged is there afterwards, whoever was killed when."""

from __future__ import annotations

import os
import random
import signal
import threading
import time

import pytest
import requests

from agentstack.cluster import fabric

from ..stacks import RunningStack, StackFactory, wait_until

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")

NAMES = ("pve1", "pve2", "pve3")
START = {"clustered": {"name": "ha", "nodes": list(NAMES), "links": ["ring0", "ring1"]}}


class Writer(threading.Thread):
    """Writes numbered users at whichever node answers, and keeps which numbers were acknowledged."""

    def __init__(self, stack: RunningStack) -> None:
        super().__init__(daemon=True)
        self.urls = [f"https://{host['address']}:8006/api2/json" for host in stack.resolved["hosts"].values()]
        self.password = stack.secrets["root_password"]
        self.acknowledged: set[str] = set()
        self.attempts = 0
        self.end = threading.Event()

    def session(self, url: str) -> requests.Session:
        session = requests.Session()
        session.verify = False
        session.trust_env = False
        answer = session.post(
            f"{url}/access/ticket", data={"username": "root@pam", "password": self.password}, timeout=3
        )
        data = answer.json()["data"]
        session.cookies.set("PVEAuthCookie", data["ticket"])
        session.headers["CSRFPreventionToken"] = data["CSRFPreventionToken"]
        return session

    def run(self) -> None:
        sessions: dict[str, requests.Session] = {}
        while not self.end.is_set():
            url = random.choice(self.urls)
            self.attempts += 1
            user = f"u{self.attempts}@pve"
            try:
                session = sessions.get(url) or sessions.setdefault(url, self.session(url))
                if session.post(f"{url}/access/users", data={"userid": user}, timeout=5).status_code == 200:
                    self.acknowledged.add(user)
            except (requests.RequestException, TypeError, ValueError):
                sessions.pop(url, None)

    def users(self, url: str) -> set[str]:
        found = self.session(url).get(f"{url}/access/users", timeout=5).json()["data"]
        return {user["userid"] for user in found}


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    return stack_factory(3, scale=40, networks={"mgmt": {}, "ring0": {}, "ring1": {}}, start=START)


def test_faults_of_the_network(stack: RunningStack) -> None:
    def rings() -> list[list[str]]:
        return sorted(hosts for _, hosts in fabric.state_of(stack.dir)["rings"])

    wait_until(lambda: rings() == [list(NAMES)])
    stack.fault("link", "pve3", "ring0", "cut")
    assert fabric.state_of(stack.dir)["down"] == [["pve3", "ring0"]]
    stack.fault("host", "pve3", "cut")
    wait_until(lambda: rings() == [["pve1", "pve2"], ["pve3"]])
    stack.clear_faults()
    wait_until(lambda: rings() == [list(NAMES)])


def test_a_paused_host_is_missed_and_comes_back(stack: RunningStack) -> None:
    one = Writer(stack)
    session = one.session(one.urls[0])

    def online() -> set[str]:
        items = session.get(f"{one.urls[0]}/cluster/status", timeout=5).json()["data"]
        return {item["name"] for item in items if item.get("online")}

    wait_until(lambda: online() == set(NAMES))
    stack.power("pause", "pve2")
    wait_until(lambda: online() == {"pve1", "pve3"})
    # what it misses meanwhile it gets afterwards
    assert session.post(f"{one.urls[0]}/access/users", data={"userid": "meanwhile@pve"}, timeout=5).status_code == 200
    stack.power("resume", "pve2")
    wait_until(lambda: online() == set(NAMES))
    wait_until(lambda: "meanwhile@pve" in one.users(one.urls[1]))


@pytest.mark.long
def test_acknowledged_writes_survive_kills(stack: RunningStack) -> None:
    writers = [Writer(stack) for _ in range(3)]
    for number, writer in enumerate(writers):
        writer.attempts = number * 1_000_000
        writer.start()
    chance = random.Random(5)
    for _ in range(12):
        time.sleep(chance.uniform(0.3, 1.5))
        killed = chance.sample(NAMES, chance.randint(1, 3))
        for name in killed:
            os.kill(stack.host(name)["pid"], signal.SIGKILL)
            time.sleep(chance.uniform(0, 0.05))
        wait_until(lambda killed=killed: all(stack.host(name)["power"] == "off" for name in killed))
        for name in killed:
            stack.power("on", name)
        for name in killed:
            stack.wait_ready(name)
    for writer in writers:
        writer.end.set()
        writer.join()
    acknowledged = set().union(*(writer.acknowledged for writer in writers))
    # few, as the lock of a killed host has to expire first
    assert len(acknowledged) > 10
    for url in writers[0].urls:
        assert wait_until(lambda url=url: acknowledged <= writers[0].users(url))
    assert len({frozenset(writers[0].users(url)) for url in writers[0].urls}) == 1
