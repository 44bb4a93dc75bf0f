# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/cluster over HTTP: notifications that arrive, metric servers, mappings, ACME, processors, bulk actions."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..api_client import Refused, Root
from ..receiver import Receiver, receiving
from ..stacks import RunningStack, StackFactory, wait_until

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

NOTIFY = "/cluster/notifications"
METRICS = "/cluster/metrics/server"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    return stack_factory(hosts=1, scale=100)


@pytest.fixture(scope="module")
def root(stack: RunningStack) -> Root:
    root = Root(stack, "pve1")
    root.run("POST", "/nodes/pve1/qemu", vmid=100, name="web")
    return root


@pytest.fixture(scope="module")
def pve(stack: RunningStack) -> Path:
    """The mirror of /etc/pve."""
    return stack.dir / "hosts" / "pve1" / "root" / "etc" / "pve"


def refused(root: Root, verb: str, path: str, /, **given: Any) -> tuple[int, str]:
    """Status and reason of a refusal."""
    with pytest.raises(Refused) as found:
        root(verb, path, **given)
    return found.value.status, found.value.reason


def errors(root: Root, verb: str, path: str, /, **given: Any) -> dict[str, str]:
    """The texts of a 400, by parameter."""
    with pytest.raises(Refused) as found:
        root(verb, path, **given)
    assert found.value.status == 400
    return found.value.errors


# ---- notifications --------------------------------------------------------------------------------------------------


def test_notifications_have_builtin_entries(root: Root) -> None:
    assert {row["name"] for row in root("GET", f"{NOTIFY}/endpoints")} == {"gotify", "sendmail", "smtp", "webhook"}
    (target,) = root("GET", f"{NOTIFY}/targets")
    assert {"name": "mail-to-root", "type": "sendmail", "origin": "builtin"}.items() <= target.items()
    root("PUT", f"{NOTIFY}/endpoints/sendmail/mail-to-root", disable=1)
    assert root("GET", f"{NOTIFY}/targets")[0]["origin"] == "modified-builtin"
    root("DELETE", f"{NOTIFY}/endpoints/sendmail/mail-to-root")
    assert root("GET", f"{NOTIFY}/targets")[0]["origin"] == "builtin"
    assert root("GET", f"{NOTIFY}/matchers")[0]["name"] == "default-matcher"


def test_a_backup_goes_to_the_targets_of_its_matcher(root: Root, receiver: Receiver, pve: Path) -> None:
    root("POST", f"{NOTIFY}/endpoints/gotify", name="push", server=receiver.url, token="hidden")
    root("POST", f"{NOTIFY}/endpoints/smtp", name="mail", server="127.0.0.1", port=receiver.mail_port, mode="insecure",
         mailto=["a@example.test", "b@example.test"], from__address="pve@example.test")  # fmt: skip
    root("POST", f"{NOTIFY}/matchers", name="backups", target=["push", "mail"],
         match__field=["exact:type=vzdump", "exact:hostname=pve1"])  # fmt: skip
    root("POST", f"{NOTIFY}/matchers", name="others", target="push", match__severity="error")
    root.run("POST", "/nodes/pve1/vzdump", vmid=100, storage="local")
    wait_until(lambda: receiver.mails, 30)
    headers, body = next((post.headers, post.body) for post in receiver.posts if post.path == "/message")
    assert headers["X-Gotify-Key"] == "hidden"
    assert json.loads(body)["title"] == "vzdump backup status (pve1.test.test): backup successful"
    assert "100     web" in json.loads(body)["message"]
    assert "To: a@example.test, b@example.test" in receiver.mails[0]
    assert "token" not in root("GET", f"{NOTIFY}/endpoints/gotify/push")
    assert "hidden" not in (pve / "notifications.cfg").read_text()
    assert "hidden" in (pve / "priv/notifications.cfg").read_text()


def test_a_webhook_is_what_its_templates_make_of_it(root: Root, receiver: Receiver) -> None:
    def text(plain: str) -> str:
        return base64.b64encode(plain.encode()).decode()

    root("POST", f"{NOTIFY}/endpoints/webhook", name="hook", url=f"{receiver.url}/hook", method="post",
         body=text('{"t": "{{ escape title }}", "k": "{{ secrets.key }}"}'),
         header=f"name=X-Kind,value={text('{{ fields.type }}')}", secret=f"name=key,value={text('s3')}")  # fmt: skip
    assert root("GET", f"{NOTIFY}/endpoints/webhook/hook")["secret"] == ["name=key"]
    root("POST", f"{NOTIFY}/targets/hook/test")
    headers, body = next((post.headers, post.body) for post in receiver.posts if post.path == "/hook")
    assert headers["X-Kind"] == "test"
    assert json.loads(body) == {"t": "Test notification", "k": "s3"}
    root("PUT", f"{NOTIFY}/endpoints/webhook/hook", url=f"{receiver.url}/broken", delete="header,secret")
    status, reason = refused(root, "POST", f"{NOTIFY}/targets/hook/test")
    assert status == 500
    assert reason.startswith("could not notify via endpoint(s): hook")


def test_refused_notifications(root: Root) -> None:
    gotify = f"{NOTIFY}/endpoints/gotify"
    root("POST", gotify, name="first", server="http://127.0.0.1:1", token="x")
    taken = (400, "Cannot create 'first', an entity with the same name already exists")
    assert refused(root, "POST", gotify, name="first", server="http://127.0.0.1:1", token="x") == taken
    assert refused(root, "POST", f"{NOTIFY}/matchers", name="first") == taken
    assert refused(root, "GET", f"{gotify}/nosuch") == (404, "endpoint 'nosuch' does not exist")
    assert refused(root, "GET", f"{NOTIFY}/matchers/nosuch") == (404, "matcher 'nosuch' not found")
    assert refused(root, "POST", f"{NOTIFY}/targets/nosuch/test")[0] == 404
    assert refused(root, "POST", f"{NOTIFY}/matchers", name="bad-one", target="nosuch")[0] == 404
    assert refused(root, "POST", f"{NOTIFY}/matchers", name="bad-two", match__field="type=x")[0] == 400
    root("POST", f"{NOTIFY}/matchers", name="user", target="first")
    assert refused(root, "DELETE", f"{gotify}/first") == (400, "cannot delete 'first', referenced by: user")
    digest = root("GET", f"{gotify}/first")["digest"]
    root("PUT", f"{gotify}/first", comment="new", digest=digest)
    assert refused(root, "PUT", f"{gotify}/first", comment="newer", digest=digest)[0] == 400
    root("DELETE", f"{NOTIFY}/matchers/user")
    root("DELETE", f"{gotify}/first")


def test_fields_of_matchers(root: Root) -> None:
    root("POST", "/cluster/backup", id="nightly", all=1, schedule="02:00", storage="local", comment="every night")
    values = root("GET", f"{NOTIFY}/matcher-field-values")
    assert {"field": "job-id", "value": "nightly", "comment": "every night"} in values
    assert {"field": "type", "value": "fencing"} in values
    assert {row["name"] for row in root("GET", f"{NOTIFY}/matcher-fields")} == {"type", "hostname", "job-id"}


# ---- metric servers, mappings ---------------------------------------------------------------------------------------


def test_metric_servers(root: Root, receiver: Receiver, pve: Path) -> None:
    port = receiver.mail_port
    root("POST", f"{METRICS}/udp", type="graphite", server="127.0.0.1", port=1)
    root("POST", f"{METRICS}/tcp", type="graphite", server="127.0.0.1", port=port, proto="tcp")
    root("POST", f"{METRICS}/influx", type="influxdb", server="127.0.0.1", port=1, influxdbproto="https", disable=1,
         token="hidden", organization="o", bucket="b", verify__certificate=0)  # fmt: skip
    otel = int(receiver.url.rpartition(":")[2])
    root("POST", f"{METRICS}/otel", type="opentelemetry", server="127.0.0.1", port=otel, otel__protocol="http")
    listed = {row["id"]: row for row in root("GET", METRICS)}
    assert listed["influx"] == {"id": "influx", "type": "influxdb", "disable": 1, "server": "127.0.0.1", "port": 1}
    assert "token" not in root("GET", f"{METRICS}/influx")
    assert (pve / "priv/metricserver/influx.pw").read_text() == "hidden"
    root("PUT", f"{METRICS}/tcp", server="127.0.0.1", port=1, delete="proto", mtu=1400)
    assert {"port": 1, "mtu": 1400}.items() <= root("GET", f"{METRICS}/tcp").items()
    for name in listed:
        root("DELETE", f"{METRICS}/{name}")
    assert root("GET", METRICS) == []


@pytest.mark.parametrize(
    ("verb", "name", "given", "why"),
    [
        ("POST", "one", {"type": "graphite", "proto": "tcp"}, "couldn't connect to 127.0.0.1:1 - Connection refused"),
        (
            "POST",
            "one",
            {"type": "influxdb", "influxdbproto": "http"},
            "500 Can't connect to 127.0.0.1:1 (Connection refused)",
        ),
        ("POST", "one", {"type": "graphite", "bucket": "b"}, "unexpected property 'bucket'"),
        ("PUT", "two", {}, "status server entry 'two' does not exist"),
        ("GET", "two", {}, "status server entry 'two' does not exist"),
        ("DELETE", "two", {}, "status server entry 'two' does not exist"),
    ],
)
def test_refused_metric_servers(root: Root, verb: str, name: str, given: dict[str, str], why: str) -> None:
    place = {"server": "127.0.0.1", "port": "1"} if verb in ("POST", "PUT") else {}
    assert refused(root, verb, f"{METRICS}/{name}", **place, **given) == (500, why)


def test_metrics_are_exported(root: Root) -> None:
    rows = root("GET", "/cluster/metrics/export")["data"]
    assert {"node/pve1", "qemu/100"} <= {row["id"] for row in rows}
    assert {row["type"] for row in rows} == {"gauge", "derive"}


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        ("pci", "id=8086:1533,node=pve1,path=0000:01:00.0"),
        ("usb", "id=1234:abcd,node=pve1,path=1-2"),
        ("dir", "node=pve1,path=/srv/nothing"),
    ],
)
def test_mappings(root: Root, pve: Path, kind: str, entry: str) -> None:
    base = f"/cluster/mapping/{kind}"
    assert root("GET", base) == []
    root("POST", base, id="thing", map=[entry], description="für: alle")
    label = "directory" if kind == "dir" else kind
    assert refused(root, "POST", base, id="thing", map=[entry]) == (500, f"{label} ID 'thing' already defined")
    (row,) = root("GET", base, check__node="pve1")
    assert (row["description"], row["map"]) == ("für: alle", [entry])
    assert row["error" if kind == "usb" else "checks"][0]["severity"] == "error"
    assert (pve / f"mapping/{kind}.cfg").read_text().startswith("thing\n\tdescription f%C3%BCr%3A alle\n\tmap ")
    digest = root("GET", f"{base}/thing")["digest"]
    # only of USB devices the whole list is asked for
    given = {"map": [entry]} if kind == "usb" else {}
    root("PUT", f"{base}/thing", delete="description", digest=digest, **given)
    assert "description" not in root("GET", f"{base}/thing")
    assert "detected modified" in refused(root, "PUT", f"{base}/thing", description="x", digest=digest, **given)[1]
    assert "unable to delete required option 'map'" in refused(root, "PUT", f"{base}/thing", delete="map", **given)[1]
    root("DELETE", f"{base}/thing")
    assert refused(root, "GET", f"{base}/thing") == (500, f"{label} ID 'thing' does not exist")


def test_a_directory_is_mapped_once_a_node(root: Root) -> None:
    twice = ["node=pve1,path=/srv/a", "node=pve1,path=/srv/b"]
    why = "duplicate mapping for node 'pve1' not allowed"
    assert refused(root, "POST", "/cluster/mapping/dir", id="twice", map=twice) == (500, why)


# ---- ACME, processors, bulk actions ---------------------------------------------------------------------------------


def test_acme(root: Root) -> None:
    base = "/cluster/acme"
    assert len(root("GET", f"{base}/directories")) == 2
    assert root("GET", f"{base}/account") == []
    assert "does not exist" in errors(root, "GET", f"{base}/account/default")["name"]
    assert "cf" in {row["id"] for row in root("GET", f"{base}/challenge-schema")}
    status, _ = refused(root, "GET", f"{base}/tos", directory="http://127.0.0.1:1/directory")
    assert status == 500
    data = base64.b64encode(b"CF_Token=x\n").decode()
    root("POST", f"{base}/plugins", id="cloud", type="dns", api="cf", data=data, validation__delay=60)
    assert {row["plugin"] for row in root("GET", f"{base}/plugins")} == {"cloud", "standalone"}
    assert [row["plugin"] for row in root("GET", f"{base}/plugins", type="dns")] == ["cloud"]
    assert root("GET", f"{base}/plugins/cloud")["data"] == "CF_Token=x\n"
    assert "already exists" in refused(root, "POST", f"{base}/plugins", id="cloud", type="standalone")[1]
    assert "required option 'api'" in refused(root, "POST", f"{base}/plugins", id="other", type="dns")[1]
    root("PUT", f"{base}/plugins/cloud", disable=1, delete="data")
    assert "data" not in root("GET", f"{base}/plugins/cloud")
    root("DELETE", f"{base}/plugins/cloud")
    assert refused(root, "DELETE", f"{base}/plugins/cloud") == (500, "ACME plugin 'cloud' not defined")
    assert "builtin" in refused(root, "DELETE", f"{base}/plugins/standalone")[1]


def test_models_of_processors(root: Root) -> None:
    base = "/cluster/qemu/custom-cpu-models"
    root("POST", base, cputype="mine", reported__model="kvm64", flags="+aes;-pcid", hidden=1)
    assert "already exists" in refused(root, "POST", base, cputype="mine", reported__model="kvm64")[1]
    (model,) = root("GET", base)
    assert {"cputype": "mine", "flags": "+aes;-pcid", "hidden": 1}.items() <= model.items()
    root("PUT", f"{base}/mine", delete="hidden", reported__model="qemu64", digest=model["digest"])
    assert root("GET", f"{base}/custom-mine")["reported-model"] == "qemu64"
    root("DELETE", f"{base}/mine")
    assert refused(root, "GET", f"{base}/mine") == (500, "custom CPU model 'mine' not found")
    assert "aes" in {row["name"] for row in root("GET", "/cluster/qemu/cpu-flags")}


def test_bulk_actions(root: Root) -> None:
    base = "/cluster/bulk-action/guest"
    root.run("POST", "/nodes/pve1/qemu", vmid=200, memory=16)
    root.run("POST", f"{base}/start", vms=[100, 200])
    states = {vmid: root("GET", f"/nodes/pve1/qemu/{vmid}/status/current")["status"] for vmid in (100, 200)}
    assert set(states.values()) == {"running"}
    again = root.run("POST", f"{base}/start")
    assert {"skipping VM 100: running", "skipping VM 200: running"} <= set(root.log_of(again))
    root.run("POST", f"{base}/shutdown", vms=200, timeout=60)
    assert root("GET", "/nodes/pve1/qemu/200/status/current")["status"] == "stopped"
    root.run("POST", f"{base}/suspend")
    root.run("POST", f"{base}/shutdown")
    assert refused(root, "POST", f"{base}/start", vms=[999]) == (500, "guest 999 does not exist")
    upid = root("POST", f"{base}/migrate", target="nosuch")
    assert root.end_of(upid) == "migrate failed for guests: 100, 200"
