# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody locks himself out: who is let in is looked at before a firewall is changed, and a change that cuts nodes off
is taken back by a node itself (facts §19). Private to this collection.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ._api import Api
from ._dead_man import DeadMan, wait_reached
from ._errors import InputError, QuorateError, ShellError, StateError
from ._firewall import read_names
from ._hosts import Hosts
from ._parallel import all_or_error, side_by_side
from ._plan import raise_all
from ._pure.packet_rules import Names, Rule, decide, management, verdicts
from ._shell import Shell
from ._wait import wait_until

UNIT = "quorate-firewall"
CLUSTER_FILE = "/etc/pve/firewall/cluster.fw"
HOST_FILE = "/etc/pve/nodes/{node}/host.fw"
BEFORE = "/root/.quorate-{name}"
PENDING = "pending changes"

OPTIONS: dict[str, Any] = {
    "rollback_after": {"type": "int", "default": 60},
    "timeout": {"type": "int", "default": 60},
    "ports": {"type": "list", "elements": "int", "default": [8006, 22]},
    "allow_lock_out": {"type": "bool", "default": False},
}


class Guard:
    """What keeps the way to the nodes open while a firewall is changed. Without ``nodes`` there is no way back."""

    def __init__(self, api: Api, params: Mapping[str, Any], hosts: Hosts) -> None:
        self.api, self.params, self.hosts = api, params, hosts
        self.addresses = {str(each["node"]): str(each["address"]) for each in params.get("nodes") or ()}
        self.dead_man = DeadMan(hosts, UNIT, int(params["rollback_after"]))

    def check(
        self,
        where: str,
        cluster: Mapping[str, Any],
        hosts: Mapping[str, Mapping[str, Any]] | None = None,
        rules: Mapping[tuple[Any, ...], Sequence[Rule]] | None = None,
    ) -> None:
        """Refuse a configuration that keeps this machine out of a node.

        ``cluster``, ``hosts``: options of the cluster and of nodes as they will be (those of other nodes are read);
        ``rules``: lists that will be other than they are, by what :func:`place` says.
        """
        if self.params["allow_lock_out"] or not is_on(cluster.get("enable", 0)):
            return
        if not self.addresses:
            raise InputError(
                "a firewall that is on is changed, and how the nodes are reached over SSH is not said",
                where=where,
                hint="Give nodes, so that a change that locks you out is taken back; or say allow_lock_out: true.",
            )
        rules = rules or {}
        names = read_names(self.api.client)
        groups = {**names.groups, **{str(key[3]): found for key, found in rules.items() if key[0] == "group"}}
        names = Names(names.aliases, names.sets, groups)
        shared = rules.get(("cluster", None, None, None))
        if shared is None:
            shared = self.api.client.get("/cluster/firewall/rules")
        policy = str(cluster.get("policy_in") or "DROP").upper()
        errors: list[QuorateError] = []
        for node, address in self.addresses.items():
            if node not in self.api.nodes or not self.api.online(node):
                continue
            base = f"/nodes/{node}"
            options = (hosts or {}).get(node) or self.api.client.get(f"{base}/firewall/options")
            if not is_on(options.get("enable", 1)):
                continue
            own = rules.get(("node", node, None, None))
            if own is None:
                own = self.api.client.get(f"{base}/firewall/rules")
            iface, local = self._interface(node, address)
            source = own_address(address)
            for port in self.params["ports"]:
                found = verdicts([*own, *shared], names, address=address, port=port, iface=iface)
                found += management(names, local, port)
                let_in = decide(found, source)
                if not (policy == "ACCEPT" if let_in is None else let_in):
                    errors.append(
                        StateError(
                            f"{source}, this machine, would no longer reach port {port} of {node} ({address})",
                            where=where,
                            hint=f"Let it in first: a rule with type in, action ACCEPT, proto tcp, dport {port}, "
                            f"source {source}, or a member of the IP set management.",
                        )
                    )
        raise_all(errors)

    def watched(self, work: Callable[[], None], nodes: Sequence[str] = ()) -> None:
        """Do the work; when it cuts this machine off from a node, it is undone and an error."""
        if not self.addresses:
            work()
            return
        # these sessions last whatever the firewall says: it is asked of new connections
        all_or_error(self.hosts.on_all(_status).values())
        first = next(node for node in self.addresses if node in self.api.nodes and self.api.online(node))
        files = [CLUSTER_FILE, *(HOST_FILE.format(node=node) for node in nodes)]
        back = self.hosts.do(first, lambda shell: [_way_back(shell, file) for file in files])
        self.dead_man.arm(first, back)
        try:
            work()
        except QuorateError:
            self.dead_man.disarm(first)
            raise
        lost = self._lost()
        if lost is None and self._called_off(first):
            return
        timeout = float(self.params["rollback_after"]) + float(self.params["timeout"])
        for node, address in self.addresses.items():
            wait_reached(self.api.client.connection, address, f"the return of {node}", timeout)
        raise StateError(
            "the nodes could not be reached after the firewall was changed, and it was put back as it was by "
            f"{first} itself" + (f" ({lost})" if lost else ""),
            hint="Let this machine in before the rest; nothing is left of the change.",
        )

    def _called_off(self, node: str) -> bool:
        try:
            return self.dead_man.disarm(node)
        except ShellError:
            return False

    def _lost(self) -> QuorateError | None:
        """What keeps this machine from a node once the rules are in force; None if nothing does."""
        timeout = float(self.params["timeout"])

        def look(node: str) -> QuorateError | None:
            def in_force() -> bool | None:
                return None if PENDING in self.hosts.do(node, _status) else True

            try:
                wait_until(in_force, timeout=timeout, what=f"the firewall of {node} being in force")
            except QuorateError as error:
                return error
            address = self.addresses[node]
            lost = wait_reached(self.api.client.connection, address, f"an answer of {node}", 0)
            if lost is None and 22 in self.params["ports"]:
                lost = self._no_shell(node)
            return lost

        results = side_by_side(look, list(self.addresses))
        return next((result for result in results if result is not None), None)

    def _no_shell(self, node: str) -> QuorateError | None:
        entry = self.hosts.entries[node]
        try:
            Shell(str(entry["address"]), self.hosts.login, entry.get("host_key")).close()
        except ShellError as error:
            return error
        return None

    def _interface(self, node: str, address: str) -> tuple[str, list[str]]:
        """The interface that has an address, and its network."""
        rows = self.api.client.get(f"/nodes/{node}/network")
        row = next((row for row in rows if row.get("address") == address and row.get("cidr")), None)
        return (str(row["iface"]), [str(row["cidr"])]) if row else ("", [])


def is_on(value: Any) -> bool:
    """``enable``: 0 or 1, or the second since when it is on."""
    return str(value).lower() not in ("0", "false", "no", "off", "")


def own_address(target: str) -> str:
    """This machine's address towards another one; nothing is sent."""
    family = socket.AF_INET6 if ipaddress.ip_address(target).version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((target, 9))
        return str(probe.getsockname()[0])


def _status(shell: Shell) -> str:
    return shell.run(["pve-firewall", "status"])


def _way_back(shell: Shell, file: str) -> list[str]:
    """Keep a file, and say how it is put back."""
    kept = BEFORE.format(name=file.removeprefix("/etc/pve/").replace("/", "-"))
    if shell.read(file) is None:
        return ["/usr/bin/rm", "-f", file]
    shell.run(["cp", file, kept])
    return ["/usr/bin/cp", kept, file]
