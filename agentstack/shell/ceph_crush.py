# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`ceph osd pool …`, `ceph pg …`, `ceph osd crush …` (docs.ceph.com)."""

from __future__ import annotations

from agentstack.ceph import crush_file, crush_text
from agentstack.ceph.crush_commands import rule_document
from agentstack.ceph.documents import osd_dump, pg_dump
from agentstack.ceph.maps import Pool
from agentstack.ceph.status import status, stored_in
from agentstack.errors import AgentError
from agentstack.shell.ceph import Request, Said, answers, as_json
from agentstack.shell.ceph_osd import tree

# --- pools and placement groups -----------------------------------------------------------------------------------


@answers("osd pool ls", "osd lspools")
async def _pools(asked: Request) -> Said:
    names = [pool.name for pool in asked.cluster.pools.values()]
    if asked.words == ["detail"]:
        return as_json(osd_dump(asked.cluster)["pools"])
    return as_json(names, "\n".join(names))


_POOL_KEYS = {"size": "size", "min_size": "min_size", "pg_num": "pg_num", "crush_rule": "crush_rule"}


def _pool(asked: Request, name: str) -> Pool:
    pool = asked.cluster.pool(name)
    if pool is None:
        raise AgentError(f"Error ENOENT: unrecognized pool '{name}'")
    return pool


@answers("osd pool get")
async def _pool_get(asked: Request) -> Said:
    pool = _pool(asked, asked.words[0])
    rule = asked.cluster.rules[pool.rule].name
    values = {"size": pool.size, "min_size": pool.min_size, "pg_num": pool.pg_num, "crush_rule": rule}
    values |= {"pgp_num": pool.placed, "pg_autoscale_mode": pool.autoscale_mode}
    values |= {"pg_num_min": pool.pg_num_min, "target_size_bytes": pool.target_size}
    values |= {"target_size_ratio": pool.target_size_ratio}
    key = asked.words[1]
    if key == "all":
        values = {name: value for name, value in values.items() if value is not None}
        lines = [f"{name}: {value}" for name, value in values.items()]
        return as_json({"pool": pool.name, "pool_id": pool.id, **values}, "\n".join(lines))
    if key not in values:
        raise AgentError(f"Error EINVAL: invalid command: {key}")
    if values[key] is None:
        raise AgentError(f"Error ENOENT: option '{key}' is not set on pool '{pool.name}'")
    return as_json({"pool": pool.name, "pool_id": pool.id, key: values[key]}, f"{key}: {values[key]}")


@answers("osd pool set")
async def _pool_set(asked: Request) -> Said:
    name, key, value = asked.words
    if key == "pg_autoscale_mode":
        await asked.do("pool_set", name=name, autoscale_mode=value)
    elif key == "size" and value == "1" and "yes-i-really-mean-it" not in asked.options:
        raise AgentError(
            "Error EPERM: WARNING: setting pool size 1 could lead to data loss without recovery. "
            "If you are *ABSOLUTELY CERTAIN* that is what you want, pass the flag --yes-i-really-mean-it."
        )
    elif key in _POOL_KEYS:
        await asked.do("pool_set", name=name, **{key: value if key == "crush_rule" else int(value)})
    else:
        raise AgentError(f"Error EINVAL: invalid command: {key}")
    pool = asked.cluster.pool(name)
    return Said(note=f"set pool {pool.id if pool else ''} {key} to {value}")


@answers("pg dump", "pg ls")
async def _pg_dump(asked: Request) -> Said:
    return as_json(pg_dump(asked.cluster, asked.host.ceph.situation(asked.cluster)))


@answers("pg stat")
async def _pg_stat(asked: Request) -> Said:
    found = status(asked.cluster, asked.host.ceph.situation(asked.cluster), 0)["pgmap"]
    states = [{"name": row["state_name"], "num": row["count"]} for row in found["pgs_by_state"]]
    summary = {"num_pg_by_state": states, "num_pgs": found["num_pgs"], "num_bytes": found["data_bytes"]}
    summary |= {"total_bytes": found["bytes_total"], "total_avail_bytes": found["bytes_avail"]}
    summary |= {"total_used_bytes": found["bytes_used"]}
    counted = ", ".join(f"{row['num']} {row['name']}" for row in states)
    text = f"{found['num_pgs']} pgs: {counted}; "
    text += f"{found['data_bytes']} B data, {found['bytes_used'] >> 20} MiB used, {found['bytes_avail'] >> 30} GiB / "
    return as_json({"pg_ready": True, "pg_summary": summary}, f"{text}{found['bytes_total'] >> 30} GiB avail")


@answers("osd pool autoscale-status")
async def _autoscale(asked: Request) -> Said:
    """The pools' settings; no new numbers of groups are worked out here, so none are proposed."""
    stored = stored_in(asked.cluster, asked.host.ceph.situation(asked.cluster))
    capacity = sum(osd.size for osd in asked.cluster.osds.values() if osd.included)
    rows = [
        {
            **{"pool_name": pool.name, "pool_id": pool.id, "logical_used": stored[pool.id]},
            **{"target_bytes": pool.target_size or 0, "raw_used_rate": float(pool.size), "subtree_capacity": capacity},
            **{"capacity_ratio": stored[pool.id] * pool.size / capacity if capacity else 0.0},
            **{"target_ratio": pool.target_size_ratio or 0.0, "bias": 1.0, "pg_num_target": pool.pg_num},
            **{"pg_num_ideal": pool.pg_num, "pg_num_final": pool.pg_num_target or pool.pg_num},
            **{"pg_autoscale_mode": pool.autoscale_mode, "would_adjust": False, "bulk": False},
        }
        for pool in asked.cluster.pools.values()
    ]
    lines = ["POOL SIZE TARGET SIZE RATE RAW CAPACITY RATIO TARGET RATIO PG_NUM AUTOSCALE"]
    lines += [
        f"{row['pool_name']} {row['logical_used']} {row['target_bytes'] or ''} {row['raw_used_rate']} {capacity} "
        f"{row['capacity_ratio']:.4f} {row['target_ratio'] or ''} {row['pg_num_target']} {row['pg_autoscale_mode']}"
        for row in rows
    ]
    return as_json(rows, "\n".join(lines))


@answers("osd pool application get")
async def _applications(asked: Request) -> Said:
    found: dict[str, dict[str, dict[str, str]]] = {
        pool.name: {name: {} for name in pool.applications} for pool in asked.cluster.pools.values()
    }
    if not asked.words:
        return as_json(found)
    return as_json(found[_pool(asked, asked.words[0]).name])


@answers("osd pool application enable")
async def _application(asked: Request) -> Said:
    name, application = asked.words
    pool = _pool(asked, name)
    if pool.applications and application not in pool.applications and "yes-i-really-mean-it" not in asked.options:
        raise AgentError(
            f"Error EPERM: Are you SURE? Pool '{name}' already has an enabled application; pass --yes-i-really-mean-it "
            "to proceed anyway"
        )
    await asked.do("pool_set", name=name, applications=sorted({*pool.applications, application}))
    return Said(note=f"enabled application '{application}' on pool '{name}'")


# --- CRUSH --------------------------------------------------------------------------------------------------------


@answers("osd crush tree")
async def _crush_tree(asked: Request) -> Said:
    return await tree(asked)


@answers("osd crush add-bucket")
async def _add_bucket(asked: Request) -> Said:
    name, kind, *_ = asked.words
    return Said(note=await asked.do("crush_add_bucket", name=name, type=kind, location=asked.location(2)))


@answers("osd crush move")
async def _move(asked: Request) -> Said:
    return Said(note=await asked.do("crush_move", name=asked.words[0], location=asked.location(1)))


@answers("osd crush rm", "osd crush remove")
async def _crush_remove(asked: Request) -> Said:
    return Said(note=await asked.do("crush_remove", name=asked.words[0]))


@answers("osd crush reweight")
async def _reweight(asked: Request) -> Said:
    number = int(asked.words[0].removeprefix("osd."))
    return Said(note=await asked.do("crush_reweight", number=number, weight=float(asked.words[1])))


@answers("osd crush class ls")
async def _classes(asked: Request) -> Said:
    found = sorted({osd.device_class for osd in asked.cluster.osds.values()})
    return as_json(found)


@answers("osd crush set-device-class")
async def _set_class(asked: Request) -> Said:
    device_class, asked.words = asked.words[0], asked.words[1:]
    for number in asked.osds():
        await asked.do("osd_class", number=number, device_class=device_class)
    return Said(note=f"set osd(s) {','.join(map(str, asked.osds()))} to class '{device_class}'")


@answers("osd crush rule ls")
async def _rules(asked: Request) -> Said:
    names = [rule.name for rule in asked.cluster.rules.values()]
    return as_json(names, "\n".join(names))


@answers("osd crush rule dump")
async def _rule_dump(asked: Request) -> Said:
    documents = [rule_document(rule, asked.cluster) for rule in asked.cluster.rules.values()]
    if not asked.words:
        return as_json(documents)
    found = [each for each in documents if each["rule_name"] == asked.words[0]]
    if not found:
        raise AgentError(f"Error ENOENT: unknown crush rule '{asked.words[0]}'")
    return as_json(found[0])


@answers("osd crush rule create-replicated")
async def _rule_create(asked: Request) -> Said:
    name, root, domain, *device_class = asked.words
    known = asked.cluster.rule(name) is not None
    given = device_class[0] if device_class else None
    await asked.do("rule_create", name=name, root=root, domain=domain, device_class=given)
    return Said(note=f"rule {name} already exists" if known else "")


@answers("osd crush rule rm")
async def _rule_remove(asked: Request) -> Said:
    known = asked.cluster.rule(asked.words[0]) is not None
    await asked.do("rule_remove", name=asked.words[0])
    return Said(note="" if known else f"rule {asked.words[0]} does not exist")


@answers("osd getcrushmap")
async def _get_map(asked: Request) -> Said:
    crush_file.write(asked.host, asked.options["out"], crush_text.render(asked.cluster))
    return Said(note=str(asked.cluster.epoch))


@answers("osd setcrushmap")
async def _set_map(asked: Request) -> Said:
    text = crush_file.read(asked.host, asked.options["in"])
    return Said(note=str(await asked.do("crush_set_map", text=text)))
