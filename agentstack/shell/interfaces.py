# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ip(8) and ethtool(8): the network cards of a host, and what hangs on them."""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING, Any

from agentstack.api.pve.node_network import RELOAD_TIME, reload_interfaces
from agentstack.errors import AgentError
from agentstack.network.stanzas import carriers, mtu_of, ports_of
from agentstack.shell.names import ALL
from agentstack.shell.registry import CommandIO, command

if TYPE_CHECKING:
    from agentstack.host import Host
    from agentstack.stack import Nic

LOOPBACK: dict[str, Any] = {
    "ifname": "lo",
    "flags": ["LOOPBACK", "UP", "LOWER_UP"],
    "mtu": 65536,
    "qdisc": "noqueue",
    "operstate": "UNKNOWN",
    "link_type": "loopback",
    "address": "00:00:00:00:00:00",
    "broadcast": "00:00:00:00:00:00",
    "addr_info": [{"family": "inet", "local": "127.0.0.1", "prefixlen": 8, "scope": "host", "label": "lo"}],
}


def links(host: Host) -> list[dict[str, Any]]:
    """Every interface as `ip -j addr` shows it: the cards, and what the interfaces in force put on them."""
    interfaces = host.network.interfaces
    found: dict[str, dict[str, Any]] = {"lo": dict(LOOPBACK)}
    nics = {nic.name: (nic, host.hardware.carrier(network)) for network, nic in reversed(host.spec.nics.items())}
    for name in dict.fromkeys(nic.name for nic in host.spec.nics.values()):
        nic, carrier = nics[name]
        mtu = int(interfaces.get(name, {}).get("mtu") or nic.mtu)
        found[name] = _link(name, nic.mac, mtu, carrier, up=name not in host.network.down)
    ports = {port for interface in interfaces.values() for port in ports_of(interface)}
    for name, interface in interfaces.items():
        if name not in found and not (interface.get("autostart") or name in ports):
            continue
        if name not in found:
            below = sorted({card for card, _ in carriers(interfaces, name, set(nics))})
            mac = nics[below[0]][0].mac if below else "00:00:00:00:00:00"
            carrier = any(nics[card][1] for card in below) and host.network.is_up(name)
            found[name] = _link(name, mac, mtu_of(interfaces, name), carrier, up=name not in host.network.down)
            found[name] |= {"link": interface["vlan-raw-device"]} if interface.get("vlan-raw-device") in found else {}
        if (cidr := interface.get("cidr")) and interface.get("autostart"):
            address, _, bits = str(cidr).partition("/")
            found[name]["addr_info"].append(
                {"family": "inet", "local": address, "prefixlen": int(bits), "scope": "global", "label": name}
            )
    for name, interface in interfaces.items():
        for port in ports_of(interface) if name in found else ():
            if port in found:
                found[port]["master"] = name
    return [{"ifindex": index, **link} for index, link in enumerate(found.values(), 1)]


def _link(name: str, mac: str, mtu: int, carrier: bool, *, up: bool = True) -> dict[str, Any]:
    carrier = carrier and up
    flags = ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"] if carrier else ["NO-CARRIER", "BROADCAST", "MULTICAST", "UP"]
    if not up:
        flags = ["BROADCAST", "MULTICAST"]
    return {
        "ifname": name,
        "flags": flags,
        "mtu": mtu,
        "qdisc": "mq",
        "operstate": "UP" if carrier else "DOWN",
        "link_type": "ether",
        "address": mac,
        "broadcast": "ff:ff:ff:ff:ff:ff",
        "addr_info": [],
    }


def routes(host: Host) -> list[dict[str, Any]]:
    """The main table as `ip -j route` shows it: the networks that the host is on."""
    return [
        {
            "dst": str(ipaddress.ip_network(f"{info['local']}/{info['prefixlen']}", strict=False)),
            "dev": link["ifname"],
            "protocol": "kernel",
            "scope": "link",
            "prefsrc": info["local"],
            "flags": [] if "LOWER_UP" in link["flags"] else ["linkdown"],
        }
        for link in links(host)
        for info in link["addr_info"]
        if info["scope"] == "global"
    ]


@command("ip", kinds=ALL)
async def ip(host: Host, argv: list[str], io: CommandIO) -> int:
    options = [word for word in argv if word.startswith("-")]
    words = [word for word in argv if not word.startswith("-")]
    as_json = any(option in ("-j", "-json") for option in options)
    match words:
        case ["l" | "link", "set", *rest]:
            return _set_link(host, [word for word in rest if word != "dev"], io)
        case ["a" | "addr" | "address" | "l" | "link" as what, *rest]:
            names = [word for word in rest if word not in ("show", "list", "dev", "up")]
            shown = [link for link in links(host) if not names or link["ifname"] in names]
            if names and not shown:
                io.err(f'Device "{names[0]}" does not exist.\n')
                return 1
            if what[0] == "l":
                shown = [{key: value for key, value in link.items() if key != "addr_info"} for link in shown]
            text = "".join(map(_link_text, shown))
        case ["r" | "route", "get", target]:
            source = host.network.source(target)
            device = next((route["dev"] for route in routes(host) if route["prefsrc"] == source), None)
            if device is None:
                io.err("RTNETLINK answers: Network is unreachable\n")
                return 2
            shown = [{"dst": target, "dev": device, "prefsrc": source, "flags": [], "uid": 0, "cache": []}]
            text = f"{target} dev {device} src {source} uid 0 \n    cache \n"
        case ["r" | "route"] | ["r" | "route", "show" | "list"]:
            shown = routes(host)
            text = "".join(
                f"{route['dst']} dev {route['dev']} proto kernel scope link src {route['prefsrc']} \n"
                for route in shown
            )
        case [what, *_]:
            io.err(f'Object "{what}" is unknown, try "ip help".\n')
            return 1
        case _:
            io.err("Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }\n")
            return 255
    io.out(json.dumps(shown, separators=(",", ":")) + "\n" if as_json else text)
    return 0


def _set_link(host: Host, words: list[str], io: CommandIO) -> int:
    match words:
        case [name, "up" | "down" as state]:
            if name not in {link["ifname"] for link in links(host)}:
                io.err(f'Cannot find device "{name}"\n')
                return 1
            host.network.set_link(name, up=state == "up")
            return 0
        case _:
            io.err('Not enough information: "dev" argument is required.\n')
            return 255


def _link_text(link: dict[str, Any]) -> str:
    name = f"{link['ifname']}@{link['link']}" if "link" in link else link["ifname"]
    master = f" master {link['master']}" if "master" in link else ""
    text = (
        f"{link['ifindex']}: {name}: <{','.join(link['flags'])}> mtu {link['mtu']} qdisc {link['qdisc']}{master} "
        f"state {link['operstate']} group default qlen 1000\n"
        f"    link/{link['link_type']} {link['address']} brd {link['broadcast']}\n"
    )
    for info in link.get("addr_info", ()):
        text += f"    inet {info['local']}/{info['prefixlen']} scope {info['scope']} {info['label']}\n"
        text += "       valid_lft forever preferred_lft forever\n"
    return text


@command("ifreload")
async def ifreload(host: Host, argv: list[str], io: CommandIO) -> int:
    """`-a`: the file as it is now, whatever is staged beside it."""
    if argv != ["-a"]:
        io.err("usage: ifreload [-h] (-a | -c)\n")
        return 2
    complaints: list[str] = []
    await host.clock.sleep(RELOAD_TIME)
    try:
        reload_interfaces(host, complaints.append)
    except AgentError:
        return 1
    finally:
        io.err("".join(f"{line}\n" for line in complaints))
    return 0


@command("ethtool", kinds=ALL)
async def ethtool(host: Host, argv: list[str], io: CommandIO) -> int:
    match argv:
        case [name] | ["-i" | "--driver", name]:
            found = ((network, nic) for network, nic in host.spec.nics.items() if name in (nic.name, nic.interface))
            network, nic = next(found, (None, None))
        case _:
            io.err("ethtool: bad command line argument(s)\nFor more information run ethtool -h\n")
            return 1
    if network is None or nic is None:
        io.err("Cannot get device settings: No such device\n")
        return 71
    if len(argv) == 2:
        io.out(
            f"driver: {nic.driver}\nversion: {host.kernel}\nfirmware-version: 0x800003df\nexpansion-rom-version: \n"
            f"bus-info: {_slot(host, nic)}\nsupports-statistics: yes\nsupports-test: yes\n"
        )
        return 0
    carrier = host.hardware.carrier(network)
    io.out(
        f"Settings for {name}:\n"
        f"\tSupported ports: [ FIBRE ]\n"
        f"\tSpeed: {f'{nic.speed}Mb/s' if carrier else 'Unknown!'}\n"
        f"\tDuplex: {'Full' if carrier else 'Unknown! (255)'}\n"
        f"\tAuto-negotiation: off\n"
        f"\tPort: FIBRE\n"
        f"\tLink detected: {'yes' if carrier else 'no'}\n"
    )
    return 0


def _slot(host: Host, nic: Nic) -> str:
    """Where a card sits on the PCI bus: two ports a slot."""
    names = list(dict.fromkeys(each.name for each in host.spec.nics.values()))
    slot, port = divmod(names.index(nic.name), 2)
    return f"0000:{slot + 1:02x}:00.{port}"
