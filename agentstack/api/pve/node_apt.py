# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/{node}/apt: versions, updates, repositories (facts §18)."""

from __future__ import annotations

from typing import Any

from agentstack.api.endpoint import Call, Json, pve
from agentstack.errors import AgentError
from agentstack.packages import catalogue, sources
from agentstack.packages.catalogue import Package
from agentstack.sections import check_digest
from agentstack.tasks import Task

TEXTS = {"no_changelog": "changelog for {name}={version} not (yet) available"}

FIRST = ("proxmox-ve", catalogue.MANAGER)
"""What comes first among the versions, as `pveversion -v` prints them."""


def _row(package: Package, old: str | None) -> dict[str, Any]:
    row = {
        "Package": package.name,
        "Title": package.title,
        "Description": package.title,
        "Version": package.version,
        "Section": package.section,
        "Priority": "optional",
        "Arch": package.arch,
        "Origin": package.origin,
    }
    return row | {"OldVersion": old} if old is not None else row


@pve("GET", "/nodes/{node}/apt/versions")
async def versions(call: Call) -> Json:
    host = call.host
    found = {name: package for name, package in host.packages.all().items() if package.origin == "Proxmox"}
    rows = []
    for name in [*FIRST, *sorted(set(found) - set(FIRST))]:
        if name not in found:
            continue
        row = _row(found[name], found[name].version) | {"CurrentState": "Installed"}
        if name == "proxmox-ve":
            row["RunningKernel"] = host.kernel
        elif name == catalogue.MANAGER:
            row["ManagerVersion"] = f"{host.version}/{host.repoid}"
        rows.append(row)
    return rows


@pve("GET", "/nodes/{node}/apt/update")
async def pending(call: Call) -> Json:
    return [_row(upgrade.package, upgrade.old) for upgrade in call.host.packages.pending()]


@pve("POST", "/nodes/{node}/apt/update")
async def update(call: Call) -> Json:
    host, quiet = call.host, bool(call.get("quiet"))

    async def work(task: Task) -> None:
        task.log("starting apt-get update")
        await host.packages.update((lambda line: None) if quiet else task.log)

    return host.tasks.start(call.identity, "aptupdate", "", work)


@pve("GET", "/nodes/{node}/apt/changelog")
async def changelog(call: Call) -> Json:
    packages = call.host.packages
    name = call["name"]
    known = [found[name] for found in (packages.offered(), packages.all()) if name in found]
    version = call.get("version") or (known[0].version if known else "unknown")
    if all(package.version != version for package in known):
        raise AgentError(TEXTS["no_changelog"].format(name=name, version=version))
    suite = catalogue.suite_of(call.host.release)
    return f"{name} ({version}) {suite}; urgency=medium\n\n  * update to {version}\n\n"


# ---- repositories ---------------------------------------------------------------------------------------------------


@pve("GET", "/nodes/{node}/apt/repositories")
async def repositories(call: Call) -> Json:
    host = call.host
    found = sources.read(host.root)
    entries = [entry for file in found for entry in file.repositories]
    rows = []
    for handle, (name, _, wanted) in sources.standard(host.release, catalogue.suite_of(host.release)).items():
        row: dict[str, Any] = {"handle": handle, "name": name}
        matching = [entry for entry in entries if sources.same(entry, wanted)]
        if matching:
            row["status"] = int(any(entry.enabled for entry in matching))
        rows.append(row)
    return {
        "files": [file.answer() for file in found],
        "errors": [],
        "infos": _infos(found),
        "digest": sources.digest(found),
        "standard-repos": rows,
    }


def _infos(found: list[sources.SourceFile]) -> list[dict[str, str]]:
    rows = []
    for file in found:
        for index, entry in enumerate(file.repositories):
            text = " ".join(entry.uris)
            origin = "Proxmox" if "proxmox.com" in text else "Debian" if "debian.org" in text else "Other"
            rows.append({"path": file.path, "index": str(index), "kind": "origin", "message": origin})
    return rows


@pve("PUT", "/nodes/{node}/apt/repositories")
async def add_repository(call: Call) -> Json:
    host = call.host
    check_digest(sources.digest(sources.read(host.root)), call.get("digest"))
    sources.add(host.root, host.release, catalogue.suite_of(host.release), call["handle"])


@pve("POST", "/nodes/{node}/apt/repositories")
async def change_repository(call: Call) -> Json:
    host = call.host
    check_digest(sources.digest(sources.read(host.root)), call.get("digest"))
    if "enabled" in call.params:
        sources.switch(host.root, call["path"], call["index"], bool(call["enabled"]))
