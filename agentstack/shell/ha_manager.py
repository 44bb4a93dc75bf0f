# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ha-manager (observed: commands, HA time line; facts §7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentstack.errors import AgentError
from agentstack.manager import config
from agentstack.shell.api_command import ApiCommand, run, usage
from agentstack.shell.exit_status import FAILED
from agentstack.shell.output import pretty, table
from agentstack.shell.registry import CommandIO, command

if TYPE_CHECKING:
    from agentstack.host import Host

_EXISTS = 17
"""Exit status of an error that a call met (observed: `ha-manager add vm:999`)."""

_CONFIG_KEYS = ("sid", "type", "digest")


def _show_config(rows: list[dict[str, Any]]) -> str:
    text = ""
    for row in sorted(rows, key=lambda row: str(row["sid"])):
        options = {key: value for key, value in row.items() if key not in _CONFIG_KEYS}
        text += f"{row['sid']}\n" + "".join(f"\t{key} {options[key]}\n" for key in sorted(options)) + "\n"
    return text


def _show_groups(rows: list[dict[str, Any]]) -> str:
    text = ""
    for row in sorted(rows, key=lambda row: str(row["group"])):
        options = {key: value for key, value in row.items() if key not in ("group", "type", "digest")}
        text += f"group: {row['group']}\n" + "".join(f"\t{key} {options[key]}\n" for key in sorted(options)) + "\n"
    return text


def _show_rules(rows: list[dict[str, Any]]) -> str:
    return table(rows, ["rule"]) if rows else ""


_RESOURCE = "/cluster/ha/resources/{sid}"
_RULE = "/cluster/ha/rules/{rule}"
_GROUP = "/cluster/ha/groups/{group}"

TABLE = {
    "config": ApiCommand("GET", "/cluster/ha/resources", show=_show_config),
    "add": ApiCommand("POST", "/cluster/ha/resources", ("sid",)),
    "set": ApiCommand("PUT", _RESOURCE, ("sid",)),
    "remove": ApiCommand("DELETE", _RESOURCE, ("sid",)),
    "migrate": ApiCommand("POST", f"{_RESOURCE}/migrate", ("sid", "node"), show=lambda answer: ""),
    "relocate": ApiCommand("POST", f"{_RESOURCE}/relocate", ("sid", "node"), show=lambda answer: ""),
    "crm-command migrate": ApiCommand("POST", f"{_RESOURCE}/migrate", ("sid", "node"), show=lambda answer: ""),
    "crm-command relocate": ApiCommand("POST", f"{_RESOURCE}/relocate", ("sid", "node"), show=lambda answer: ""),
    "crm-command disarm-ha": ApiCommand("POST", "/cluster/ha/status/disarm-ha", ("resource-mode",)),
    "crm-command arm-ha": ApiCommand("POST", "/cluster/ha/status/arm-ha"),
    "rules list": ApiCommand("GET", "/cluster/ha/rules", show=_show_rules),
    "rules config": ApiCommand("GET", "/cluster/ha/rules", show=_show_rules),
    "rules add": ApiCommand("POST", "/cluster/ha/rules", ("type", "rule")),
    "rules set": ApiCommand("PUT", _RULE, ("type", "rule")),
    "rules remove": ApiCommand("DELETE", _RULE, ("rule",)),
    "groupconfig": ApiCommand("GET", "/cluster/ha/groups", show=_show_groups),
    "groupadd": ApiCommand("POST", "/cluster/ha/groups", ("group",)),
    "groupset": ApiCommand("PUT", _GROUP, ("group",)),
    "groupremove": ApiCommand("DELETE", _GROUP, ("group",)),
}


@command("ha-manager")
async def ha_manager(host: Host, argv: list[str], io: CommandIO) -> int:
    match argv:
        case ["status", *options]:
            return _status(host, options, io)
        case ["crm-command", "stop", sid, timeout] if timeout.isdigit():
            await host.manager.queue(f"stop {config.sid_of(host, sid)} {timeout}")
            return 0
        case ["crm-command", "node-maintenance", "enable" | "disable" as action, node]:
            return await _maintenance(host, action, node, io)
        case []:
            io.err(f"ERROR: no command specified\n{usage('ha-manager', TABLE)}")
            return FAILED
    try:
        return await run(host, "ha-manager", TABLE, argv, io)
    except AgentError as error:
        io.err(f"{error.message}\n")
        return _EXISTS


def _status(host: Host, options: list[str], io: CommandIO) -> int:
    for row in host.manager.current():
        kind, status = row["type"], row["status"]
        io.out(f"{kind} {status}\n")
    if "--verbose" in options or "-verbose" in options:
        io.out(f"full cluster state:\n{pretty(host.manager.full_status())}")
    return 0


async def _maintenance(host: Host, action: str, node: str, io: CommandIO) -> int:
    if node not in {known.name for known in host.cluster.nodes()}:
        io.err(f"no such cluster node '{node}'\n")
        return FAILED
    await host.manager.queue(f"{action}-node-maintenance {node}")
    return 0
