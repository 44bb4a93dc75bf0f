# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters as the report reads them, made up: small and sick, or large."""

from __future__ import annotations

from typing import Any

from ansible_collections.quorate.pve.plugins.module_utils._guest_facts import Affinity, GuestFacts
from ansible_collections.quorate.pve.plugins.module_utils._ha import HaStatus, Service
from ansible_collections.quorate.pve.plugins.module_utils._link_steps import LinkStatus
from ansible_collections.quorate.pve.plugins.module_utils._membership import Member, Membership
from ansible_collections.quorate.pve.plugins.module_utils._pure.ha_forecast import Picture, Room, Tenant
from ansible_collections.quorate.pve.plugins.module_utils._report_raw import BackupServer, CephRaw, Raw

NOW = 1_795_322_566
GIB = 2**30
EVIL = '<script>alert("x")</script>'


def raw(nodes: int = 3, guests: int = 6, *, name: str = "ha-test") -> Raw:
    """A cluster in which the last node is offline, link 1 of pve1 is cut, one pool is unsafe, one replica fails, guest
    100 has no backup, and guest 101 a name that a page must not take for its own."""
    names = [f"pve{number}" for number in range(1, nodes + 1)]
    up = names[:-1] or names
    members = {each: Member(each, i + 1, f"10.0.0.{i + 1}", each in up, i == 0) for i, each in enumerate(names)}
    vmids = range(100, 100 + guests)
    home = {vmid: names[vmid % nodes] for vmid in vmids}
    resources: list[dict[str, Any]] = [
        {
            "type": "node",
            "node": each,
            "status": "online" if each in up else "offline",
            "maxmem": 64 * GIB,
            "maxcpu": 16,
        }
        for each in names
    ]
    resources += [
        {
            "type": "qemu",
            "vmid": vmid,
            "node": home[vmid],
            "name": EVIL if vmid == 101 else f"guest{vmid}",
            "status": "running",
            "maxmem": 2 * GIB,
            "maxcpu": 2,
        }
        for vmid in vmids
    ]
    resources.append({"type": "storage", "storage": "backup", "node": "pve1", "shared": 1, "content": "backup"})
    facts = GuestFacts(
        resources=resources,
        storages=[
            {"storage": "vm", "type": "rbd", "content": "images"},
            {"storage": "tank", "type": "zfspool", "content": "images"},
            {"storage": "backup", "type": "pbs", "server": "10.0.0.50", "namespace": "", "content": "backup"},
        ],
        replication=[
            {
                "id": "102-0",
                "guest": 102,
                "jobnum": 0,
                "source": home.get(102, ""),
                "target": up[0],
                "schedule": "*/15",
            },
        ],
        ha_resources=[{"sid": f"vm:{vmid}", "state": "started", "failback": 0} for vmid in vmids],
        affinities=[Affinity("web", {"pve1": 2, "pve2": 1}, True, ("vm:100",), None)],
        not_covered=frozenset({100}),
        configs={
            vmid: {"name": f"guest{vmid}", "agent": "1", "scsi0": f"{'tank' if vmid == 102 else 'vm'}:vm-{vmid}-disk-0"}
            for vmid in vmids
            if home[vmid] in up
        },
        node_status={
            each: {
                "pveversion": f"pve-manager/9.2.{10 + (each == 'pve1')}/abc",
                "memory": {"total": 64 * GIB, "used": 20 * GIB},
                "cpuinfo": {"cpus": 16, "model": "EPYC"},
                "loadavg": ["1.5"],
                "uptime": 90_000,
            }
            for each in up
        },
        backups={"backup": []},
    )
    snapshots = [
        {
            "backup-type": "vm",
            "backup-id": str(vmid),
            "backup-time": NOW - 7200,
            "store": "main",
            "ns": "",
            "verification": {"state": "ok"},
        }
        for vmid in vmids
        if vmid != 100
    ]
    others = {member.nodeid: "connected" for member in members.values() if member.online}
    links: dict[str, Any] = {
        each: {0: LinkStatus("10.0.0.1", dict(others)), 1: LinkStatus("10.0.1.1", dict(others))} for each in up
    }
    links["pve1"][1] = LinkStatus("10.0.1.1", {nodeid: "disconnected" for nodeid in others if nodeid != 1})
    return Raw(
        NOW,
        Membership(name, True, 3, members),
        facts,
        ha=HaStatus(
            True,
            {"node": "pve1", "state": "active", "timestamp": NOW},
            "armed",
            dict.fromkeys(up, "active"),
            {f"vm:{vmid}": Service(f"vm:{vmid}", home[vmid], "started", "started", "started") for vmid in vmids},
        ),
        config_nodes=[
            {
                "node": each,
                "nodeid": i + 1,
                "quorum_votes": 1,
                "ring0_addr": f"10.0.0.{i + 1}",
                "ring1_addr": f"10.0.1.{i + 1}",
            }
            for i, each in enumerate(names)
        ],
        totem={"interface": {"0": {"knet_link_priority": "10"}}},
        replication_states={
            "102-0": {"last_sync": NOW - 9000, "next_sync": NOW - 8100, "fail_count": 3, "error": "no room"}
        },
        ceph=CephRaw(
            {
                "health": {"status": "HEALTH_WARN", "checks": {"OSD_DOWN": _check("1 osds down")}},
                "monmap": {"mons": [{"name": each} for each in names]},
                "quorum_names": up,
                "mgrmap": {"active_name": "pve1"},
                "osdmap": {"num_osds": 3, "num_up_osds": 2, "num_in_osds": 3},
            },
            [{"pool_name": "fast", "size": 2, "min_size": 1, "pg_num": 32, "crush_rule_name": "replicated_rule"}],
        ),
        links=links,
        servers=[
            BackupServer("pbs1", ("10.0.0.50",), snapshots, [{"store": "main", "total": 100 * GIB, "used": 90 * GIB}]),
            BackupServer("pbs2", ("10.0.0.51",), error="10.0.0.51 does not answer"),
        ],
        picture=Picture(
            [Room(each, 64 * GIB, 4 * GIB, 16, each in up) for each in names],
            [Tenant(f"vm:{vmid}", home[vmid], 2 * GIB, 2, True, "started") for vmid in vmids],
        ),
        drills=[
            {
                "cluster": name,
                "scenario": "power",
                "target": "pve2",
                "started": NOW - 3 * 86_400,
                "seconds": {"detection": 12, "fence": 61, "recovery": 136, "service": 151},
                "guests": [{"sid": "vm:103", "gone": 151}],
            }
        ],
        restores=[{"guest": 103, "finished": NOW - 3 * 86_400, "ok": True}],
    )


def _check(text: str) -> dict[str, Any]:
    return {"severity": "HEALTH_WARN", "summary": {"message": text}}
