# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Node states as the manager sees them, and fencing (facts §7.5)."""

from __future__ import annotations

from collections.abc import Mapping

from agentstack.ha.environment import Environment, agent_lock

FENCE_DELAY = 60
GONE_AFTER = 3600


class NodeStatus:
    """State of every node: online, maintenance, unknown, fence, gone.

    A new manager knows nothing about the past: for it every node was seen online when it took over, so that a node is
    never fenced earlier than :data:`FENCE_DELAY` after a change of the manager.
    """

    def __init__(self, env: Environment, states: Mapping[str, str]) -> None:
        self._env = env
        self.states: dict[str, str] = dict(states)
        now = env.time()
        self._last_online = dict.fromkeys(self.states, now)
        self._online: list[str] = [node for node in sorted(self.states) if self.states[node] == "online"]

    def update(self, members: Mapping[str, bool], lrm_modes: Mapping[str, str]) -> None:
        """Take in the membership, and the LRM modes for maintenance."""
        now = self._env.time()
        online = sorted(node for node, up in members.items() if up)
        for node in online:
            self._last_online[node] = now
            state = self.states.get(node, "unknown")
            maintenance = lrm_modes.get(node) == "maintenance"
            if state in ("unknown", "gone") or (state == "maintenance" and not maintenance):
                self._change(node, "online")
            elif state == "online" and maintenance:
                self._change(node, "maintenance")
        for node in sorted((self.states.keys() | members.keys()) - set(online)):
            self._update_offline(node, node in members, now)
        self._collect_online()

    def _update_offline(self, node: str, member: bool, now: int) -> None:
        last_online = self._last_online.setdefault(node, now)
        state = self.states.setdefault(node, "unknown")
        if state == "online":
            self._change(node, "unknown" if member else "gone")
        elif state in ("unknown", "maintenance") and not member:
            self._change(node, "gone")
        elif state == "gone" and not member and now - last_online >= GONE_AFTER:
            self._env.log("notice", f"deleting gone node '{node}', not a cluster member anymore.")
            del self.states[node]
            del self._last_online[node]

    def _change(self, node: str, state: str) -> None:
        old = self.states.get(node, "unknown")
        self._env.log("info", f"node '{node}': state changed from '{old}' => '{state}'")
        self.states[node] = state

    def _collect_online(self) -> None:
        self._online = [node for node in sorted(self.states) if self.states[node] == "online"]

    @property
    def online(self) -> list[str]:
        """Nodes in state online, by name: those that may be given services."""
        return self._online

    def state(self, node: str) -> str:
        return self.states.get(node, "unknown")

    def is_online(self, node: str) -> bool:
        return self.states.get(node) == "online"

    def is_operational(self, node: str) -> bool:
        """Its LRM answers: it is online, or in maintenance and still there."""
        return self.states.get(node) in ("online", "maintenance")

    def in_maintenance(self, node: str) -> bool:
        return self.states.get(node) == "maintenance"

    def offline_delayed(self, node: str, delay: int = FENCE_DELAY) -> bool:
        """Not seen online for the fence delay (or never)."""
        last_online = self._last_online.get(node)
        return last_online is None or self._env.time() - last_online >= delay

    def fence(self, node: str) -> bool:
        """Go on fencing a node; True once it is acknowledged.

        There is no fence device but the node's own watchdog.  Nobody but that node renews its agent lock: the lock can
        only be had when the node has given it up or cannot have fed its watchdog for longer than the watchdog allows.
        """
        if self.states.get(node) != "fence":
            self._change(node, "fence")
            self._collect_online()
            self._notify("FENCE", f"Try to fence node '{node}'", node)
        if not self._env.acquire_lock(agent_lock(node)):
            return False
        message = f"fencing: acknowledged - got agent lock for node '{node}'"
        self._env.log("info", message)
        self._change(node, "unknown")
        self._notify("SUCCEED", message, node)
        return True

    def _notify(self, prefix: str, text: str, node: str) -> None:
        body = "\n".join(f"{name}: {state}" for name, state in sorted(self.states.items()))
        self._env.notify(f"{prefix}: {text}", f"The node '{node}' is being fenced by its own watchdog.\n\n{body}\n")
