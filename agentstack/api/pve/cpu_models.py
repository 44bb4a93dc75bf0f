# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/cluster/qemu: models of processors that an administrator makes, in virtual-guest/cpu-models.cfg (9.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.errors import AgentError
from agentstack.sections import Entry, Kind, SectionFile, SectionType, check_digest

TEXTS = {
    "exists": "custom CPU model '{name}' already exists",
    "missing": "custom CPU model '{name}' not found",
}

PREFIX = "custom-"
"""What guests' configurations put before the name."""

_SEE = ["Mapping.Audit", "Mapping.Use", "Mapping.Modify"]
_CONTROL = frozenset({"cputype", "delete", "digest"})
_PROPERTIES = frozenset({"flags", "guest-phys-bits", "hidden", "hv-vendor-id", "level", "phys-bits", "reported-model"})

CPU_MODELS_CFG = SectionFile(
    "virtual-guest/cpu-models.cfg",
    "file-virtual-guest_cpu_models_cfg",
    {"cpu-model": SectionType((), frozenset(), _PROPERTIES)},
    {**dict[str, Kind].fromkeys(("guest-phys-bits", "level"), "integer"), "hidden": "boolean"},
)

FLAGS: Mapping[str, str] = {
    "aes": "AES in hardware",
    "amd-no-ssb": "Tells guests that the host is not open to speculative store bypass",
    "amd-ssbd": "Protection from speculative store bypass, AMD",
    "hv-evmcs": "Faster nested virtualisation of Windows guests, Intel",
    "hv-tlbflush": "Faster Windows guests on hosts with too many virtual processors",
    "ibpb": "Protection from Spectre, AMD",
    "md-clear": "Clears buffers, against MDS",
    "nested-virt": "Virtual machines within virtual machines",
    "pcid": "Cheaper protection from Meltdown",
    "pdpe1gb": "Pages of 1 GB",
    "spec-ctrl": "Protection from Spectre, Intel",
    "ssbd": "Protection from speculative store bypass, Intel",
    "virt-ssbd": "As ssbd, for all guests of AMD hosts",
}


def _name(call: Call) -> str:
    return str(call["cputype"]).removeprefix(PREFIX)


def _shown(entry: Entry, digest: str) -> dict[str, Any]:
    return {"cputype": entry.id, **entry.values, "digest": digest}


def _require(entries: Mapping[str, Entry], name: str) -> Entry:
    if name not in entries:
        raise AgentError(TEXTS["missing"].format(name=name))
    return entries[name]


@pve("GET", "/cluster/qemu/custom-cpu-models")
async def list_models(call: Call) -> Json:
    entries, digest = CPU_MODELS_CFG.read(call.host)
    may = call.host.access.may
    return shuffled(
        _shown(entry, digest)
        for entry in entries.values()
        if may(call.identity, f"/mapping/cpu/{entry.id}", _SEE, any=True)
    )


@pve("POST", "/cluster/qemu/custom-cpu-models")
async def create_model(call: Call) -> Json:
    name = _name(call)
    values = {key: value for key, value in call.params.items() if key not in _CONTROL}
    async with CPU_MODELS_CFG.locked(call.host):
        entries, _ = CPU_MODELS_CFG.read(call.host)
        if name in entries:
            raise AgentError(TEXTS["exists"].format(name=name))
        entries[name] = Entry(name, "cpu-model", values)
        if not call.host.files.is_directory("virtual-guest"):
            await call.host.files.mkdir("virtual-guest", exist_ok=True)
        await CPU_MODELS_CFG.write(call.host, entries.values())


@pve("GET", "/cluster/qemu/custom-cpu-models/{cputype}")
async def read_model(call: Call) -> Json:
    entries, digest = CPU_MODELS_CFG.read(call.host)
    return _shown(_require(entries, _name(call)), digest)


@pve("PUT", "/cluster/qemu/custom-cpu-models/{cputype}")
async def update_model(call: Call) -> Json:
    values = {key: value for key, value in call.params.items() if key not in _CONTROL}
    async with CPU_MODELS_CFG.locked(call.host):
        entries, digest = CPU_MODELS_CFG.read(call.host)
        check_digest(digest, call.get("digest"))
        CPU_MODELS_CFG.apply(_require(entries, _name(call)), values, call.get("delete"))
        await CPU_MODELS_CFG.write(call.host, entries.values())


@pve("DELETE", "/cluster/qemu/custom-cpu-models/{cputype}")
async def delete_model(call: Call) -> Json:
    async with CPU_MODELS_CFG.locked(call.host):
        entries, _ = CPU_MODELS_CFG.read(call.host)
        _require(entries, _name(call))
        del entries[_name(call)]
        await CPU_MODELS_CFG.write(call.host, entries.values())


@pve("GET", "/cluster/qemu/cpu-flags")
async def list_flags(call: Call) -> Json:
    nodes = [view.name for view in call.host.cluster.nodes() if view.online]
    return [{"name": name, "description": text, "supported-on": nodes} for name, text in FLAGS.items()]
