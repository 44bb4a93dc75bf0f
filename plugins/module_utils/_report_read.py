# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what the report is made of, with few calls. Private to this collection.

What one part does not answer is said in the report; only without the cluster's own status there is none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ._api import Api
from ._ceph import absent
from ._client import Client, Connection
from ._dialect import PBS
from ._errors import ApiError, InputError, QuorateError
from ._forecast import Reserve, read_picture
from ._guest_facts import read_guest_facts
from ._ha import read_status
from ._hosts import Hosts
from ._link_steps import LinkStatus, parse_link_status
from ._membership import read_membership
from ._parallel import side_by_side
from ._pure.crush_map import parse
from ._report_raw import BackupServer, CephRaw, Raw, Row
from ._shell import Login, Shell


def read_all(api: Api, params: Mapping[str, Any]) -> Raw:
    """Everything."""
    client = api.client
    membership = read_membership(client)
    facts = read_guest_facts(client)
    now = int(client.get("/nodes/localhost/time")["time"])
    raw = Raw(now, membership, facts, unread=list(facts.unread))
    parts: dict[str, Callable[[], Any]] = {
        "ha": lambda: read_status(client),
        "config_nodes": lambda: client.get("/cluster/config/nodes"),
        "totem": lambda: client.get("/cluster/config/totem") or {},
        "qdevice": lambda: client.get("/cluster/config/qdevice") or {},
        "options": lambda: client.get("/cluster/options") or {},
        "backup_jobs": lambda: client.get("/cluster/backup"),
        "replication_states": lambda: _replication_states(client, raw),
        "ceph": lambda: _ceph(client),
        "picture": lambda: read_picture(client, Reserve(), _voters(params), facts.resources),
        "links": lambda: _links(params),
        "servers": lambda: _servers(api, params["backup_servers"]),
    }
    for (name, _work), answer in zip(parts.items(), side_by_side(lambda part: part[1](), parts.items()), strict=True):
        if isinstance(answer, QuorateError):
            raw.unread.append(f"{name.replace('_', ' ')}: {answer.message}")
        else:
            setattr(raw, name, answer)
    raw.drills = read_records(params["drills"])
    raw.restores = read_records(params["restores"])
    return raw


def _voters(params: Mapping[str, Any]) -> list[str]:
    return [str(node["name"]) for node in params["nodes"] if node.get("voter")]


def _replication_states(client: Client, raw: Raw) -> dict[str, Row]:
    sources = {str(job["source"]) for job in raw.facts.replication if job.get("source")} & set(raw.facts.online)
    found: dict[str, Row] = {}
    for answer in side_by_side(lambda node: client.get(f"/nodes/{node}/replication"), sorted(sources)):
        if isinstance(answer, QuorateError):
            raw.unread.append(f"replication: {answer.message}")
        else:
            found |= {str(row["id"]): row for row in answer}
    return found


def _ceph(client: Client) -> CephRaw | None:
    try:
        status = client.get("/cluster/ceph/status")
    except ApiError as error:
        if absent(error):
            return None
        raise
    paths = [f"/nodes/localhost/ceph/{part}" for part in ("pool", "osd", "crush")]
    pools, osds, crush = side_by_side(client.get, paths)
    try:
        crush_map = None if isinstance(crush, QuorateError) else parse(str(crush))
    except ValueError:
        crush_map = None
    return CephRaw(
        status,
        () if isinstance(pools, QuorateError) else pools,
        {} if isinstance(osds, QuorateError) else osds,
        crush_map,
    )


def _links(params: Mapping[str, Any]) -> dict[str, dict[int, LinkStatus] | str]:
    """What corosync of each node says of its links; only the nodes themselves know."""
    if not params["nodes"] or not params["links"]:
        return {}

    def ask(shell: Shell) -> dict[int, LinkStatus]:
        return parse_link_status(shell.run(["corosync-cfgtool", "-s"]))

    entries = [{"node": each["name"], **each} for each in params["nodes"]]
    with Hosts(entries, Login.from_params(params)) as hosts:
        answers = hosts.on_all(ask)
    return {node: answer.message if isinstance(answer, QuorateError) else answer for node, answer in answers.items()}


def _servers(api: Api, servers: Sequence[Mapping[str, Any]]) -> list[BackupServer]:
    return [
        BackupServer(str(server["name"]), tuple(server["api_hosts"]), error=answer.message)
        if isinstance(answer, QuorateError)
        else answer
        for server, answer in zip(servers, side_by_side(_server, servers), strict=True)
    ]


def _server(server: Mapping[str, Any]) -> BackupServer:
    """All snapshots of all datastores and namespaces that the login may see."""
    connection = Connection.from_params({**server, "api_otp": None, "api_ca_file": server.get("api_ca_file")}, PBS)
    client = Client(replace(connection, dialect=PBS))
    try:
        stores = client.get("/admin/datastore")
        snapshots: list[Row] = []
        usage: list[Row] = []
        for row in stores:
            store = str(row["store"])
            usage.append({"store": store, **_usage(client, store)})
            for each in client.get(f"/admin/datastore/{store}/namespace"):
                ns = str(each["ns"])
                found = client.get(f"/admin/datastore/{store}/snapshots", ns=ns or None)
                snapshots += [{**snapshot, "store": store, "ns": ns} for snapshot in found]
        return BackupServer(str(server["name"]), tuple(server["api_hosts"]), snapshots, usage, _syncs(client))
    finally:
        client.close()


def _syncs(client: Client) -> list[Row]:
    """The jobs that pull from other servers; none for a login that may not see them."""
    try:
        return list(client.get("/config/sync"))
    except ApiError:
        return []


def _usage(client: Client, store: str) -> Row:
    try:
        status: Row = client.get(f"/admin/datastore/{store}/status")
    except ApiError:
        # a login for one namespace only
        return {}
    return {name: int(status[name]) for name in ("total", "used", "avail") if name in status}


def read_records(place: str | None) -> list[Row]:
    """The records in a file, or in the files below a directory of this machine by name; none if it is not there.

    A file is one JSON document (``.json``), or one a line (``.jsonl``). Raises InputError.
    """
    if not place:
        return []
    top = Path(place).expanduser()
    paths = [top] if top.is_file() else sorted([*top.glob("**/*.json"), *top.glob("**/*.jsonl")])
    found: list[Row] = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
            lines = [text] if path.suffix == ".json" else [line for line in text.splitlines() if line.strip()]
            found += [record for line in lines for record in _records(json.loads(line), path)]
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is no record: {error}", hint="Remove it, or name another directory.") from error
    return found


def _records(content: Any, path: Path) -> Iterable[Row]:
    rows = content if isinstance(content, list) else [content]
    return [{"file": path.name, **row} for row in rows if isinstance(row, Mapping)]
