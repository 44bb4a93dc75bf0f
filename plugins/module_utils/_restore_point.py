# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster or backup server was like before a run's first write, as files on the control node.

Private to this collection. There is nothing secret in what is fetched; it is readable for its owner alone all the same.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from ._client import Client
from ._errors import ApiError, QuorateError, StateError
from ._parallel import side_by_side
from ._run import Safety, current_directory, inventory_commit, private_directory
from ._shell import Login, Shell

# What the API lists, by the file it goes into. Ceph's two are texts, all others JSON.
CLUSTER = {
    "corosync-nodes.json": "/cluster/config/nodes",
    "corosync-totem.json": "/cluster/config/totem",
    "options.json": "/cluster/options",
    "storages.json": "/storage",
    "ha-resources.json": "/cluster/ha/resources",
    "ha-rules.json": "/cluster/ha/rules",
    "ha-groups.json": "/cluster/ha/groups",
    "replication.json": "/cluster/replication",
    "backup-jobs.json": "/cluster/backup",
    "pools.json": "/pools",
    "users.json": "/access/users",
    "groups.json": "/access/groups",
    "roles.json": "/access/roles",
    "realms.json": "/access/domains",
    "acl.json": "/access/acl",
    "firewall-options.json": "/cluster/firewall/options",
    "firewall-rules.json": "/cluster/firewall/rules",
    "notification-targets.json": "/cluster/notifications/targets",
    "notification-matchers.json": "/cluster/notifications/matchers",
    "metric-servers.json": "/cluster/metrics/server",
    "resources.json": "/cluster/resources",
    "crush.txt": "/nodes/localhost/ceph/crush",
    "ceph.conf": "/nodes/localhost/ceph/cfg/raw",
}
BACKUP_SERVER = {
    "datastores.json": "/config/datastore",
    "remotes.json": "/config/remote",
    "prune-jobs.json": "/config/prune",
    "verify-jobs.json": "/config/verify",
    "sync-jobs.json": "/config/sync?sync-direction=all",
    "traffic-controls.json": "/config/traffic-control",
    "notification-targets.json": "/config/notifications/targets",
    "notification-matchers.json": "/config/notifications/matchers",
    "users.json": "/access/users",
    "acl.json": "/access/acl",
}
# Files that every node has, and where another's copy of /etc/pve is the same
NODE_FILES = (
    "/etc/network/interfaces",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/corosync/corosync.conf",
    "/etc/pve/corosync.conf",
    "/etc/pve/storage.cfg",
    "/etc/pve/datacenter.cfg",
    "/etc/pve/ha/resources.cfg",
    "/etc/pve/ha/rules.cfg",
    "/etc/pve/ha/groups.cfg",
    "/etc/pve/replication.cfg",
    "/etc/pve/jobs.cfg",
    "/etc/pve/ceph.conf",
    "/etc/pve/user.cfg",
    "/etc/pve/domains.cfg",
    "/etc/pve/notifications.cfg",
    "/etc/pve/status.cfg",
    "/etc/pve/firewall/cluster.fw",
    "/etc/pve/nodes/{node}/host.fw",
)


def take(client: Client, safety: Safety, login: Login | None) -> Path:
    """Fetch what can be fetched, and forget all but the newest. Returns the directory.

    Raises :class:`StateError` if it cannot be kept here: then nothing must be changed.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    root = safety.directory / "restore"
    directory = root / stamp
    contents = dict(_from_api(client, safety.kind))
    if login is not None:
        contents |= _from_nodes(safety, login)
    try:
        private_directory(directory)
        for name, text in contents.items():
            _write(directory / name, text)
        commit = inventory_commit(safety, current_directory())
        manifest = {"target": safety.target, "taken": stamp, "commit": commit, "files": sorted(contents)}
        _write(directory / "manifest.json", json.dumps(manifest, indent=1))
        for old in sorted(path for path in root.iterdir() if path.is_dir())[: -max(1, safety.keep)]:
            shutil.rmtree(old)
    except OSError as error:
        raise StateError(
            f"the restore point cannot be kept in {directory}: {error.strerror}",
            where="pve_records",
            hint="Nothing was changed.",
        ) from error
    return directory


def _from_api(client: Client, kind: str) -> Mapping[str, str]:
    """What is there; what the server does not have (no cluster, no Ceph, groups or rules) is left out."""
    paths = dict(BACKUP_SERVER if kind == "pbs" else CLUSTER)
    if kind != "pbs":
        for node in client.get("/nodes"):
            paths[f"{node['node']}/network.json"] = f"/nodes/{node['node']}/network"
    names = list(paths)
    answers = side_by_side(lambda name: _read(client, paths[name]), names)
    texts: dict[str, str] = {}
    for name, answer in zip(names, answers, strict=True):
        if isinstance(answer, QuorateError):
            raise answer
        if answer is not None:
            texts[name] = answer if isinstance(answer, str) else json.dumps(answer, indent=1, sort_keys=True)
    return texts


def _read(client: Client, path: str) -> Any:
    path, _mark, query = path.partition("?")
    try:
        return client.get(path, **dict(parse_qsl(query)))
    except ApiError:
        return None


def _from_nodes(safety: Safety, login: Login) -> Mapping[str, str]:
    """The files of every node that can be reached over SSH."""

    def fetch(entry: Mapping[str, Any]) -> dict[str, str]:
        with Shell(str(entry["address"]), login, entry.get("host_key")) as shell:
            paths = [path.format(node=entry["node"]) for path in NODE_FILES]
            texts = {path: shell.read(path) for path in paths}
        return {f"{entry['node']}{path}": text for path, text in texts.items() if text is not None}

    found: dict[str, str] = {}
    for answer in side_by_side(fetch, safety.shells):
        if not isinstance(answer, QuorateError):
            found |= answer
    return found


def _write(path: Path, text: str) -> None:
    private_directory(path.parent)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
