# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dances of the modules about access where Proxmox VE 8.4 is another server: API tokens are not given new secrets.

The others are danced here with the least that shows they are understood.
"""

from __future__ import annotations

from .dances import Dance, Parameters
from .dances_access import DANCES as ON_9
from .dances_access import GRAPHITE, MAIL, WEBHOOK
from .table import known_to_8

VERSION = "8.4"
HOSTS = 1
ERRORS: Parameters = {"name": "errors", "targets": ["mail-to-root"], "match_severity": ["error"]}

DANCES: dict[str, Dance] = {
    "roles": Dance(({"roles": [{"roleid": "Operator", "privs": ["VM.Monitor", "VM.Audit"]}]},)),
    "users": Dance(({"users": [{"userid": "ann@pve", "comment": "Ann"}]},)),
    "groups": ON_9["groups"],
    "realms": known_to_8("realms", ON_9["realms"]),
    "realm_sync_jobs": ON_9["realm_sync_jobs"],
    "api_tokens": Dance(
        (
            {"tokens": [{"tokenid": "ann@pve!zabbix", "secret_file": "{directory}/zabbix", "comment": "hello"}]},
            {
                "tokens": [
                    {"tokenid": "ann@pve!zabbix", "secret_file": "{directory}/new", "regenerate": True, "comment": ""}
                ]
            },
        ),
    ),
    "acls": Dance(({"acls": [{"path": "/", "auth_id": "ann@pve!zabbix", "role": "Operator"}]},)),
    "pools": Dance(
        (
            {"pools": [{"poolid": "web", "storages": ["local"]}]},
            {"pools": [{"poolid": "web", "state": "absent"}]},
        )
    ),
    "notification_endpoints": Dance(
        ({"endpoints": [WEBHOOK, MAIL]}, {"endpoints": [], "purge": True, "purge_limit": "100%"})
    ),
    "notification_matchers": Dance(
        (
            {"matchers": [{**ERRORS, "match_field": ["exact:type=vzdump,replication"], "mode": "any"}]},
            {"matchers": [{**ERRORS, "match_field": [], "invert_match": True}]},
            {"matchers": [], "purge": True, "purge_limit": "100%"},
        )
    ),
    "metric_servers": Dance(({"servers": [GRAPHITE]}, {"servers": [], "purge": True, "purge_limit": "100%"})),
}
