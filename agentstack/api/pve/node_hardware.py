# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node can run and what is built into it: capabilities, hardware, network counters, report, batches."""

from __future__ import annotations

import json
from typing import Any

from agentstack.api.endpoint import Call, Json, pve
from agentstack.errors import AgentError, ParameterError
from agentstack.guests.create import QEMU_VERSION

BASE = "/nodes/{node}"

CPUS: dict[str, tuple[str, ...]] = {
    "GenuineIntel": (
        *("486", "pentium", "pentium2", "pentium3", "coreduo", "core2duo", "Conroe", "Penryn", "Nehalem"),
        *("Westmere", "SandyBridge", "IvyBridge", "Haswell", "Broadwell", "Skylake-Client", "Skylake-Server"),
        *("Cascadelake-Server", "Cooperlake", "Icelake-Server", "SapphireRapids", "GraniteRapids"),
    ),
    "AuthenticAMD": (
        *("athlon", "phenom", "Opteron_G1", "Opteron_G2", "Opteron_G3", "Opteron_G4", "Opteron_G5"),
        *("EPYC", "EPYC-Rome", "EPYC-Milan", "EPYC-Genoa"),
    ),
    "default": ("host", "max", "kvm32", "kvm64", "qemu32", "qemu64", "x86-64-v2", "x86-64-v2-AES", "x86-64-v3",
                "x86-64-v4"),
}  # fmt: skip
FLAGS = ("aes", "amd-no-ssb", "amd-ssbd", "hv-evmcs", "hv-tlbflush", "ibpb", "md-clear", "nested-virt", "pcid",
         "pdpe1gb", "spec-ctrl", "ssbd", "virt-ssbd")  # fmt: skip
MACHINES = {"i440fx": "pc-i440fx", "q35": "pc-q35"}
VERSIONS = ("10.1", "10.0", "9.2", "9.1", "9.0", "8.2", "8.1", "8.0", "7.2", "7.1", "7.0", "6.2", "6.1", "6.0", "5.2")

PCI: tuple[dict[str, Any], ...] = (
    {"id": "0000:00:00.0", "class": "0x060000", "vendor": "0x8086", "device": "0x29c0",
     "device_name": "82G33/G31/P35/P31 Express DRAM Controller"},
    {"id": "0000:00:02.0", "class": "0x030000", "vendor": "0x1234", "device": "0x1111", "device_name": "QEMU VGA"},
    {"id": "0000:00:1f.2", "class": "0x010601", "vendor": "0x8086", "device": "0x2922",
     "device_name": "82801IR/IO/IH (ICH9R/DO/DH) 6 port SATA Controller [AHCI mode]"},
)  # fmt: skip
VENDORS = {"0x8086": "Intel Corporation", "0x1234": "Technical Corp.", "0x1af4": "Red Hat, Inc."}
NIC = {"class": "0x020000", "vendor": "0x1af4", "device": "0x1000", "device_name": "Virtio network device"}

TEXTS = {"pci": "no such PCI device '{id}'", "batch": "invalid format - unable to parse commands\n"}


@pve("GET", f"{BASE}/capabilities/qemu/cpu")
async def cpu_models(call: Call) -> Json:
    return [{"name": name, "vendor": vendor, "custom": 0} for vendor, names in CPUS.items() for name in names]


@pve("GET", f"{BASE}/capabilities/qemu/cpu-flags")
async def cpu_flags(call: Call) -> Json:
    return [{"name": name, "supported-on": [view.name for view in call.host.cluster.nodes()]} for name in FLAGS]


@pve("GET", f"{BASE}/capabilities/qemu/machines")
async def machines(call: Call) -> Json:
    newest = QEMU_VERSION.rpartition(".")[0]
    known = VERSIONS[VERSIONS.index("9.2" if call.host.release.startswith("8.") else newest) :]
    return [
        {"id": f"{name}-{version}", "type": kind, "version": version}
        for kind, name in MACHINES.items()
        for version in known
    ]


@pve("GET", f"{BASE}/capabilities/qemu/migration")
async def migration(call: Call) -> Json:
    return {"has-dbus-vmstate": 1}


def _devices(call: Call) -> list[dict[str, Any]]:
    cards = [NIC | {"id": f"0000:01:{number:02x}.0"} for number in range(len(call.host.addresses))]
    rows = []
    for group, device in enumerate([*PCI, *cards]):
        row = {**device, "iommugroup": group}
        rows.append(row | {"vendor_name": VENDORS[device["vendor"]]})
    return rows


@pve("GET", f"{BASE}/hardware/pci")
async def pci(call: Call) -> Json:
    hidden = call.get("pci-class-blacklist", "05;06;0b").replace(",", ";").split(";")
    rows = [row for row in _devices(call) if row["class"][2:4] not in hidden]
    if call.get("verbose", 1):
        return rows
    return [{"id": row["id"]} for row in rows]


@pve("GET", f"{BASE}/hardware/pci/{{pci-id-or-mapping}}")
async def pci_device(call: Call) -> Json:
    return [{"method": "mdev"}]


@pve("GET", f"{BASE}/hardware/pci/{{pci-id-or-mapping}}/mdev")
async def mediated(call: Call) -> Json:
    """None of the devices can be divided."""
    ident = call["pci-id-or-mapping"]
    if ident not in {name for row in _devices(call) for name in (row["id"], row["id"].removeprefix("0000:"))}:
        raise AgentError(TEXTS["pci"].format(id=ident))
    return []


@pve("GET", f"{BASE}/hardware/usb")
async def usb(call: Call) -> Json:
    hub = {"busnum": 1, "devnum": 1, "class": 9, "level": 0, "port": 0, "speed": "480", "vendid": "1d6b"}
    return [hub | {"prodid": "0002", "manufacturer": "Linux", "product": "EHCI Host Controller"}]


@pve("GET", f"{BASE}/netstat")
async def netstat(call: Call) -> Json:
    """The network cards of the guests that run, with their counters as text."""
    rows = []
    for row in call.host.guests.status_rows():
        if row["status"] == "running" and (row["netin"] or row["netout"]):
            counters = {"in": str(row["netin"]), "out": str(row["netout"])}
            rows.append({"vmid": str(row["vmid"]), "dev": "net0", **counters})
    return rows


@pve("GET", f"{BASE}/report")
async def report(call: Call) -> Json:
    """What the support asks for: versions, cluster, storages, files."""
    host = call.host
    packages = "\n".join(f"{package.name}: {package.version}" for _, package in sorted(host.packages.all().items()))
    storages = "\n".join(
        f"{name} {row['type']} {'active' if row['active'] else 'inactive'} {row['total']} {row['used']} {row['avail']}"
        for name, row in host.storage.statuses().items()
    )
    nodes = "\n".join(
        f"{view.node_id} {view.votes} {view.name} online={int(view.online)}" for view in host.cluster.nodes()
    )
    parts = {
        "general system info": f"hostname: {host.name}\nkernel: {host.kernel}",
        "pveversion --verbose": packages,
        "cat /etc/hosts": (host.root / "etc/hosts").read_text(encoding="utf-8"),
        "overall system load info": f"load: {host.hardware.load:.2f}",
        "info about storage": storages,
        "info about virtual guests": "\n".join(str(vmid) for vmid in host.files.guests()),
        "info about network and firewall": (host.root / "etc/network/interfaces").read_text(encoding="utf-8"),
        "info about cluster": nodes,
    }
    return "\n".join(f"==== {title} ====\n\n{text.rstrip()}\n" for title, text in parts.items())


@pve("POST", f"{BASE}/execute")
async def execute(call: Call) -> Json:
    """Several calls of this node in one: `[{method, path, args}]`; each has its own status."""
    try:
        commands = json.loads(call["commands"])
        batch = [(str(entry["method"]), str(entry["path"]), dict(entry.get("args") or {})) for entry in commands]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ParameterError({"commands": TEXTS["batch"]}) from None
    dispatcher = call.host.api.dispatcher
    answers: list[dict[str, Any]] = []
    for verb, path, given in batch:
        full = f"/nodes/{call.host.name}/{path.strip('/')}"
        try:
            found = dispatcher.find(verb, full)
            if found is None:
                raise dispatcher.unknown(verb, full)
            raw = dispatcher.admit(found, call.identity, given)
            reply = await dispatcher.execute(found, call.identity, raw)
            answers.append({"status": 200, "data": getattr(reply, "data", None)})
        except ParameterError as error:
            answers.append({"status": error.status, "message": error.message, "errors": error.errors})
        except AgentError as error:
            answers.append({"status": error.status, "message": error.message})
    return answers
