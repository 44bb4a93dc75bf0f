# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/{node}/network: changes are staged in `interfaces.new` until they are applied (facts §18; observed: calls)."""

from __future__ import annotations

import datetime
import difflib
import ipaddress
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from agentstack._shared.lists import split_list
from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.errors import AgentError, ParameterError
from agentstack.interfaces import BRIDGE_DEFAULTS, FILE, Interface, format_interfaces, parse_interfaces
from agentstack.tasks import Task

if TYPE_CHECKING:
    from agentstack.host import Host

STAGED = f"{FILE}.new"

GROUPS = {
    "any_bridge": ("bridge", "OVSBridge", "vnet"),
    "any_local_bridge": ("bridge", "OVSBridge"),
    "include_sdn": ("bridge", "OVSBridge", "vnet"),
}
"""Values of `type` that stand for several types."""

TEXTS = {
    "exists": "interface already exists",
    "missing": "interface does not exist",
    "gateway": "Default gateway already exists on interface '{iface}'.",
    "used": "{port} is already used on interface '{iface}'.",
    "conflict": "{one} conflicts with {other}",
    "raw_device": "vlan-raw-device parameter is missing",
    "vlan_id": "vlan-id parameter is missing",
    "no_port": "warning: {iface}: port {port} does not exist",
    "no_slave": "error: {iface}: bond slave {port} does not exist",
    "reload": "command 'ifreload -a' failed: exit code 1",
}
"""`exists` to `used`: facts §18; the others follow from the meaning of the parameters [inferred]."""

RELOAD_TIME = 2.0
_CONTROL = frozenset({"node", "iface", "type", "delete"})
_SPACED = ("bridge_ports", "slaves", "bridge_vids", "ovs_ports", "ovs_bonds")
_ADDRESSES = tuple(f"{name}{end}" for end in ("", "6") for name in ("address", "netmask", "cidr", "gateway"))


def physical(host: Host) -> list[str]:
    """The network cards of a host: one for each network that it is on."""
    return list(dict.fromkeys(nic.name for nic in host.spec.nics.values()))


def _read(host: Host, name: str) -> dict[str, Interface]:
    found = parse_interfaces((host.root / name).read_text(encoding="utf-8"))
    for card in physical(host):
        if card not in found:
            free = max((one["priority"] for one in found.values()), default=1) + 1
            found[card] = {"iface": card, "type": "eth", "method": "manual", "method6": "manual", "priority": free}
            found[card]["families"] = ["inet"]
    return found


def is_staged(host: Host) -> bool:
    """Whether there are changes that have not been applied."""
    return (host.root / STAGED).exists()


def interfaces(host: Host) -> dict[str, Interface]:
    """The interfaces as they are configured, with staged changes; `active` are those that are up now."""
    found = _read(host, STAGED if is_staged(host) else FILE)
    for name, interface in found.items():
        if name in host.network.interfaces or name in physical(host):
            interface["active"] = 1
        if name in physical(host):
            interface["exists"] = 1
    return found


def _changes(host: Host) -> str | None:
    """The difference that applying will make, as `diff -u` shows it."""
    if not is_staged(host):
        return None
    texts: list[list[str]] = []
    dates: list[str] = []
    for name in (FILE, STAGED):
        path = host.root / name
        texts.append(path.read_text(encoding="utf-8").splitlines(keepends=True))
        moment = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
        dates.append(moment.strftime("%Y-%m-%d %H:%M:%S.%f000 +0000"))
    return "".join(difflib.unified_diff(texts[0], texts[1], f"/{FILE}", f"/{STAGED}", dates[0], dates[1]))


def _write(host: Host, found: dict[str, Interface]) -> None:
    (host.root / STAGED).write_text(format_interfaces(found.values()), encoding="utf-8")


@pve("GET", "/nodes/{node}/network")
async def list_interfaces(call: Call) -> Json:
    wanted = call.get("type")
    kinds = GROUPS.get(wanted, (wanted,))
    call.changes = _changes(call.host)
    return shuffled(found for found in interfaces(call.host).values() if wanted is None or found["type"] in kinds)


@pve("GET", "/nodes/{node}/network/{iface}")
async def get_interface(call: Call) -> Json:
    found = interfaces(call.host).get(call["iface"])
    if found is None:
        raise ParameterError({"iface": TEXTS["missing"]})
    return {key: value for key, value in found.items() if key != "iface"}


@pve("POST", "/nodes/{node}/network")
async def create_interface(call: Call) -> Json:
    found, name = _stored(call.host), call["iface"]
    if name in found and not (name in physical(call.host) and _is_bare(found[name])):
        raise ParameterError({"iface": TEXTS["exists"]})
    priority = max((one["priority"] for one in found.values()), default=1) + 1
    found[name] = {"iface": name, "priority": priority, "type": call["type"]}
    _configure(call, found, name)
    _write(call.host, found)


@pve("PUT", "/nodes/{node}/network/{iface}")
async def update_interface(call: Call) -> Json:
    found, name = _stored(call.host), call["iface"]
    if name not in found:
        raise ParameterError({"iface": TEXTS["missing"]})
    interface = found[name]
    for option in split_list(call.get("delete")):
        interface.pop(option, None)
        if option in ("cidr", "cidr6"):
            for part in ("address", "netmask", "gateway"):
                interface.pop(part + option[4:], None)
    # addresses are given anew with each change: what is left out is gone (facts §18)
    for option in _ADDRESSES:
        interface.pop(option, None)
    interface["type"] = call["type"]
    _configure(call, found, name)
    _write(call.host, found)


@pve("DELETE", "/nodes/{node}/network/{iface}")
async def delete_interface(call: Call) -> Json:
    found = _stored(call.host)
    if found.pop(call["iface"], None) is None:
        raise ParameterError({"iface": TEXTS["missing"]})
    _write(call.host, found)


@pve("PUT", "/nodes/{node}/network")
async def apply_changes(call: Call) -> Json:
    """Put the staged file in force: an address of this host that is no longer in it is not reached any more."""
    host = call.host

    async def work(task: Task) -> None:
        staged = host.root / STAGED
        if staged.exists():
            staged.replace(host.root / FILE)
        await host.clock.sleep(RELOAD_TIME)
        reload_interfaces(host, task.log)

    return host.tasks.start(call.identity, "srvreload", "networking", work)


@pve("DELETE", "/nodes/{node}/network")
async def revert_changes(call: Call) -> Json:
    (call.host.root / STAGED).unlink(missing_ok=True)


def _stored(host: Host) -> dict[str, Interface]:
    return _read(host, STAGED if is_staged(host) else FILE)


def _is_bare(interface: Interface) -> bool:
    """A network card that stands in no file, or there without any setting."""
    return not any(name in interface for name in (*_ADDRESSES, "mtu", "comments", "autostart", "options"))


def _configure(call: Call, found: dict[str, Interface], name: str) -> None:
    interface = found[name]
    given = {key: value for key, value in call.params.items() if key not in _CONTROL}
    for option in _SPACED:
        if option in given:
            given[option] = " ".join(split_list(given[option]))
    for end in ("", "6"):
        _check_address(given, end)
        _check_gateway(given, end, found, name)
    _check_members(given, found, name)
    interface |= {key: value if isinstance(value, list) else _text(key, value) for key, value in given.items()}
    _complete(interface)


def _text(key: str, value: Any) -> Any:
    return value if key in ("autostart", "bridge_vlan_aware") else str(value)


def _check_address(given: dict[str, Any], end: str) -> None:
    """Bring `cidr`, and `address` with `netmask`, to the same; both at once have to agree."""
    cidr, address, mask = (given.get(f"{name}{end}") for name in ("cidr", "address", "netmask"))
    if address is not None:
        bits = ipaddress.ip_network(f"{address}/{mask}", strict=False).prefixlen
        if cidr is not None and cidr != f"{address}/{bits}":
            words = {"one": f"cidr{end}", "other": f"address{end}"}
            raise ParameterError({f"address{end}": TEXTS["conflict"].format(**words)})
        given[f"cidr{end}"], given[f"netmask{end}"] = f"{address}/{bits}", str(bits)
    elif cidr is not None:
        given[f"address{end}"], given[f"netmask{end}"] = cidr.split("/")


def _check_gateway(given: dict[str, Any], end: str, found: dict[str, Interface], name: str) -> None:
    key = f"gateway{end}"
    if given.get(key) is None:
        return
    for other, interface in found.items():
        if other != name and interface.get(key):
            raise ParameterError({key: TEXTS["gateway"].format(iface=other)})


def _check_members(given: dict[str, Any], found: dict[str, Interface], name: str) -> None:
    """A port belongs to one bridge or bond alone."""
    for option in ("bridge_ports", "slaves"):
        for port in split_list(given.get(option)):
            for other, interface in found.items():
                taken = [*split_list(interface.get("bridge_ports")), *split_list(interface.get("slaves"))]
                if other != name and port in taken:
                    raise ParameterError({option: TEXTS["used"].format(port=port, iface=other)})


def _complete(interface: Interface) -> None:
    """What follows from the type and the addresses."""
    match interface["type"]:
        case "bridge":
            for option, default in BRIDGE_DEFAULTS.items():
                interface.setdefault(option, default)
        case "bond":
            interface.setdefault("bond_mode", "balance-rr")
        case "vlan":
            named = re.fullmatch(r"(.+)\.(\d+)", interface["iface"])
            if named is None and "vlan-raw-device" not in interface:
                raise ParameterError({"vlan-raw-device": TEXTS["raw_device"]})
            if named is None and "vlan-id" not in interface and not re.fullmatch(r"vlan\d+", interface["iface"]):
                raise ParameterError({"vlan-id": TEXTS["vlan_id"]})
        case str(kind) if kind.startswith("OVS"):
            interface["ovs_type"] = kind
    for end in ("", "6"):
        kept = interface.get(f"method{end}") in ("dhcp", "auto", "loopback")
        if interface.get(f"cidr{end}"):
            interface[f"method{end}"] = "static"
        elif not kept:
            interface[f"method{end}"] = "manual"
    interface["families"] = ["inet", *(["inet6"] if interface["method6"] != "manual" else [])]


def reload_interfaces(host: Host, log: Callable[[str], None]) -> None:
    """Bring the file in force: a bridge does without a port that is not there, a bond does not.

    Raises AgentError when something did not come up; the rest is in force.
    """
    failed = False
    found = _read(host, FILE)
    host.network.configure(found)
    for name, interface in found.items():
        for option, text in (("bridge_ports", TEXTS["no_port"]), ("slaves", TEXTS["no_slave"])):
            for port in split_list(interface.get(option)):
                if port not in found or (found[port]["type"] == "eth" and port not in physical(host)):
                    log(text.format(iface=name, port=port))
                    failed = failed or option == "slaves"
    if failed:
        raise AgentError(TEXTS["reload"])
