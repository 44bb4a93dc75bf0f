# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Proxmox VE and Proxmox Backup Server speak HTTP differently (facts §1, §20.1, §20.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentstack.api.endpoint import Registry, pbs, pve
from agentstack.api.parameters import PVE as PVE_WORDS
from agentstack.api.parameters import Words
from agentstack.api.reply import PBS_WRITERS, PVE_WRITERS, Reply, Writer
from agentstack.errors import AgentError, ParameterError


@dataclass(frozen=True)
class Dialect:
    """One product's manner.

    `error_status` is that of a plain error, `cookies` and `token_scheme` are where credentials come from,
    `token_separator` stands between a token and its secret, `tables` names the declarations by major release.
    """

    port: int
    server: str
    cookies: tuple[str, ...]
    token_scheme: str
    token_separator: str
    half_ticket: str
    error_status: int
    registry: Registry
    words: Words
    writers: Mapping[str, Writer]
    tables: Mapping[str, str]
    access_log: str = "var/log/pveproxy/access.log"
    denied_pause: float = 0.0
    """Seconds before a 403."""

    unknown: str = "Method '{verb} {path}' not implemented"
    unknown_status: int = 501
    pages: Mapping[str, str] = field(default_factory=dict)

    def status(self, error: AgentError) -> int:
        """The HTTP status of an error."""
        return self.error_status if type(error).status == error.status == AgentError.status else error.status

    def parameter_reply(self, error: ParameterError) -> Reply | None:
        """How faults in parameters are told, where it is not by fields beside the message."""
        if self.words is PVE_WORDS:
            return None
        lines = [f"- '{name}': {text}" for name, text in error.errors.items()]
        if len(lines) == 1:
            text = f"parameter verification failed {lines[0]}"
        else:
            text = "\n".join(["parameter verification failed:", *lines])
        return Reply(error.status, "Bad Request", message=text)


PVE = Dialect(
    port=8006,
    server="pve-api-daemon/3.0",
    cookies=("PVEAuthCookie",),
    token_scheme="PVEAPIToken",
    token_separator="=",
    half_ticket="PVE:!tfa!",
    error_status=500,
    registry=pve,
    words=PVE_WORDS,
    writers=PVE_WRITERS,
    tables={"9": "pve9", "8": "pve8"},
)

PBS = Dialect(
    port=8007,
    server="proxmox-backup-proxy",
    cookies=("__Host-PBSAuthCookie", "PBSAuthCookie"),
    token_scheme="PBSAPIToken",
    token_separator=":",
    half_ticket="PBS:!tfa!",
    error_status=400,
    registry=pbs,
    words=Words(
        missing="parameter is missing and it is not optional.",
        unknown="schema does not allow additional properties.",
        required="parameter is missing and it is required by '{by}'.",
        type="unable to parse {type} - got '{got}'",
        maximum="value must have a maximum value of {bound} (got {got})",
        minimum="value must have a minimum value of {bound} (got {got})",
        max_length="value may only be {bound} characters long (got {got})",
        min_length="value must be at least {bound} characters long (got {got})",
        enum="value '{got}' is not defined in the enumeration.",
        format="{detail}",
        joint="; ",
        lenient_booleans=True,
        real_booleans=True,
        joined_delete=False,
    ),
    writers=PBS_WRITERS,
    tables={"4": "pbs4"},
    access_log="var/log/proxmox-backup/api/access.log",
    denied_pause=0.5,
    unknown="Path '{path}' not found.",
    unknown_status=404,
)
