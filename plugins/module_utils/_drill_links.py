# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What corosync says of its links during a drill: only the nodes themselves know, over SSH. Private."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._errors import QuorateError
from ._hosts import Hosts
from ._link_steps import LinkStatus, parse_link_status
from ._membership import Membership
from ._shell import Login, Shell


class Links:
    """The ends of the links on the nodes that can be asked. A node that could not be asked at first is left out.

    ``nodes``: the module's option.
    """

    def __init__(self, nodes: Sequence[Mapping[str, Any]], login: Login, membership: Membership) -> None:
        self.names = {member.nodeid: name for name, member in membership.members.items()}
        entries = [each for each in nodes if each.get("address") and each["node"] in membership.members]
        elsewhere = {str(each["node"]): list((each.get("links") or {}).values()) for each in entries}
        self.hosts = Hosts(entries, login, elsewhere)
        answers = self.hosts.on_all(_ask)
        self.unasked = {node: str(answer) for node, answer in answers.items() if isinstance(answer, QuorateError)}
        self.nodes = [node for node in answers if node not in self.unasked]
        self.first = {node: answer for node, answer in answers.items() if not isinstance(answer, QuorateError)}

    def close(self) -> None:
        """End the sessions."""
        self.hosts.__exit__()

    def broken(self, seen: Mapping[str, Mapping[int, LinkStatus]] | None = None) -> list[str]:
        """Links that do not reach everybody, in words; of nodes that do not answer now the others tell."""
        if seen is None:
            answers = self.hosts.on_all(_ask, self.nodes)
            seen = {node: each for node, each in answers.items() if not isinstance(each, QuorateError)}
        return [
            f"link {number}: {node} does not reach {', '.join(missing)}"
            for node, links in sorted(seen.items())
            for number, link in sorted(links.items())
            if (missing := link.unconnected({key: name for key, name in self.names.items() if name != node}))
        ]

    def of(self, number: int, peer: str, *, without: set[str]) -> str:
        """How a link to one node is, as another one sees it; empty if nobody can be asked."""
        for node in self.nodes:
            if node == peer or node in without:
                continue
            link = self.hosts.do(node, _ask).get(number)
            states = [state for key, state in link.peers.items() if self.names.get(key) == peer] if link else []
            return states[0] if states else ""
        return ""


def _ask(shell: Shell) -> dict[int, LinkStatus]:
    return parse_link_status(shell.run(["corosync-cfgtool", "-s"]))
