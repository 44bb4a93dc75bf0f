# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`ceph` on a node: what administrators and roles type, with the JSON that they read (docs.ceph.com)."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from agentstack.ceph.documents import monmap
from agentstack.ceph.health import checks, overall
from agentstack.ceph.maps import ClusterMap
from agentstack.ceph.status import health, status, stored_in
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


def as_json(document: Any, text: str | None = None) -> Said:
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
    return as_json(document, "\n".join(lines))


@answers("health", "health detail")
async def _health(asked: Request) -> Said:
    found = checks(asked.cluster, asked.host.ceph.situation(asked.cluster))
    lines = [f"{overall(found)} {'; '.join(check.summary for check in found)}".rstrip()]
    for check in found if asked.words == ["detail"] else ():
        lines += [f"[{check.severity[7:]}] {check.code}: {check.summary}", *(f"    {line}" for line in check.detail)]
    return as_json(health(found), "\n".join(lines))


@answers("versions")
async def _versions(asked: Request) -> Said:
    cluster = asked.cluster
    name = f"ceph version {cluster.version} ({cluster.release}) {cluster.release} (stable)"
    counts = {"mon": len(cluster.monitors), "mgr": len(cluster.managers), "osd": len(cluster.osds)}
    document: dict[str, Any] = {kind: {name: count} for kind, count in counts.items() if count}
    document["overall"] = {name: sum(counts.values())}
    return as_json(document)


@answers("fsid")
async def _fsid(asked: Request) -> Said:
    return as_json({"fsid": asked.cluster.fsid}, asked.cluster.fsid)


@answers("df")
async def _df(asked: Request) -> Said:
    situation = asked.host.ceph.situation(asked.cluster)
    document = status(asked.cluster, situation, 0)["pgmap"]
    names = {"total_bytes": "bytes_total", "total_avail_bytes": "bytes_avail", "total_used_bytes": "bytes_used"}
    stats = {shown: document[name] for shown, name in names.items()}
    stats |= {"total_used_raw_bytes": stats["total_used_bytes"], "num_osds": len(asked.cluster.osds)}
    stats["total_used_raw_ratio"] = stats["total_used_bytes"] / stats["total_bytes"] if stats["total_bytes"] else 0.0
    stored, objects = stored_in(asked.cluster, situation), dict.fromkeys(asked.cluster.pools, 0)
    for name, (number, _) in situation.stats.items():
        if (pool := int(name.partition(".")[0])) in objects:
            objects[pool] += number
    pools: list[dict[str, Any]] = []
    for number, entry in asked.cluster.pools.items():
        free = document["bytes_avail"] // entry.size
        shown: dict[str, Any] = {
            "stored": stored[number],
            "objects": objects[number],
            "bytes_used": stored[number] * entry.size,
        }
        shown |= {"percent_used": stored[number] / (stored[number] + free) if free else 0.0, "max_avail": free}
        pools.append({"name": entry.name, "id": number, "stats": shown})
    lines = ["--- RAW STORAGE ---", "CLASS  SIZE  AVAIL  USED  RAW USED  %RAW USED"]
    size, avail, used = (
        f"{stats[name] >> 20} MiB" for name in ("total_bytes", "total_avail_bytes", "total_used_bytes")
    )
    lines += [f"TOTAL  {size}  {avail}  {used}  {used}  {stats['total_used_raw_ratio'] * 100:.2f}", ""]
    lines += ["--- POOLS ---", "POOL  ID  PGS  STORED  OBJECTS  USED  %USED  MAX AVAIL"]
    for row in pools:
        own, groups = row["stats"], asked.cluster.pools[row["id"]].pg_num
        lines.append(
            f"{row['name']}  {row['id']}  {groups}  {own['stored'] >> 20} MiB  {own['objects']}  "
            f"{own['bytes_used'] >> 20} MiB  {own['percent_used'] * 100:.2f}  {own['max_avail'] >> 20} MiB"
        )
    return as_json({"stats": stats, "pools": pools}, "\n".join(lines))


# --- monitors -----------------------------------------------------------------------------------------------------


@answers("mon dump")
async def _mon_dump(asked: Request) -> Said:
    document = monmap(asked.cluster, asked.host.ceph.group.quorum())
    lines = [f"fsid {asked.cluster.fsid}", f"election_strategy: {document['election_strategy']}"]
    lines += [f"{mon['rank']}: {mon['public_addr']} mon.{mon['name']}; crush_location {mon['crush_location']}"
              for mon in document["mons"]]  # fmt: skip
    return as_json(document, "\n".join(lines))


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
    return as_json(document)


@answers("mon ok-to-stop")
async def _mon_ok_to_stop(asked: Request) -> Said:
    left = asked.host.ceph.group.quorum() - {word.removeprefix("mon.") for word in asked.words}
    if 2 * len(left) <= len(asked.cluster.monitors):
        raise AgentError("Error EBUSY: not enough monitors would be available after stopping mons")
    return Said(note="quorum should be preserved after stopping")


@answers("mon remove", "mon rm")
async def _mon_remove(asked: Request) -> Said:
    """Out of the monitors' map only: ceph.conf stays as it is (Ceph's documentation, "Removing monitors")."""
    name = asked.words[0]
    monitor = asked.cluster.monitors.get(name)
    if monitor is None:
        return Said(note=f"mon.{name} does not exist or has already been removed")
    if len(asked.cluster.monitors) == 1:
        raise AgentError(f"Error EINVAL: error: refusing removal of last monitor {name}")
    left, address = len(asked.cluster.monitors) - 1, monitor.address
    await asked.do("monitor_remove", name=name)
    return Said(note=f"removing mon.{name} at [v2:{address}:3300/0,v1:{address}:6789/0], there will be {left} monitors")


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


@answers("mgr stat")
async def _mgr_stat(asked: Request) -> Said:
    active = asked.cluster.active_manager or ""
    there = active in asked.host.ceph.situation(asked.cluster).managers
    return as_json({"epoch": asked.cluster.epoch, "available": there, "active_name": active, "num_standby": max(
        0, len(asked.cluster.managers) - 1)})  # fmt: skip


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


_CONFIG_DEFAULTS = {
    **{"mon_allow_pool_size_one": "false", "mon_allow_pool_delete": "true", "mon_max_pg_per_osd": "250"},
    **{"mon_osd_down_out_interval": "600", "mon_osd_full_ratio": "0.950000", "osd_pool_default_size": "3"},
}
"""What those options are that the agents go by."""


@answers("config get")
async def _config_get(asked: Request) -> Said:
    """What is set for a daemon: its own, its kind's, everybody's, or the default."""
    who = asked.words[0]
    sections = ("global", who.partition(".")[0], who)
    found: dict[str, str] = {}
    for section in dict.fromkeys(sections):
        found |= asked.cluster.config.get(section, {})
    if asked.words[1:]:
        value = found.get(asked.words[1], _CONFIG_DEFAULTS.get(asked.words[1]))
        if value is None:
            raise AgentError(f"Error ENOENT: unrecognized key '{asked.words[1]}'")
        return as_json(value, value)
    rows = [f"{who}  {option}  {value}" for option, value in found.items()]
    return as_json(found, "\n".join(rows))


@answers("config dump")
async def _config_dump(asked: Request) -> Said:
    rows = [
        {"section": who, "name": option, "value": value, "level": "advanced", "mask": ""}
        for who, values in asked.cluster.config.items()
        for option, value in values.items()
    ]
    return as_json(rows, "\n".join(f"{row['section']} {row['name']} {row['value']}" for row in rows))
