# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces of nodes: staged by the API, put in force with a way back (facts §18). Private to this collection."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ._api import Api, Result
from ._dead_man import UNREACHED, DeadMan, wait_reached
from ._errors import ApplyError, InputError, QuorateError, ShellError, StateError, VerifyError, WaitError
from ._hosts import Hosts
from ._node_sets import NodeSet
from ._parallel import all_or_error, side_by_side
from ._plan import CREATE, DELETE, Change, Wanted, plan_changes, raise_all
from ._pure.lists import natural_sorted, split_list
from ._shell import Login, Shell
from ._spec import ABSENT, Field, Item, Key, Spec
from ._values import ANY, BOOLEAN, INTEGER, SET, Form

PATH = "/nodes/{node}/network"
FILE, STAGED, BEFORE = "/etc/network/interfaces", "/etc/network/interfaces.new", "/etc/network/interfaces.quorate"
UNIT = "quorate-network"
RATE = "bond-lacp-rate"
RATES = {"1": "fast", "0": "slow"}

VIDS = Form(lambda value: " ".join(split_list(str(value))) or None, str, "str")
TYPES = ("bond", "bridge", "eth", "vlan")

INTERFACES = Spec(
    kind="interface",
    option="interfaces",
    keys=("node", "name"),
    label_format="{name} on {node}",
    path=PATH,
    item_path=f"{PATH}/{{iface}}",
    fields=(
        Field("node", required=True, sent=False),
        Field("name", api="iface", required=True),
        Field("type", choices=TYPES, needed=True, fixed=True),
        Field("cidr"),
        Field("cidrs", ANY, sent=False, listed=False),
        Field("gateway"),
        Field("cidr6"),
        Field("gateway6"),
        Field("mtu", INTEGER),
        Field("autostart", BOOLEAN, default=False, initial=True),
        Field("comments"),
        Field("bridge_ports", SET),
        Field("bridge_vlan_aware", BOOLEAN, default=False),
        Field("bridge_vids", VIDS),
        Field("bond_slaves", SET, api="slaves"),
        Field("bond_mode"),
        Field("bond_primary", api="bond-primary"),
        Field("bond_xmit_hash_policy"),
        Field("bond_lacp_rate", choices=("fast", "slow"), default="slow", sent=False),
        Field("vlan_id", INTEGER, api="vlan-id"),
        Field("vlan_raw_device", api="vlan-raw-device"),
    ),
)
ADDRESSES = ("cidr", "cidr6")
# a list for these is separated by spaces, as in the file
SPACED = ("bridge_ports", "slaves")


class NodeNetwork(NodeSet):
    """Interfaces. Changes of one node are one step that is made or not made."""

    spec = INTERFACES

    def __init__(self, api: Api, params: Mapping[str, Any], hosts: Hosts) -> None:
        super().__init__(api, params)
        self.hosts = hosts
        self.dead_man = DeadMan(hosts, UNIT, int(params["rollback_after"]))
        self.addresses = {str(each["node"]): str(each["address"]) for each in params["nodes"]}

    @classmethod
    def run(cls, params: Mapping[str, Any], check_mode: bool) -> Result:
        """The whole module."""
        with Api.open(params, check_mode) as api, Hosts(params["nodes"], Login.from_params(params)) as hosts:
            return cls(api, params, hosts).manage()

    def prepare(self, wanted: list[Wanted]) -> list[Wanted]:
        """Each node's own address from ``cidrs``."""
        prepared = [_with_own_address(want) for want in super().prepare(wanted)]
        raise_all([error for want in prepared for error in _problems(want)])
        return prepared

    def read(self, node: str) -> list[Item]:
        """The interfaces as the file has them: what somebody has staged is no state to start from."""
        rows = self.api.client.get(PATH.format(node=node))
        return [seen_interface(node, row) for row in rows]

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """A card that stands in no file is there, and bare."""
        rest = [want for want in wanted if not _is_bare_card(want, actual)]
        return plan_changes(INTERFACES, rest, actual)

    def check(self, changes: Sequence[Change]) -> None:
        """Nothing that others have staged is put in force, and no node is cut off."""
        nodes = natural_sorted({str(change.key[0]) for change in changes})
        errors: list[QuorateError] = []
        for node in nodes:
            own = [change for change in changes if change.key[0] == node]
            if node not in self.addresses:
                errors.append(
                    InputError(
                        f"how {node} is reached over SSH is not said", where=own[0].where, hint="Add it to nodes."
                    )
                )
            elif not self.params["allow_address_change"]:
                errors += self._cut_off(node, own)
        raise_all(errors)
        if not self.api.check_mode:
            staged = all_or_error(
                side_by_side(lambda node: self.hosts.do(node, lambda shell: shell.read(STAGED)), nodes)
            )
            raise_all(
                [
                    StateError(
                        f"somebody has staged changes of the interfaces of {node}",
                        hint="Apply or revert them first (System > Network on the node).",
                    )
                    for node, text in zip(nodes, staged, strict=True)
                    if text is not None
                ]
            )

    def apply(self, changes: Sequence[Change]) -> None:
        """One node first, and the others side by side when it came through."""
        nodes = natural_sorted({str(change.key[0]) for change in changes})
        by_node = {node: [change for change in changes if change.key[0] == node] for node in nodes}
        done: list[str] = []
        for together in (nodes[:1], nodes[1:]):
            results = side_by_side(lambda node: self._change(node, by_node[node]), together)
            errors = [result for result in results if isinstance(result, QuorateError)]
            done += [node for node, result in zip(together, results, strict=True) if result is None]
            if errors:
                made = [change.describe() for change in changes if change.key[0] in done]
                raise ApplyError(errors, made, [c.describe() for c in changes if c.key[0] not in done])

    # one node

    def _change(self, node: str, changes: Sequence[Change]) -> None:
        client = self.api.client
        try:
            for change in sorted(changes, key=lambda one: one.action != DELETE):
                self._stage(change)
            self.hosts.do(node, lambda shell: _set_rates(shell, changes))
            self.hosts.do(node, lambda shell: shell.run(["cp", "-p", FILE, BEFORE]))
            back = [["/usr/bin/cp", "-p", BEFORE, FILE], ["-/usr/bin/rm", "-f", STAGED], ["/usr/sbin/ifreload", "-a"]]
            self.dead_man.arm(node, back)
        except QuorateError:
            # what went wrong first is what is told
            with suppress(QuorateError):
                client.delete(PATH.format(node=node))
            raise
        failed: QuorateError | None = None
        try:
            # the node may fall silent over this: how it went is told by what is asked of it afterwards
            self.api.finish_task(client.put(PATH.format(node=node)), float(self.params["timeout"]), node)
        except UNREACHED as error:
            failed = error
        except WaitError as error:
            failed = error
        except QuorateError as error:
            self._put_back(node)
            raise StateError(f"{error}. {node} has its interfaces of before again".replace("..", ".")) from error
        what = f"an answer of {node} after its interfaces were changed"
        lost = wait_reached(client.connection, self.addresses[node], what, float(self.params["timeout"]))
        if lost is None and self._called_off(node):
            return
        reason = lost or failed
        self._wait_for_return(node)
        raise StateError(
            f"{node} could not be reached after its interfaces were changed, and put the ones of before back by itself"
            + (f" ({reason.message})" if reason else ""),
            where=changes[0].where,
            hint="Look at the addresses, ports and VLANs of what was changed; nothing is left of it.",
        )

    def _called_off(self, node: str) -> bool:
        try:
            return self.dead_man.disarm(node)
        except ShellError:
            # not reached over SSH: the node takes it for lost as well
            return False

    def _put_back(self, node: str) -> None:
        """Do at once what the switch would do."""

        def work(shell: Shell) -> None:
            shell.run(["cp", "-p", BEFORE, FILE])
            # what is left staged would be taken for what is there
            shell.run(["rm", "-f", STAGED])
            # the session may go with the network that it ran over
            with suppress(ShellError):
                shell.attempt(["ifreload", "-a"])

        self.hosts.do(node, work)
        self._called_off(node)

    def _wait_for_return(self, node: str) -> None:
        timeout = float(self.params["rollback_after"]) + float(self.params["timeout"])
        gone = wait_reached(self.api.client.connection, self.addresses[node], f"the return of {node}", timeout)
        if gone is not None:
            raise WaitError(
                f"{node} is not reached since its interfaces were changed, and has not put them back ({gone.message})",
                hint=f"At its console: cp {BEFORE} {FILE} && ifreload -a",
            )

    def _stage(self, change: Change) -> None:
        path = INTERFACES.fill(INTERFACES.item_path, change.item or change.actual)
        if change.action == DELETE:
            self.api.client.delete(INTERFACES.fill(INTERFACES.item_path, change.actual))
            return
        now = change.item if change.action == CREATE else {**change.actual, **change.set}
        payload = _payload({name: value for name, value in now.items() if name not in change.unset})
        if change.action == CREATE:
            self.api.client.post(PATH.format(node=change.key[0]), payload)
            return
        del payload["iface"]
        unset = [INTERFACES.field(name).api_name for name in change.unset if INTERFACES.field(name).sent]
        self.api.client.put(path, {**payload, **({"delete": ",".join(unset)} if unset else {})})

    def _cut_off(self, node: str, changes: Sequence[Change]) -> list[QuorateError]:
        """Addresses that the API or corosync use and that would be gone."""
        used = {self.addresses[node]: "the API is reached by"}
        members = self.api.client.get("/cluster/config/nodes") if len(self.api.nodes) > 1 else []
        for member in members:
            if member.get("node") == node:
                used |= {
                    str(value): "corosync uses" for name, value in member.items() if re.fullmatch(r"ring\d_addr", name)
                }
        errors: list[QuorateError] = []
        for change in changes:
            for name in ADDRESSES:
                before, after = change.actual.get(name), None if change.action == DELETE else change.item.get(name)
                if name not in change.item and change.action != DELETE:
                    continue
                old, new = (str(value).partition("/")[0] if value else "" for value in (before, after))
                if old in used and new != old:
                    errors.append(
                        StateError(
                            f"{change.label} would lose {old}, the address that {used[old]}",
                            where=change.where,
                            hint="Say allow_address_change: true if that is meant.",
                        )
                    )
        return errors

    def verify(self, wanted: Sequence[Wanted], changes: Sequence[Change]) -> None:
        """Read back, also whether anything is left staged."""
        super().verify(wanted, changes)
        for node in natural_sorted({str(change.key[0]) for change in changes}):
            if self.hosts.do(node, lambda shell: shell.read(STAGED)) is not None:
                raise VerifyError(f"the interfaces of {node} were applied, and changes are staged all the same")


def _with_own_address(want: Wanted) -> Wanted:
    own = (want.item.get("cidrs") or {}).get(want.item["node"])
    item = {name: value for name, value in want.item.items() if name != "cidrs"}
    return replace(want, item={**item, "cidr": str(own)} if own else item)


def _problems(want: Wanted) -> list[QuorateError]:
    found: list[QuorateError] = []
    for name in ADDRESSES:
        value = want.item.get(name)
        if value is not None:
            try:
                ipaddress.ip_interface(value)
            except ValueError:
                value = ""
            if "/" not in str(value):
                found.append(InputError(f"{name} must be like 192.0.2.11/24, is {want.item[name]}", where=want.where))
    if want.item.get("bond_lacp_rate") and want.item.get("bond_mode") not in (None, "802.3ad"):
        found.append(InputError("bond_lacp_rate is for bond_mode 802.3ad", where=want.where))
    return found


def seen_interface(node: str, row: Mapping[str, Any]) -> Item:
    """A row of the server's list as an element of the module's."""
    item = INTERFACES.seen(row)
    for line in row.get("options") or ():
        option, _equals, value = (
            str(line).replace("_", "-", 2).partition(" ") if str(line).startswith("bond") else ("", "", "")
        )
        if option == RATE:
            item["bond_lacp_rate"] = RATES.get(value.strip(), value.strip())
    return {"node": node, **{name: value for name, value in item.items() if value is not None}}


def _is_bare_card(want: Wanted, actual: Mapping[Key, Item]) -> bool:
    """Whether a card is to be absent: cards are always there."""
    there = actual.get(INTERFACES.key(want.item))
    return want.state == ABSENT and there is not None and there.get("type") == "eth"


def _payload(item: Item) -> dict[str, Any]:
    payload = INTERFACES.payload(item)
    return {name: str(value).replace(",", " ") if name in SPACED else value for name, value in payload.items()}


def _set_rates(shell: Shell, changes: Sequence[Change]) -> None:
    """The API has no parameter for the LACP rate (facts §18): it is written into the staged file."""
    rates = {
        str(change.key[1]): str(change.set["bond_lacp_rate"]) for change in changes if "bond_lacp_rate" in change.set
    }
    if not rates:
        return
    text = shell.read(STAGED)
    if text is None:
        # nothing else has changed
        text = shell.read(FILE) or ""
    shell.write(STAGED, with_rates(text, rates))


def with_rates(text: str, rates: Mapping[str, str]) -> str:
    """The interfaces file with the LACP rate of these bonds."""
    lines: list[str] = []
    bond = ""
    for line in text.splitlines():
        words = line.split()
        if words and not line[0].isspace():
            bond = words[1] if words[0] == "iface" and words[2:3] == ["inet"] else ""
        if bond in rates and words[:1] and words[0].replace("_", "-") == RATE:
            continue
        lines.append(line)
        if bond in rates and words[0:1] == ["iface"]:
            lines.append(f"\t{RATE} {rates[bond]}")
    return "".join(f"{line}\n" for line in lines)
