# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup server answers has the shape that its schema promises."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentstack.pbs.client import PbsClient
from agentstack.pbs.index import CHUNK_SIZE, FixedIndex
from agentstack.pbs.snapshots import Group, Snapshot

from ..backups import Api, fingerprint, login, new_token, root
from ..stacks import RunningStack, StackFactory

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

GROUP = {"backup-type": "vm", "backup-id": "100"}
SNAPSHOT = {**GROUP, "backup-time": 1000}
ANSWERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/access/acl", {}),
    ("/access/domains", {}),
    ("/access/permissions", {}),
    ("/access/roles", {}),
    ("/access/tfa", {}),
    ("/access/tfa/nodes@pbs", {}),
    ("/access/users", {}),
    ("/access/users/nodes@pbs", {}),
    ("/access/users/nodes@pbs/token", {}),
    ("/access/users/nodes@pbs/token/ha", {}),
    ("/admin/datastore", {}),
    ("/admin/datastore/main/files", SNAPSHOT),
    ("/admin/datastore/main/gc", {}),
    ("/admin/datastore/main/groups", {}),
    ("/admin/datastore/main/namespace", {}),
    ("/admin/datastore/main/snapshots", {}),
    ("/admin/datastore/main/status", {"verbose": 1}),
    ("/admin/gc", {}),
    ("/admin/metrics", {}),
    ("/admin/prune", {}),
    ("/admin/sync", {}),
    ("/admin/verify", {}),
    ("/config/access/ad", {}),
    ("/config/access/ldap", {}),
    ("/config/access/openid", {}),
    ("/config/access/openid/sso", {}),
    ("/config/access/pam", {}),
    ("/config/access/pbs", {}),
    ("/config/access/tfa/webauthn", {}),
    ("/config/datastore", {}),
    ("/config/datastore/main", {}),
    ("/config/metrics/influxdb-http", {}),
    ("/config/metrics/influxdb-udp", {}),
    ("/config/metrics/influxdb-udp/udp", {}),
    ("/config/notifications/endpoints/gotify", {}),
    ("/config/notifications/endpoints/sendmail", {}),
    ("/config/notifications/endpoints/sendmail/mail-to-root", {}),
    ("/config/notifications/endpoints/smtp", {}),
    ("/config/notifications/endpoints/smtp/mail", {}),
    ("/config/notifications/endpoints/webhook", {}),
    ("/config/notifications/endpoints/webhook/hook", {}),
    ("/config/notifications/matcher-field-values", {}),
    ("/config/notifications/matcher-fields", {}),
    ("/config/notifications/matchers", {}),
    ("/config/notifications/matchers/default-matcher", {}),
    ("/config/notifications/targets", {}),
    ("/config/prune", {}),
    ("/config/prune/often", {}),
    ("/config/remote", {}),
    ("/config/remote/itself", {}),
    ("/config/remote/itself/scan", {}),
    ("/config/remote/itself/scan/main/groups", {}),
    ("/config/remote/itself/scan/main/namespaces", {}),
    ("/config/sync", {}),
    ("/config/sync/often", {}),
    ("/config/traffic-control", {}),
    ("/config/traffic-control/slow", {}),
    ("/config/verify", {}),
    ("/config/verify/often", {}),
    ("/nodes/localhost/apt/update", {}),
    ("/nodes/localhost/apt/versions", {}),
    ("/nodes/localhost/certificates/info", {}),
    ("/nodes/localhost/config", {}),
    ("/nodes/localhost/disks/directory", {}),
    ("/nodes/localhost/disks/list", {}),
    ("/nodes/localhost/disks/smart", {"disk": "sda"}),
    ("/nodes/localhost/disks/zfs", {}),
    ("/nodes/localhost/dns", {}),
    ("/nodes/localhost/identity", {}),
    ("/nodes/localhost/journal", {}),
    ("/nodes/localhost/network", {}),
    ("/nodes/localhost/network/nic0", {}),
    ("/nodes/localhost/report", {}),
    ("/nodes/localhost/services", {}),
    ("/nodes/localhost/status", {}),
    ("/nodes/localhost/subscription", {}),
    ("/nodes/localhost/syslog", {}),
    ("/nodes/localhost/tasks", {}),
    ("/nodes/localhost/time", {}),
    ("/ping", {}),
    ("/status/datastore-usage", {}),
    ("/version", {}),
)
INACCURATE = {"/admin/datastore/{store}/snapshots": "files"}
"""Where real servers answer objects and the schema says texts (facts §20.6)."""

TYPES = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict}


@pytest.fixture(scope="module")
def schema(shared_dir: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shared_dir / "reference/pbs4-schema.json").read_text())["paths"]
    return found


@pytest.fixture(scope="module")
def server(stack_factory: StackFactory) -> Api:
    """A server with one of everything."""
    stack = stack_factory({"pbs1": {"kind": "pbs", "disks": [{"size": "32G"}, {"size": "64G"}]}}, boot_time=0.5)
    found = root(stack, "pbs1")
    found.run("POST", "/config/datastore", name="main", path="/backup/main", comment="first", gc_schedule="daily")
    _write(stack, found)
    secret = {"auth-id": "root@pam", "password": stack.secrets["root_password"]}
    found.data(
        "POST", "/config/remote", name="itself", host=found.address, fingerprint=fingerprint(stack, "pbs1"), **secret
    )
    job = {"id": "often", "store": "main", "schedule": "daily"}
    found.data("POST", "/config/prune", keep_daily=3, **job)
    found.data("POST", "/config/verify", **job)
    found.data("POST", "/config/sync", remote="itself", remote_store="elsewhere", **job)
    found.data("POST", "/config/traffic-control", name="slow", network=["10.0.0.0/8", "fd00::/8"], rate_in="10 MB")
    found.run("POST", "/nodes/localhost/disks/directory", name="big", disk="sdb", filesystem="xfs")
    found.run("POST", "/admin/datastore/main/verify")
    found.run("POST", "/admin/datastore/main/gc")
    found.data("POST", "/config/access/openid", realm="sso", issuer_url="https://login.example.test", client_id="pbs")
    found.data("PUT", "/config/access/tfa/webauthn", rp="pbs", id="pbs.example.test")
    found.data("POST", "/config/metrics/influxdb-udp", name="udp", host="127.0.0.1:8089")
    notify = "/config/notifications/endpoints"
    mail = {"server": "mail.example.test", "from-address": "pbs@example.test", "mailto": ["a@example.test"]}
    found.data("POST", f"{notify}/smtp", name="mail", **mail)
    found.data(
        "POST", f"{notify}/webhook", name="hook", url="http://127.0.0.1/x", method="post", header=["name=A,value=Yg=="]
    )
    found.data("PUT", "/nodes/localhost/config", description="the first one", email_from="pbs@example.test")
    found.data("PUT", "/nodes/localhost/dns", search="example.test", dns1="127.0.0.1")
    found.data("PUT", "/admin/datastore/main/notes", notes="kept", **SNAPSHOT)
    return found


def _write(stack: RunningStack, api: Api) -> None:
    writer = login(stack, "pbs1", *new_token(api, "nodes@pbs", "ha", "DatastoreBackup", "/datastore/main"))
    data = b"x" * CHUNK_SIZE

    async def write() -> None:
        async with PbsClient(writer, writer.server) as client:
            await client.begin_backup("main", Snapshot(Group("", "vm", "100"), 1000))
            digest = hashlib.sha256(data).digest()
            await client.send_chunk(digest, data)
            await client.send_index("drive-scsi0.img.fidx", FixedIndex(CHUNK_SIZE, [digest], 1000))
            await client.finish_backup()

    asyncio.run(write())


def faults(value: Any, declared: dict[str, Any], where: str = "data") -> Iterator[str]:
    """Where a value is not what the schema says."""
    expected = TYPES.get(declared.get("type", ""))
    if expected and (not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool)):
        yield f"{where}: {value!r} is no {declared['type']}"
    elif isinstance(value, list):
        for item in value[:5]:
            yield from faults(item, declared.get("items", {}), f"{where}[]")
    elif isinstance(value, dict):
        properties = declared.get("properties", {})
        for name, prop in properties.items():
            if name in value:
                yield from faults(value[name], prop, f"{where}.{name}")
            elif not prop.get("optional"):
                yield f"{where}.{name} is missing"
        if declared.get("additionalProperties") is False:
            yield from (f"{where}.{name} is unknown" for name in set(value) - set(properties))
    elif isinstance(value, str):
        if value not in declared.get("enum", [value]):
            yield f"{where}: {value!r} is not in {declared['enum']}"
        if "pattern" in declared and re.fullmatch(declared["pattern"], value) is None:
            yield f"{where}: {value!r} does not match {declared['pattern']}"


def _template(schema: dict[str, Any], path: str) -> str:
    words = path.split("/")
    for template in schema:
        parts = template.split("/")
        if len(parts) == len(words) and all(p == w or p.startswith("{") for p, w in zip(parts, words, strict=True)):
            return template
    raise AssertionError(f"{path} is not in the schema")


@pytest.mark.parametrize(("path", "given"), ANSWERS, ids=[path for path, _ in ANSWERS])
def test_answers_have_the_declared_shape(server: Api, schema: dict[str, Any], path: str, given: dict[str, Any]) -> None:
    template = path if path in schema else _template(schema, path)
    found = faults(server.data("GET", path, **given), schema[template]["GET"]["returns"])
    known = f"data[].{INACCURATE.get(template, '-')}[]"
    assert [fault for fault in found if not fault.startswith(known)] == []
