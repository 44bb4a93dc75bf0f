# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disarming the HA stack: no node holds a watchdog any more, and nothing is decided (facts §7.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentstack.ha.manager import Manager

UNFINISHED = ("fence", "recovery", "migrate", "relocate", "request_start_balance")
"""Service states that must end before the stack can be disarmed."""

UNTOUCHED = ("freeze", "error")


def advance(manager: Manager) -> bool:
    """Go on disarming; True: services and nodes are left alone in this round."""
    disarm = manager.disarm
    if disarm is None:
        return False
    if disarm["state"] == "disarmed":
        return True
    for sid in sorted(manager.services):
        state = manager.services[sid]["state"]
        if state in UNFINISHED:
            manager.env.log("warning", f"deferring disarm - service '{sid}' is in '{state}' state")
            return False
    if not manager.disarm_applied:
        _apply(manager, disarm["mode"])
        manager.disarm_applied = True
    if all(_lrm_disarmed(manager, node) for node, up in manager.env.members().items() if up):
        manager.env.log("info", "all LRMs disarmed, HA stack is now fully disarmed")
        manager.disarm = {"mode": disarm["mode"], "state": "disarmed"}
    return True


def _apply(manager: Manager, mode: str) -> None:
    for sid in sorted(manager.services):
        service = manager.services[sid]
        if mode == "ignore":
            manager.env.log("info", f"disarm: suspending HA tracking for service '{sid}'")
        elif service["state"] not in UNTOUCHED:
            manager.env.log("info", f"disarm: freezing service '{sid}' (was '{service['state']}')")
            manager.replace(sid, "freeze")


def _lrm_disarmed(manager: Manager, node: str) -> bool:
    """It has given up its lock and watchdog; in maintenance it has done so already."""
    lrm = manager.lrm.get(node, {})
    return lrm.get("mode") in ("disarm", "maintenance") and lrm.get("state") in ("wait_for_agent_lock", "maintenance")
