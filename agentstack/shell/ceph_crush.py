# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`ceph osd pool …`, `ceph pg …`, `ceph osd crush …` (docs.ceph.com)."""

from __future__ import annotations

from agentstack.ceph import crush_file, crush_text
from agentstack.ceph.crush_commands import rule_document
from agentstack.ceph.documents import osd_dump, pg_dump
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


@answers("osd pool get")
async def _pool_get(asked: Request) -> Said:
    pool = asked.cluster.pool(asked.words[0])
    if pool is None:
        raise AgentError(f"Error ENOENT: unrecognized pool '{asked.words[0]}'")
    rule = asked.cluster.rules[pool.rule].name
    values = {"size": pool.size, "min_size": pool.min_size, "pg_num": pool.pg_num, "crush_rule": rule}
    values |= {"pgp_num": pool.placed, "pg_autoscale_mode": pool.autoscale_mode}
    key = asked.words[1]
    if key not in values:
        raise AgentError(f"Error EINVAL: invalid command: {key}")
    return as_json({"pool": pool.name, "pool_id": pool.id, key: values[key]}, f"{key}: {values[key]}")


@answers("osd pool set")
async def _pool_set(asked: Request) -> Said:
    name, key, value = asked.words
    if key == "pg_autoscale_mode":
        await asked.do("pool_set", name=name, autoscale_mode=value)
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
    rows = pg_dump(asked.cluster, asked.host.ceph.situation(asked.cluster))["pg_map"]["pg_stats"]
    return as_json({"num_pgs": len(rows), "num_pg_by_state": sorted({row["state"] for row in rows})})


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
