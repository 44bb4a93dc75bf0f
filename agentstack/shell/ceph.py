# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`ceph` on a node: what administrators and roles type, with the JSON that they read (docs.ceph.com)."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from agentstack.ceph import crush_file, crush_text
from agentstack.ceph.crush import hash_name
from agentstack.ceph.crush_commands import rule_document
from agentstack.ceph.documents import monmap, osd_df, osd_dump, osd_tree, pg_dump
from agentstack.ceph.health import checks, overall
from agentstack.ceph.maps import ClusterMap
from agentstack.ceph.peering import placement_groups
from agentstack.ceph.placement import seed_of
from agentstack.ceph.safety import ok_to_stop, safe_to_destroy
from agentstack.ceph.status import health, status
from agentstack.errors import AgentError
from agentstack.host import Host
from agentstack.shell.registry import CommandIO, command


@dataclass
class Request:
    """One command: `words` after its name, `cluster`: the maps, options as `--yes-i-really-mean-it`, `-o FILE`."""

    host: Host
    cluster: ClusterMap
    words: list[str]
    options: dict[str, str] = field(default_factory=dict)

    async def do(self, name: str, /, **arguments: Any) -> Any:
        """Have the monitors carry out a command."""
        return await self.host.ceph.group.execute(name, **arguments)

    def osds(self) -> list[int]:
        """The OSDs that the words name: `3`, `osd.3`, `all`, separated by blanks or commas."""
        found: list[int] = []
        for word in ",".join(self.words).split(","):
            if word in ("all", "any", "*"):
                return sorted(self.cluster.osds)
            number = re.fullmatch(r"(?:osd\.)?(\d+)", word)
            if number is None:
                raise AgentError(f"Error EINVAL: invalid osd id {word}")
            found.append(int(number[1]))
        return found

    def location(self, start: int) -> dict[str, str]:
        """`type=name` words from there on."""
        pairs = [word.partition("=") for word in self.words[start:]]
        if any(not equals for _, equals, _ in pairs):
            raise AgentError("Error EINVAL: invalid location")
        return {kind: name for kind, _, name in pairs}


@dataclass(frozen=True)
class Said:
    """An answer: `data` for `--format json`, `text` without; `note` goes to stderr as with the real client."""

    text: str = ""
    data: Any = None
    note: str = ""
    status: int = 0


Answer = Callable[[Request], Awaitable[Said]]
ANSWERS: dict[str, Answer] = {}


def answers(*names: str) -> Callable[[Answer], Answer]:
    """Register what answers commands that begin with these words."""

    def register(function: Answer) -> Answer:
        for name in names:
            ANSWERS[name] = function
        return function

    return register


_VALUED = {"-f": "format", "--format": "format", "-o": "out", "--out-file": "out", "-i": "in", "--in-file": "in"}


@command("ceph")
async def ceph(host: Host, argv: list[str], io: CommandIO) -> int:
    """Every command of the table, `--format json` where the answer is data."""
    if host.ceph.installed is None:
        io.err("bash: ceph: command not found\n")
        return 127
    words, options = _options(argv)
    if "version" in options and not words:
        io.out(f"ceph version {host.ceph.version} ({host.ceph.installed}) {host.ceph.installed} (stable)\n")
        return 0
    words = ["status", *words] if "s" in options else words
    name = next((" ".join(words[:n]) for n in range(4, 0, -1) if " ".join(words[:n]) in ANSWERS), None)
    if name is None:
        io.err("no valid command found\nError EINVAL: invalid command\n")
        return 22
    try:
        cluster = await host.ceph.maps()
        said = await ANSWERS[name](Request(host, cluster, words[len(name.split()) :], options))
    except AgentError as error:
        text = error.message if error.message.startswith("Error ") else f"Error EINVAL: {error.message}"
        io.err(f"{'Error connecting to cluster: ' + error.message if error.message == 'got timeout' else text}\n")
        return 1 if error.message == "got timeout" else _ERRNO.get(text.split()[1].rstrip(":"), 22)
    except (IndexError, ValueError):
        io.err("Invalid command: missing or wrong parameters\nError EINVAL: invalid command\n")
        return 22
    if said.note:
        io.err(said.note + "\n")
    if options.get("format", "plain").startswith("json") and said.data is not None:
        io.out("\n" + json.dumps(said.data, indent=4 if options["format"] == "json-pretty" else None) + "\n")
    elif said.text:
        io.out(said.text + "\n")
    return said.status


_ERRNO = {"EPERM": 1, "ENOENT": 2, "EAGAIN": 11, "EBUSY": 16, "EEXIST": 17, "EINVAL": 22, "ENOTEMPTY": 39}


def _options(argv: list[str]) -> tuple[list[str], dict[str, str]]:
    words: list[str] = []
    options: dict[str, str] = {}
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word in _VALUED and rest:
            options[_VALUED[word]] = rest.pop(0)
        elif word.startswith("--") and "=" in word:
            name, _, value = word[2:].partition("=")
            options[name] = value
        elif word.startswith("-") and not re.fullmatch(r"-\d+(\.\d+)?", word):
            options[word.lstrip("-")] = "1"
        else:
            words.append(word)
    return words, options


def _json(document: Any, text: str | None = None) -> Said:
    return Said(json.dumps(document, indent=4) if text is None else text, document)


# --- the cluster as a whole ---------------------------------------------------------------------------------------


@answers("status")
async def _status(asked: Request) -> Said:
    cluster = asked.cluster
    document = status(cluster, asked.host.ceph.situation(cluster), asked.host.clock.now())
    osds = document["osdmap"]
    lines = [
        *("  cluster:", f"    id:     {cluster.fsid}", f"    health: {document['health']['status']}"),
        *(f"            {check['summary']['message']}" for check in document["health"]["checks"].values()),
        *("", "  services:"),
        f"    mon: {len(cluster.monitors)} daemons, quorum {','.join(document['quorum_names'])}",
        f"    mgr: {cluster.active_manager or 'no daemons active'}(active)",
        f"    osd: {osds['num_osds']} osds: {osds['num_up_osds']} up, {osds['num_in_osds']} in",
        *("", "  data:", f"    pools:   {len(cluster.pools)} pools, {document['pgmap']['num_pgs']} pgs"),
        f"    objects: {document['pgmap']['num_objects']} objects, {document['pgmap']['data_bytes']} B",
        *(f"    pgs:     {row['count']} {row['state_name']}" for row in document["pgmap"]["pgs_by_state"]),
    ]
    return _json(document, "\n".join(lines))


@answers("health", "health detail")
async def _health(asked: Request) -> Said:
    found = checks(asked.cluster, asked.host.ceph.situation(asked.cluster))
    lines = [f"{overall(found)} {'; '.join(check.summary for check in found)}".rstrip()]
    for check in found if asked.words == ["detail"] else ():
        lines += [f"[{check.severity[7:]}] {check.code}: {check.summary}", *(f"    {line}" for line in check.detail)]
    return _json(health(found), "\n".join(lines))


@answers("versions")
async def _versions(asked: Request) -> Said:
    cluster = asked.cluster
    name = f"ceph version {cluster.version} ({cluster.release}) {cluster.release} (stable)"
    counts = {"mon": len(cluster.monitors), "mgr": len(cluster.managers), "osd": len(cluster.osds)}
    document: dict[str, Any] = {kind: {name: count} for kind, count in counts.items() if count}
    document["overall"] = {name: sum(counts.values())}
    return _json(document)


@answers("fsid")
async def _fsid(asked: Request) -> Said:
    return _json({"fsid": asked.cluster.fsid}, asked.cluster.fsid)


@answers("df")
async def _df(asked: Request) -> Said:
    document = status(asked.cluster, asked.host.ceph.situation(asked.cluster), 0)["pgmap"]
    names = {"total_bytes": "bytes_total", "total_avail_bytes": "bytes_avail", "total_used_raw_bytes": "bytes_used"}
    return _json({"stats": {shown: document[name] for shown, name in names.items()}})


# --- monitors -----------------------------------------------------------------------------------------------------


@answers("mon dump")
async def _mon_dump(asked: Request) -> Said:
    document = monmap(asked.cluster, asked.host.ceph.group.quorum())
    lines = [f"fsid {asked.cluster.fsid}", f"election_strategy: {document['election_strategy']}"]
    lines += [f"{mon['rank']}: {mon['public_addr']} mon.{mon['name']}; crush_location {mon['crush_location']}"
              for mon in document["mons"]]  # fmt: skip
    return _json(document, "\n".join(lines))


@answers("mon stat", "quorum_status")
async def _quorum(asked: Request) -> Said:
    group = asked.host.ceph.group
    names = sorted(group.quorum())
    leader = next((name for name, mon in asked.cluster.monitors.items() if mon.host == group.leader_host), "")
    document = {
        "quorum_names": names,
        "quorum_leader_name": leader,
        "monmap": monmap(asked.cluster, group.quorum()),
    }
    return _json(document)


@answers("mon ok-to-stop")
async def _mon_ok_to_stop(asked: Request) -> Said:
    left = asked.host.ceph.group.quorum() - {word.removeprefix("mon.") for word in asked.words}
    if 2 * len(left) <= len(asked.cluster.monitors):
        raise AgentError("Error EBUSY: not enough monitors would be available after stopping mons")
    return Said(note="quorum should be preserved after stopping")


@answers("mon set_location")
async def _set_location(asked: Request) -> Said:
    await asked.do("monitor_location", name=asked.words[0], location=asked.location(1))
    return Said()


@answers("mon set election_strategy")
async def _strategy(asked: Request) -> Said:
    await asked.do("election_strategy", strategy=asked.words[0])
    return Said()


@answers("mon enable_stretch_mode")
async def _stretch(asked: Request) -> Said:
    tiebreaker, rule, kind = asked.words
    await asked.do("stretch_enable", tiebreaker=tiebreaker, rule=rule, type=kind)
    return Said()


# --- OSDs ---------------------------------------------------------------------------------------------------------


@answers("osd tree")
async def _tree(asked: Request) -> Said:
    document = osd_tree(asked.cluster)
    lines = ["ID  CLASS  WEIGHT   TYPE NAME       STATUS  REWEIGHT"]
    tree = asked.cluster.tree()
    for node in document["nodes"]:
        weight = node["crush_weight"] if node["type"] == "osd" else tree.buckets[node["id"]].weight
        state = f"{node['status']:>6}  {node['reweight']:.5f}" if node["type"] == "osd" else ""
        name = node["name"] if node["type"] == "osd" else f"{node['type']} {node['name']}"
        lines.append(f"{node['id']:>3}  {node.get('device_class', ''):<5}  {weight:.5f}  {name:<20} {state}".rstrip())
    return _json(document, "\n".join(lines))


@answers("osd dump")
async def _osd_dump(asked: Request) -> Said:
    return _json(osd_dump(asked.cluster))


@answers("osd df")
async def _osd_df(asked: Request) -> Said:
    return _json(osd_df(asked.cluster, asked.host.ceph.situation(asked.cluster)))


@answers("osd stat")
async def _osd_stat(asked: Request) -> Said:
    osds = asked.cluster.osds.values()
    up, included = sum(osd.up for osd in osds), sum(osd.included for osd in osds)
    document = {"epoch": asked.cluster.epoch, "num_osds": len(osds), "num_up_osds": up, "num_in_osds": included}
    return _json(document, f"{len(osds)} osds: {up} up, {included} in; epoch: e{asked.cluster.epoch}")


@answers("osd ls")
async def _osd_ls(asked: Request) -> Said:
    numbers = sorted(asked.cluster.osds)
    return _json(numbers, "\n".join(map(str, numbers)))


@answers("osd find")
async def _osd_find(asked: Request) -> Said:
    osd = asked.cluster.osds.get(asked.osds()[0])
    if osd is None:
        raise AgentError(f"Error ENOENT: osd.{asked.words[0]} does not exist")
    return _json({"osd": osd.id, "host": osd.host, "crush_location": asked.cluster.location(osd.bucket)})


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
    why = ok_to_stop(asked.cluster, asked.host.ceph.situation(asked.cluster), numbers)
    if why:
        raise AgentError(f"Error EBUSY: {why}")
    document = {"ok_to_stop": True, "osds": numbers, "num_ok_pgs": 0, "num_not_ok_pgs": 0}
    return _json(document, json.dumps(document))


@answers("osd set")
async def _set(asked: Request) -> Said:
    await asked.do("flag", name=asked.words[0], value=True)
    return Said(note=f"{asked.words[0]} is set")


@answers("osd unset")
async def _unset(asked: Request) -> Said:
    await asked.do("flag", name=asked.words[0], value=False)
    return Said(note=f"{asked.words[0]} is unset")


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
    return _json(document)


# --- pools and placement groups -----------------------------------------------------------------------------------


@answers("osd pool ls", "osd lspools")
async def _pools(asked: Request) -> Said:
    names = [pool.name for pool in asked.cluster.pools.values()]
    if asked.words == ["detail"]:
        return _json(osd_dump(asked.cluster)["pools"])
    return _json(names, "\n".join(names))


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
    return _json({"pool": pool.name, "pool_id": pool.id, key: values[key]}, f"{key}: {values[key]}")


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
    return _json(pg_dump(asked.cluster, asked.host.ceph.situation(asked.cluster)))


@answers("pg stat")
async def _pg_stat(asked: Request) -> Said:
    rows = pg_dump(asked.cluster, asked.host.ceph.situation(asked.cluster))["pg_map"]["pg_stats"]
    return _json({"num_pgs": len(rows), "num_pg_by_state": sorted({row["state"] for row in rows})})


# --- CRUSH --------------------------------------------------------------------------------------------------------


@answers("osd crush tree")
async def _crush_tree(asked: Request) -> Said:
    return await _tree(asked)


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
    return _json(found)


@answers("osd crush set-device-class")
async def _set_class(asked: Request) -> Said:
    device_class, asked.words = asked.words[0], asked.words[1:]
    for number in asked.osds():
        await asked.do("osd_class", number=number, device_class=device_class)
    return Said(note=f"set osd(s) {','.join(map(str, asked.osds()))} to class '{device_class}'")


@answers("osd crush rule ls")
async def _rules(asked: Request) -> Said:
    names = [rule.name for rule in asked.cluster.rules.values()]
    return _json(names, "\n".join(names))


@answers("osd crush rule dump")
async def _rule_dump(asked: Request) -> Said:
    documents = [rule_document(rule, asked.cluster) for rule in asked.cluster.rules.values()]
    if not asked.words:
        return _json(documents)
    found = [each for each in documents if each["rule_name"] == asked.words[0]]
    if not found:
        raise AgentError(f"Error ENOENT: unknown crush rule '{asked.words[0]}'")
    return _json(found[0])


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


# --- configuration ------------------------------------------------------------------------------------------------


@answers("config set")
async def _config_set(asked: Request) -> Said:
    who, option, value = asked.words
    await asked.do("config_set", who=who, option=option, value=value)
    return Said()


@answers("config rm")
async def _config_remove(asked: Request) -> Said:
    who, option = asked.words
    await asked.do("config_set", who=who, option=option, value=None)
    return Said()


@answers("config dump")
async def _config_dump(asked: Request) -> Said:
    rows = [
        {"section": who, "name": option, "value": value, "level": "advanced", "mask": ""}
        for who, values in asked.cluster.config.items()
        for option, value in values.items()
    ]
    return _json(rows, "\n".join(f"{row['section']} {row['name']} {row['value']}" for row in rows))
