# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order the modules' examples make sense on one site, and what has to be there before each.

Five hosts: pve1 to pve3 are fresh and become the cluster ha-lab by the examples themselves, pbs1 and pbs2 the backup
servers; a witness besides. An example is run as it stands in the documentation, for real unless `check` says why not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Parameters = dict[str, Any]
Step = tuple[str, Parameters] | tuple[str, Parameters, str]
"""A module, of this collection if it has no dot in its name, its options, and what its result `done` must be like."""

TOKEN = "{directory}/secrets/"


@dataclass(frozen=True)
class Turn:
    """The examples of one module, or the one with the number `only`.

    `check`: why in check mode. `refused`: what the server or the module says instead, where that is all a site like
    this one can give. `changes`: whether the site changes; None: that depends.
    """

    module: str
    before: tuple[Step, ...] = ()
    only: int | None = None
    check: str = ""
    refused: str = ""
    changes: bool | None = True


def reads(module: str, *before: Step) -> Turn:
    """A module that only reads."""
    return Turn(module, before, changes=False)


def agentstack(*words: str) -> Step:
    """Something that happens to a host."""
    return "ansible.builtin.command", {"argv": ["{agentstack}", *words, "--dir", "{state}"]}


def tank(vmid: int, node: str) -> Parameters:
    """A small guest with a disk on ZFS."""
    return {"vmid": vmid, "node": node, "memory": 64, "disks": {"scsi0": "tank:1"}, "started": True}


def api(method: str, path: str, **parameters: Any) -> Step:
    """A call that nobody else's module makes."""
    return "api_call", {"method": method, "path": path, "parameters": parameters}


THIRD: Parameters = {
    "api_fingerprints": ["{fingerprint1}"],
    "api_trust_file": "{directory}/trust.json",
    "node": "pve3",
    "address": "{pve3}",
    "fingerprint": "{fingerprint3}",
    "links": [{"number": 0, "address": "{pve3}"}, {"number": 1, "address": "{ring3}"}],
}
TWO: list[Parameters] = [{"node": f"pve{number}", "address": f"{{pve{number}}}"} for number in (1, 2)]
ONE_LINK: list[Parameters] = [
    {"number": 0, "addresses": {"pve1": "{pve1}", "pve2": "{pve2}"}},
    {"number": 1, "state": "absent"},
]
OLD: Parameters = {"address": "192.0.2.99", "names": ["old.example.org"]}
FOR_CUSTOMERS: Parameters = {"node": "*", "handle": "ceph-squid-enterprise", "enabled": False}
COMPANY: Parameters = {
    "realm": "company",
    "type": "ldap",
    "server1": "127.0.0.1",
    "base_dn": "dc=example,dc=org",
    "user_attr": "uid",
}
LOOK = "monitor@pve!look"
ROOM: Parameters = {
    "storage": "backup",
    "type": "pbs",
    "server": "{pbs1}",
    "fingerprint": "{pbs_fingerprint1}",
    "datastore": "main",
    "namespace": "ha-lab",
    "username": "pve@pbs!ha-lab",
    "password_file": TOKEN + "pbs1-ha-lab",
    "content": ["backup"],
}

TURNS = (
    # a cluster
    reads("preflight"),
    Turn("cluster"),
    Turn("cluster_member", only=0),
    Turn("corosync_links", (("corosync_links", {"links": ONE_LINK, "nodes": TWO}),)),
    Turn("witness"),
    Turn("node_system"),
    Turn("node_network", check="the cards are those of the cluster's own networks"),
    reads(
        "cluster_info",
        ("witness", {"state": "absent", "nodes": TWO}),
        ("cluster_member", THIRD),
        ("users", {"users": [{"userid": "monitor@pve"}]}),
        ("api_tokens", {"tokens": [{"tokenid": LOOK, "secret_file": TOKEN + "look"}]}),
        ("acls", {"acls": [{"path": "/", "auth_id": who, "role": "PVEAuditor"} for who in ("monitor@pve", LOOK)]}),
    ),
    Turn("cluster_options", (("cluster_options", {"options": {"bwlimit": {"default": 1024}}}),)),
    # its nodes
    Turn("node_dns"),
    Turn("node_hosts", (("node_hosts", {"hosts": [{"node": "*", "entries": [OLD]}]}),)),
    Turn("node_time"),
    Turn("node_repositories"),
    Turn("apt_upgrade", (("node_repositories", {"repositories": [FOR_CUSTOMERS]}),), only=0, changes=False),
    Turn("apt_upgrade", only=1),
    Turn("node_subscription"),
    Turn("node_certificates"),
    Turn("acme_accounts", only=0, refused="letsencrypt"),
    Turn("acme_accounts", only=1, refused="ca.example.org"),
    Turn("acme_plugins"),
    Turn("acme_domains", check="ordering is another's business, but the account has to be registered"),
    Turn("acme_certificates", refused="no ACME domains"),
    Turn("node_power", refused="ipmitool"),
    # storage
    reads("disks_info"),
    Turn("zfs_pools"),
    Turn("ceph_install"),
    Turn("ceph_config"),
    Turn("ceph_monitors"),
    Turn("ceph_managers"),
    Turn("ceph_osds", only=0),
    Turn("ceph_osds", only=1, refused="there is no osd.4"),
    Turn("ceph_pools"),
    Turn("ceph_crush", check="it takes two of three hosts out of the pools' rule"),
    Turn("ceph_stretch", refused="pve4"),
    Turn(
        "storages",
        (("storages", {"storages": [{"storage": "trial", "type": "dir", "path": "/srv/trial"}]}),),
        only=0,
        refused="archive",
    ),
    Turn("storages", only=1),
    # guests
    Turn(
        "guest_migration",
        (("guests", {"guests": [{"vmid": 101, "node": "pve1", "memory": 64, "started": True}]}),),
    ),
    Turn("guests", (("guests", {"guests": [{"vmid": 101, "state": "absent", "destroy": True}]}),)),
    reads("guest_probe"),
    reads("failure_forecast"),
    reads("rebalance_plan"),
    reads("ha_eligibility"),
    Turn("pools"),
    Turn("replication_jobs", (("guests", {"guests": [tank(103, "pve1"), tank(104, "pve1"), tank(105, "pve2")]}),)),
    reads("replication_info", ("wait_for_rest", {"areas": ["replication"]})),
    # access, notifications, firewall
    Turn("roles"),
    Turn("groups"),
    Turn("users"),
    Turn("api_tokens"),
    Turn("acls"),
    Turn("realms"),
    Turn("realm_sync_jobs", (("realms", {"realms": [COMPANY]}),), refused="failed to connect"),
    Turn("metric_servers", refused="influx.example.com"),
    Turn("notification_endpoints"),
    Turn("notification_matchers"),
    Turn("firewall_aliases"),
    Turn("ip_sets"),
    Turn("security_groups"),
    Turn("firewall_rules"),
    Turn("firewall_options", check="SSH listens elsewhere than the example's rule says"),
    # backups
    Turn("pbs_datastores"),
    Turn("pbs_namespaces"),
    Turn("pbs_users"),
    Turn("pbs_tokens"),
    Turn("pbs_acls"),
    Turn("pbs_prune_jobs"),
    Turn("pbs_verify_jobs"),
    Turn("pbs_traffic_controls"),
    Turn("pbs_notification_endpoints"),
    Turn("pbs_notification_matchers"),
    Turn("backup", (("storages", {"storages": [ROOM]}),)),
    Turn("backup_jobs", (("guests", {"guests": [tank(106, "pve2")]}),)),
    reads("backup_info"),
    Turn(
        "pbs_remotes",
        (
            ("pbs_users", {"users": [{"userid": "sync@pbs"}]}),
            ("pbs_tokens", {"tokens": [{"tokenid": "sync@pbs!pbs2", "secret_file": TOKEN + "pbs1-sync"}]}),
            (
                "pbs_acls",
                {
                    "acls": [
                        {"path": "/datastore/main", "auth_id": who, "role": "DatastoreReader"}
                        for who in ("sync@pbs", "sync@pbs!pbs2")
                    ]
                },
            ),
        ),
    ),
    Turn(
        "pbs_sync_jobs",
        (("pbs_datastores", {"api_hosts": ["{pbs2}"], "datastores": [{"name": "main", "path": "/srv/main"}]}),),
    ),
    Turn("pbs_sync"),
    Turn("pbs_snapshots", changes=None),
    reads("pbs_info"),
    Turn("pbs_export"),
    Turn("restore"),
    Turn("restore_files", refused="301"),
    Turn("restore_test"),
    # what is done from day to day
    Turn("api_call", changes=None),
    reads("tasks_info"),
    Turn("export"),
    reads("report_data"),
    reads("run_plan"),
    reads("run_end"),
    reads("wait_for_rest"),
    Turn("ceph_flags"),
    reads("ceph_info"),
    # high availability: from here on watchdogs run
    Turn("ha_resources", (("ha_resources", {"resources": [{"sid": f"vm:{n}"} for n in (103, 104, 105)]}),)),
    Turn(
        "ha_rules",
        (("ha_resources", {"resources": [{"sid": "vm:103"}]}), ("ha_info", {"wait_for_rest": True})),
    ),
    Turn("ha_groups", (("ha_rules", {"rules": [], "purge": True, "purge_limit": "100%"}),)),
    reads("ha_info"),
    Turn("node_maintenance"),
    Turn("cluster_shutdown", check="the rest needs the site"),
    reads("cluster_startup"),
    Turn("drill", check="there is no management controller", changes=False),
    # and what goes wrong one day
    Turn("zfs_replace", (agentstack("fault", "disk", "pve2", "sdb", "remove"),)),
    Turn(
        "ceph_lost_node",
        (
            ("replication_jobs", {"jobs": [{"guest": 104, "target": "pve3", "state": "absent"}]}),
            # the replica goes first, which needs the node
            ("api_call", {"path": "/cluster/replication"}, "done.data | length == 1"),
            agentstack("power", "off", "pve3"),
            ("cluster_info", {}, "done.nodes | rejectattr('online') | list | length == 1"),
            ("ceph_info", {}, "done.osds.up < done.osds.total"),
        ),
    ),
    Turn("cluster_member", only=1),
)
"""Every module, in the order of a site's life."""
