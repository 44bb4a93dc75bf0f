# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dances of the modules that read a cluster back and call its API as it is."""

from __future__ import annotations

from .dances import Dance

HOSTS = 1

DANCES: dict[str, Dance] = {
    "api_call": Dance(
        (
            {"method": "PUT", "path": "/cluster/options", "parameters": {"max_workers": 3}},
            {
                "method": "POST",
                "path": "/pools",
                "parameters": {"poolid": "voip"},
                "look_at": "/pools",
                "unless": {"poolid": "voip"},
                "timeout": 60,
            },
            {"method": "DELETE", "path": "/pools/voip"},
        ),
        after=(("api_call", {"method": "PUT", "path": "/cluster/options", "parameters": {"delete": "max_workers"}}),),
    ),
    "export": Dance(
        (
            {"dest": "{directory}/exported.yml", "title": "all of it"},
            {"dest": "{directory}/exported.yml", "overwrite": True, "variables": ["pve_storages", "pve_options"]},
        ),
    ),
    "tasks_info": Dance(
        (
            {},
            {
                "nodes": ["pve1"],
                "types": ["zfscreate"],
                "user": "root@pam",
                "status": "failed",
                "since": 1,
                "limit": 5,
                "log_lines": 3,
            },
            {"vmid": 101},
        ),
        reads=True,
    ),
}
