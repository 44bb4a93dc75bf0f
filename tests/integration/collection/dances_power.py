# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole cluster goes off and comes back: with a guest under HA, and one that HA does not know.

Where HA cannot be disarmed; tests/site/test_power.py does it where it can.
"""

from __future__ import annotations

from .dances import MAKE_TANK, NODES, SSH, Dance, Parameters, guest, guests
from .dances_ha import CLUSTER

VERSION = "8.4"

BUTTON = ["{python}", "-m", "agentstack", "power"]
POWER: Parameters = {
    "on": [*BUTTON, "on", "{{node}}", "--dir", "{stack}"],
    "status": [*BUTTON, "status", "{{node}}", "--dir", "{stack}"],
}
WHOLE: Parameters = {
    **SSH,
    "cluster": "dance",
    "nodes": [{**node, "power": POWER} for node in NODES],
    "note": "{directory}/shutdown.json",
    "tolerate": ["POOL_NO_REDUNDANCY"],
    **{"timeout": 60, "rest_timeout": 120, "command_timeout": 60},
}

DANCES: dict[str, Dance] = {
    "cluster_shutdown": Dance(
        (
            {
                **WHOLE,
                **{"confirm": True, "stubborn": "stop", "guests": {"102": "leave"}, "guest_timeout": 60},
            },
        ),
        before=(
            *CLUSTER[:2],
            MAKE_TANK,
            guests(guest(101, started=True), guest(102, started=True)),
            ("ha_resources", {"resources": [{"sid": "vm:101", "state": "started"}]}),
        ),
    ),
    "cluster_startup": Dance(({**WHOLE, "without": []},)),
}
