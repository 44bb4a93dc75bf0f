# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/nodes/{node}/ceph: initialisation, monitors, managers, starting and stopping daemons (facts §11)."""

from __future__ import annotations

from typing import Any

from agentstack.api.endpoint import Call, Json, pve
from agentstack.api.order import shuffled
from agentstack.ceph import conf
from agentstack.ceph.auth import ADMIN, DAEMONS, keyring, new_key
from agentstack.ceph.daemons import KINDS, Kind
from agentstack.ceph.maps import ClusterMap
from agentstack.ceph.quorum import Unreachable
from agentstack.ceph.service import ADMIN_KEYRING, SERVICES, new_fsid
from agentstack.errors import AgentError
from agentstack.host import Host
from agentstack.tasks import Task

TEXTS = {
    "mon_exists": "monitor '{name}' already exists",
    "no_mon": "no such monitor id '{name}'",
    "no_mgr": "ceph manager directory '/var/lib/ceph/mgr/ceph-{name}' not found",
    "unreachable": "Could not connect to ceph cluster despite configured monitors",
}

DAEMON_START = 2.0
"""Seconds until a new daemon serves."""


@pve("POST", "/nodes/{node}/ceph/init")
async def init(call: Call) -> Json:
    """Write the configuration once; again only the networks are taken over (facts §11.2)."""
    host = call.host
    host.ceph.require_installed()
    async with host.files.lock(conf.LOCK):
        present = host.ceph.conf()
        if present is None:
            auth = "none" if call.get("disable_cephx") else "cephx"
            present = conf.fresh(
                new_fsid(),
                call.get("network"),
                call.get("cluster-network"),
                call.get("size", 3),
                call.get("min_size", 2),
                auth,
            )
        else:
            conf.set_networks(present, call.get("network"), call.get("cluster-network"))
        await host.files.write(conf.FILE, present.format())
        if not host.files.exists("ceph"):
            await host.files.mkdir("ceph")
        if not host.files.exists(ADMIN_KEYRING):
            key = new_key(host.clock.now())
            await host.files.write(ADMIN_KEYRING, keyring("client.admin", key, ADMIN))


# --- monitors -----------------------------------------------------------------------------------------------------


def _services(host: Host) -> dict[str, dict[str, Any]]:
    """What each member says about its daemons."""
    found = {node.name: host.cluster.kv(node.name, SERVICES) for node in host.cluster.nodes()}
    found[host.name] = host.cluster.kv(host.name, SERVICES)
    return {name: value for name, value in found.items() if value}


def _entries(host: Host, kind: Kind) -> dict[str, dict[str, Any]]:
    """A list entry for every daemon of a kind whose directory exists somewhere."""
    return {
        name: {
            "name": name,
            "host": node,
            "direxists": 1,
            "service": 1,
            "state": "stopped",
            "ceph_version_short": news["version"],
        }
        for node, news in _services(host).items()
        for name in news[kind]
    }


@pve("GET", "/nodes/{node}/ceph/mon")
async def list_monitors(call: Call) -> Json:
    host = call.host
    found = host.ceph.require_configured()
    entries = _entries(host, "mon")
    try:
        cluster = await host.ceph.maps() if found.monitors else None
    except Unreachable:
        cluster = None
    if cluster is None:
        return shuffled({**entry, "state": "unknown"} for entry in entries.values())
    quorum = host.ceph.group.quorum()
    for rank, name in enumerate(sorted(cluster.monitors)):
        entry = entries.setdefault(name, {"name": name, "host": cluster.monitors[name].host})
        entry |= {"addr": f"{cluster.monitors[name].address}:6789/0", "rank": rank}
        if name in quorum:
            entry |= {"state": "running", "quorum": 1, "ceph_version": f"ceph version {cluster.version}"}
    return shuffled(entries.values())


@pve("POST", "/nodes/{node}/ceph/mon/{monid}")
async def create_monitor(call: Call) -> Json:
    host, name = call.host, str(call["monid"])
    found = host.ceph.require_configured()
    if name in host.ceph.daemons.names("mon"):
        raise AgentError(TEXTS["mon_exists"].format(name=name))
    network = found.settings.get("public_network")
    given = call.get("mon-address")
    address = given or (host.ceph.local_address(network) if network else host.address)
    if address in found.monitors:
        raise AgentError(f"monitor address '{address}' already in use")

    async def work(task: Task) -> None:
        async with host.files.lock(conf.LOCK, timeout=60):
            first = await _register_monitor(host, name, address, task)
        task.log("starting new monitor")
        await host.clock.sleep(DAEMON_START)
        await _wait_for_quorum(host, name)
        if first:
            task.log("first monitor: creating a manager on this node as well")
            await _create_manager(host, host.name, task)

    return host.tasks.start(call.identity, "cephcreatemon", f"mon.{name}", work)


async def _register_monitor(host: Host, name: str, address: str, task: Task) -> bool:
    """Put a monitor into the monmap and ceph.conf; returns whether it is the first one."""
    found = host.ceph.require_configured()
    first = not found.monitors
    if not first:
        try:
            cluster = await host.ceph.maps()
        except Unreachable:
            raise AgentError(TEXTS["unreachable"]) from None
        if name in cluster.monitors:
            raise AgentError(TEXTS["mon_exists"].format(name=name))
    task.log(f"creating new monitor directory '/var/lib/ceph/mon/ceph-{name}'")
    host.ceph.daemons.create("mon", name)
    host.ceph.monitor_switched()
    if first:
        host.ceph.found_cluster(found.fsid or new_fsid(), found, name, address)
    else:
        await host.ceph.group.execute("monitor_add", name=name, host=host.name, address=address)
    found.monitors = [*found.monitors, address]
    found.sections[f"mon.{name}"] = {"public_addr": address}
    await host.files.write(conf.FILE, found.format())
    return first


async def _wait_for_quorum(host: Host, name: str) -> None:
    for _ in range(30):
        await host.ceph.group.maps()
        if name in host.ceph.group.quorum():
            return
        await host.clock.sleep(1)
    raise AgentError("got timeout")


@pve("DELETE", "/nodes/{node}/ceph/mon/{monid}")
async def destroy_monitor(call: Call) -> Json:
    host, name = call.host, str(call["monid"])
    cluster = await host.ceph.maps()
    if name not in cluster.monitors or name not in host.ceph.daemons.names("mon"):
        raise AgentError(TEXTS["no_mon"].format(name=name))
    if len(cluster.monitors) <= 1:
        raise AgentError("can't remove last monitor")

    async def work(task: Task) -> None:
        async with host.files.lock(conf.LOCK, timeout=60):
            address = (await host.ceph.maps()).monitors[name].address
            await host.ceph.group.execute("monitor_remove", name=name)
            host.ceph.daemons.destroy("mon", name)
            host.ceph.monitor_switched()
            found = host.ceph.require_configured()
            found.monitors = [entry for entry in found.monitors if entry != address]
            found.sections.pop(f"mon.{name}", None)
            await host.files.write(conf.FILE, found.format())

    return host.tasks.start(call.identity, "cephdestroymon", f"mon.{name}", work)


# --- managers -----------------------------------------------------------------------------------------------------


@pve("GET", "/nodes/{node}/ceph/mgr")
async def list_managers(call: Call) -> Json:
    host = call.host
    host.ceph.require_configured()
    entries = _entries(host, "mgr")
    try:
        cluster = await host.ceph.maps()
    except Unreachable:
        return shuffled({**entry, "state": "unknown"} for entry in entries.values())
    alive = host.ceph.group.hosts()
    for name, node in cluster.managers.items():
        if node not in alive:
            continue
        entry = entries.setdefault(name, {"name": name, "host": node})
        entry["state"] = "active" if name == cluster.active_manager else "standby"
        entry["addr"] = _address_of(cluster, host, node)
    return shuffled(entries.values())


def _address_of(cluster: ClusterMap, host: Host, node: str) -> str:
    known = [monitor.address for monitor in cluster.monitors.values() if monitor.host == node]
    return known[0] if known else str(host.cluster.address_of(node))


@pve("POST", "/nodes/{node}/ceph/mgr/{id}")
async def create_manager(call: Call) -> Json:
    host, name = call.host, str(call["id"])
    host.ceph.require_keyring()

    async def work(task: Task) -> None:
        await host.ceph.maps()
        await _create_manager(host, name, task)

    return host.tasks.start(call.identity, "cephcreatemgr", f"mgr.{name}", work)


async def _create_manager(host: Host, name: str, task: Task) -> None:
    if name in host.ceph.daemons.names("mgr"):
        raise AgentError(f"ceph manager directory '/var/lib/ceph/mgr/ceph-{name}' already exists")
    task.log(f"creating manager directory '/var/lib/ceph/mgr/ceph-{name}'")
    task.log(f"creating keys for 'mgr.{name}'")
    key = new_key(host.clock.now())
    await host.ceph.group.execute("key_get_or_create", entity=f"mgr.{name}", key=key, caps=DAEMONS["mgr"])
    await host.ceph.group.execute("manager_add", name=name, host=host.name)
    host.ceph.daemons.create("mgr", name)
    task.log("setting owner for directory")
    task.log(f"enabling service 'ceph-mgr@{name}.service'")
    task.log(f"starting service 'ceph-mgr@{name}.service'")
    await host.clock.sleep(DAEMON_START)


@pve("DELETE", "/nodes/{node}/ceph/mgr/{id}")
async def destroy_manager(call: Call) -> Json:
    """Its key stays with the monitors, and is the one that a manager of that name gets next."""
    host, name = call.host, str(call["id"])
    host.ceph.require_keyring()
    if name not in host.ceph.daemons.names("mgr"):
        raise AgentError(TEXTS["no_mgr"].format(name=name))

    async def work(task: Task) -> None:
        host.ceph.daemons.destroy("mgr", name)
        await host.ceph.group.execute("manager_remove", name=name)

    return host.tasks.start(call.identity, "cephdestroymgr", f"mgr.{name}", work)


# --- metadata servers, file systems: none are made yet, so the lists are true -----------------------------------------


@pve("GET", "/nodes/{node}/ceph/mds")
async def list_metadata_servers(call: Call) -> Json:
    call.host.ceph.require_keyring()
    return []


@pve("GET", "/nodes/{node}/ceph/fs")
async def list_file_systems(call: Call) -> Json:
    await call.host.ceph.maps()
    return []


# --- starting and stopping ----------------------------------------------------------------------------------------


async def _switch(call: Call, kind: str, states: tuple[bool, ...]) -> str:
    host = call.host
    host.ceph.require_configured()
    wanted = str(call.get("service", "ceph.target")).removesuffix(".target")
    prefix, _, name = wanted.partition(".")
    chosen = [
        (daemon_kind, daemon)
        for daemon_kind in KINDS
        for daemon in host.ceph.daemons.names(daemon_kind)
        if prefix in ("ceph", daemon_kind) and name in ("", daemon)
    ]
    if name and not chosen:
        raise AgentError(f"Unit ceph-{prefix}@{name}.service not loaded.")

    async def work(task: Task) -> None:
        for on in states:
            for daemon_kind, daemon in chosen:
                host.ceph.daemons.switch(daemon_kind, daemon, on)
            host.ceph.monitor_switched()
            host.ceph.look()
            await host.clock.sleep(DAEMON_START)

    return host.tasks.start(call.identity, kind, wanted if name else prefix, work)


@pve("POST", "/nodes/{node}/ceph/start")
async def start(call: Call) -> Json:
    return await _switch(call, "srvstart", (True,))


@pve("POST", "/nodes/{node}/ceph/stop")
async def stop(call: Call) -> Json:
    return await _switch(call, "srvstop", (False,))


@pve("POST", "/nodes/{node}/ceph/restart")
async def restart(call: Call) -> Json:
    return await _switch(call, "srvrestart", (False, True))
