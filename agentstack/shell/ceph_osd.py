# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`ceph osd …`: the OSDs and the cluster's flags (docs.ceph.com)."""

from __future__ import annotations

import json
import re

from agentstack.ceph.crush import hash_name
from agentstack.ceph.documents import osd_df, osd_dump, osd_tree
from agentstack.ceph.peering import all_groups, placement_groups
from agentstack.ceph.placement import seed_of
from agentstack.ceph.safety import ok_to_stop, safe_to_destroy
from agentstack.errors import AgentError
from agentstack.shell.ceph import Request, Said, answers, as_json

LOCAL_FLAGS = ("noup", "nodown", "noin", "noout")

# --- OSDs ---------------------------------------------------------------------------------------------------------


@answers("osd tree")
async def tree(asked: Request) -> Said:
    document = osd_tree(asked.cluster)
    lines = ["ID  CLASS  WEIGHT   TYPE NAME       STATUS  REWEIGHT"]
    tree = asked.cluster.tree()
    for node in document["nodes"]:
        weight = node["crush_weight"] if node["type"] == "osd" else tree.buckets[node["id"]].weight
        state = f"{node['status']:>6}  {node['reweight']:.5f}" if node["type"] == "osd" else ""
        name = node["name"] if node["type"] == "osd" else f"{node['type']} {node['name']}"
        lines.append(f"{node['id']:>3}  {node.get('device_class', ''):<5}  {weight:.5f}  {name:<20} {state}".rstrip())
    return as_json(document, "\n".join(lines))


@answers("osd dump")
async def _osd_dump(asked: Request) -> Said:
    return as_json(osd_dump(asked.cluster))


@answers("osd df")
async def _osd_df(asked: Request) -> Said:
    return as_json(osd_df(asked.cluster, asked.host.ceph.situation(asked.cluster)))


@answers("osd stat")
async def _osd_stat(asked: Request) -> Said:
    osds = asked.cluster.osds.values()
    up, included = sum(osd.up for osd in osds), sum(osd.included for osd in osds)
    document = {"epoch": asked.cluster.epoch, "num_osds": len(osds), "num_up_osds": up, "num_in_osds": included}
    return as_json(document, f"{len(osds)} osds: {up} up, {included} in; epoch: e{asked.cluster.epoch}")


@answers("osd ls")
async def _osd_ls(asked: Request) -> Said:
    numbers = sorted(asked.cluster.osds)
    return as_json(numbers, "\n".join(map(str, numbers)))


@answers("osd find")
async def _osd_find(asked: Request) -> Said:
    osd = asked.cluster.osds.get(asked.osds()[0])
    if osd is None:
        raise AgentError(f"Error ENOENT: osd.{asked.words[0]} does not exist")
    return as_json({"osd": osd.id, "host": osd.host, "crush_location": asked.cluster.location(osd.bucket)})


@answers("osd out")
async def _out(asked: Request) -> Said:
    return await _each(asked, "osd_out", "marked out osd.{number}. ")


@answers("osd in")
async def _in(asked: Request) -> Said:
    return await _each(asked, "osd_in", "marked in osd.{number}. ")


@answers("osd down")
async def _down(asked: Request) -> Said:
    numbers = asked.osds()
    for number in numbers:
        await asked.do("osd_down", number=number, now=asked.host.clock.now())
    asked.host.ceph.look()
    return Said(note="".join(f"marked down osd.{number}. " for number in numbers))


async def _each(asked: Request, name: str, text: str) -> Said:
    numbers = asked.osds()
    for number in numbers:
        if number not in asked.cluster.osds:
            raise AgentError(f"Error ENOENT: osd.{number} does not exist. ")
        await asked.do(name, number=number)
    return Said(note="".join(text.format(number=number) for number in numbers))


@answers("osd purge", "osd purge-new")
async def _purge(asked: Request) -> Said:
    if "yes-i-really-mean-it" not in asked.options:
        raise AgentError(
            "Error EPERM: Are you SURE?  Did you verify with 'ceph osd safe-to-destroy'?  This will PERMANENTLY "
            "DESTROY all data on that OSD.  Pass --yes-i-really-mean-it if you do."
        )
    number = asked.osds()[0]
    if number not in asked.cluster.osds:
        return Said(note=f"osd.{number} does not exist")
    if asked.cluster.osds[number].up:
        raise AgentError(f"Error EBUSY: osd.{number} is not `down`.")
    await asked.do("osd_purge", number=number)
    return Said(note=f"purged osd.{number}")


@answers("osd safe-to-destroy")
async def _safe(asked: Request) -> Said:
    numbers = asked.osds()
    why = safe_to_destroy(asked.cluster, asked.host.ceph.situation(asked.cluster), numbers)
    if why:
        raise AgentError(f"Error EBUSY: {why}")
    text = f"OSD(s) {','.join(map(str, numbers))} are safe to destroy without reducing data durability."
    return Said(text, {"safe_to_destroy": numbers, "active": [], "missing_stats": [], "stored_pgs": []})


@answers("osd ok-to-stop")
async def _ok_to_stop(asked: Request) -> Said:
    numbers = asked.osds()
    situation = asked.host.ceph.situation(asked.cluster)
    why = ok_to_stop(asked.cluster, situation, numbers)
    if why:
        raise AgentError(f"Error EBUSY: {why}")
    held = [group.name for group in all_groups(asked.cluster, situation.stats) if set(group.acting) & set(numbers)]
    document = {"ok_to_stop": True, "osds": numbers, "num_ok_pgs": len(held), "num_not_ok_pgs": 0}
    document["ok_become_degraded"] = held
    return as_json(document, json.dumps(document))


@answers("osd set")
async def _set(asked: Request) -> Said:
    await asked.do("flag", name=asked.words[0], value=True)
    return Said(note=f"{asked.words[0]} is set")


@answers("osd unset")
async def _unset(asked: Request) -> Said:
    await asked.do("flag", name=asked.words[0], value=False)
    return Said(note=f"{asked.words[0]} is unset")


@answers("osd set-group")
async def _set_group(asked: Request) -> Said:
    return await _local_flags(asked, value=True)


@answers("osd unset-group")
async def _unset_group(asked: Request) -> Said:
    return await _local_flags(asked, value=False)


async def _local_flags(asked: Request, *, value: bool) -> Said:
    """Flags of some OSDs, buckets or device classes alone (docs.ceph.com, "Monitoring OSDs and PGs")."""
    names, places = asked.words[0].split(","), []
    for name in names:
        if name not in LOCAL_FLAGS:
            raise AgentError(f"Error EINVAL: unrecognized flag '{name}', must be one of {{noup,nodown,noin,noout}}")
    cluster = asked.cluster
    known = {bucket.name for bucket in cluster.buckets.values()} | {osd.device_class for osd in cluster.osds.values()}
    for word in asked.words[1:]:
        number = re.fullmatch(r"(?:osd\.)?(\d+)", word)
        if word not in known and (number is None or int(number[1]) not in cluster.osds):
            raise AgentError(f"Error EINVAL: unable to parse osd id or crush node or device class: '{word}'.")
        places.append(f"osd.{number[1]}" if number else word)
    if not places:
        raise AgentError("Error EINVAL: must specify at least one or more targets.")
    await asked.do("local_flags", places=places, names=names, value=value)
    return Said()


@answers("osd map")
async def _map(asked: Request) -> Said:
    pool = asked.cluster.pool(asked.words[0])
    if pool is None:
        raise AgentError(f"Error ENOENT: pool {asked.words[0]} does not exist")
    name = asked.words[1]
    group = placement_groups(asked.cluster, pool)[seed_of(name, pool.pg_num)]
    document = {
        **{"epoch": asked.cluster.epoch, "pool": pool.name, "pool_id": pool.id, "objname": name},
        **{"raw_pgid": f"{pool.id}.{hash_name(name):x}", "pgid": group.name, "up": list(group.up)},
        **{"acting": list(group.acting), "acting_primary": group.acting[0] if group.acting else -1},
    }
    return as_json(document)
