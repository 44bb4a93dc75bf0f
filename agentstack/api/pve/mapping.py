# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/cluster/mapping/{dir,pci,usb} (facts §17: Mapping.Audit, Modify, Use)."""

from __future__ import annotations

from typing import Any

from agentstack import mappings
from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled

_CONTROL = frozenset({"id", "delete", "digest"})
_SEE = ["Mapping.Audit", "Mapping.Use", "Mapping.Modify"]


def _values(call: Call) -> dict[str, Any]:
    return {name: value for name, value in call.params.items() if name not in _CONTROL}


def register(kind: str) -> None:
    """The methods of one kind of mapping."""
    path = f"/cluster/mapping/{kind}"

    @pve("GET", path)
    async def list_mappings(call: Call) -> Json:
        found, digest = mappings.read(call.host, kind)
        node = call.get("check-node")
        rows = []
        for name, mapped in found.items():
            if not call.host.access.may(call.identity, f"/mapping/{kind}/{name}", _SEE, any=True):
                continue
            row = {**mapped.to_api(name), "digest": digest}
            # what another node has, only that node can say
            if node == call.host.name:
                texts = mappings.faults(call.host, kind, mapped, node)
                row["error" if kind == "usb" else "checks"] = [{"severity": "error", "message": text} for text in texts]
            rows.append(row)
        return shuffled(rows)

    @pve("POST", path)
    async def create_mapping(call: Call) -> Json:
        await mappings.create(call.host, kind, call["id"], _values(call))

    @pve("GET", f"{path}/{{id}}")
    async def read_mapping(call: Call) -> Json:
        mapped, digest = mappings.get(call.host, kind, call["id"])
        return {**mapped.to_api(call["id"]), "digest": digest}

    @pve("PUT", f"{path}/{{id}}")
    async def update_mapping(call: Call) -> Json:
        await mappings.update(call.host, kind, call["id"], _values(call), call.get("delete"), call.get("digest"))

    @pve("DELETE", f"{path}/{{id}}")
    async def delete_mapping(call: Call) -> Json:
        await mappings.remove(call.host, kind, call["id"])


for each in mappings.KINDS:
    register(each)
