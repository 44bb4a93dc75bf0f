# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the framework that know nothing of servers: values, plans, disks, devices, trust."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils._disks import choose
from ansible_collections.quorate.pve.plugins.module_utils._errors import (
    InputError,
    QuorateError,
    StateError,
    TrustError,
)
from ansible_collections.quorate.pve.plugins.module_utils._guest_devices import disk_difference, net_difference
from ansible_collections.quorate.pve.plugins.module_utils._plan import MASK, diff_of, plan_changes, read_wanted
from ansible_collections.quorate.pve.plugins.module_utils._spec import Field, Spec
from ansible_collections.quorate.pve.plugins.module_utils._trust import (
    PinnedContext,
    accepted_fingerprints,
    expect_trust,
    normalise_fingerprint,
    read_trust_file,
    record_trust,
    shown_fingerprint,
)
from ansible_collections.quorate.pve.plugins.module_utils._values import (
    BOOLEAN,
    NODE_PRIORITIES,
    NUMBER,
    SET,
    TEXT,
    properties_form,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

THINGS = Spec(
    kind="thing",
    option="things",
    keys=("name",),
    path="/things",
    item_path="/things/{name}",
    kept=frozenset({("local",)}),
    fields=(
        Field("name", required=True),
        Field("size", NUMBER, default=1),
        Field("kind", fixed=True, needed=True),
        Field("tags", SET),
        Field("secret", secret=True),
        Field("comment"),
    ),
)


@pytest.mark.parametrize(
    ("form", "given", "seen"),
    [
        (TEXT, "x\n", "x"),
        (TEXT, "", None),
        (BOOLEAN, "1", True),
        (BOOLEAN, 0, False),
        (BOOLEAN, "Yes", True),
        (NUMBER, "50.0", 50),
        (NUMBER, 0.5, 0.5),
        (SET, "b,a;b", ["a", "b"]),
        (SET, ["pve10", "pve9"], ["pve9", "pve10"]),
        (SET, [], None),
        (NODE_PRIORITIES, "pve2:1,pve1", {"pve1": 0, "pve2": 1}),
        (NODE_PRIORITIES, {"pve1": None}, {"pve1": 0}),
        (properties_form(), "b=1,a=x", {"a": "x", "b": "1"}),
        (properties_form("type"), "secure,network=10.0.0.0/24", {"type": "secure", "network": "10.0.0.0/24"}),
        (properties_form(hyphens=True), {"keep_last": 3, "keep-daily": None}, {"keep-last": "3"}),
        (properties_form(), {"on": True}, {"on": "1"}),
    ],
)
def test_one_form_for_what_is_written_and_what_is_answered(form: Any, given: Any, seen: Any) -> None:
    assert form.normalise(given) == seen
    if seen is not None:
        assert form.normalise(form.encode(seen)) == seen


def plan(elements: list[dict[str, Any]], actual: list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
    there = {THINGS.key(item): item for item in map(THINGS.seen, actual)}
    return [change.describe() for change in plan_changes(THINGS, read_wanted(THINGS, elements), there, **options)]


def test_what_is_the_same_is_left_alone() -> None:
    assert plan([{"name": "a", "tags": ["y", "x"], "size": None}], [{"name": "a", "tags": "x,y", "size": 4}]) == []
    assert plan([{"name": "a", "size": 1}], [{"name": "a"}]) == []
    assert plan([{"name": "a", "comment": ""}], [{"name": "a"}]) == []


def test_deletions_come_first_then_changes_then_new_ones() -> None:
    elements = [
        {"name": "new", "kind": "k"},
        {"name": "a", "size": 3, "comment": ""},
        {"name": "gone", "state": "absent"},
    ]
    there = [{"name": "a", "size": 2, "comment": "old"}, {"name": "gone"}, {"name": "foreign"}]
    assert plan(elements, there) == [
        {"action": "delete", "object": "thing gone", "fields": {"name": {"before": "gone", "after": None}}},
        {
            "action": "update",
            "object": "thing a",
            "fields": {"size": {"before": 2, "after": 3}, "comment": {"before": "old", "after": None}},
        },
        {
            "action": "create",
            "object": "thing new",
            "fields": {"kind": {"before": None, "after": "k"}, "name": {"before": None, "after": "new"}},
        },
    ]


def test_a_purge_spares_what_is_ignored_or_kept() -> None:
    there = [{"name": "local"}, {"name": "a"}, {"name": "b"}]
    assert [change["object"] for change in plan([{"name": "a", "state": "ignore"}], there, purge=True)] == ["thing b"]


def test_secrets_are_sent_on_creation_and_on_request_and_never_shown() -> None:
    there = {("a",): {"name": "a"}}
    wanted = read_wanted(THINGS, [{"name": "a", "secret": "geheim"}, {"name": "b", "kind": "k", "secret": "geheim"}])
    changes = plan_changes(THINGS, wanted, there)
    assert [(change.label, change.set.get("secret")) for change in changes] == [("b", "geheim")]
    changes = plan_changes(THINGS, wanted, there, update_secrets=True)
    assert changes[0].set == {"secret": "geheim"}
    assert changes[0].describe()["fields"]["secret"] == {"before": None, "after": MASK}
    assert "geheim" not in str([change.describe() for change in changes]) + str(diff_of(changes))


def test_a_fixed_setting_is_refused_with_its_place() -> None:
    with pytest.raises(StateError, match=r"things\[1\] \(a\): kind is 'x' and cannot be changed to 'y'"):
        plan([{"name": "z", "kind": "k"}, {"name": "a", "kind": "y"}], [{"name": "a", "kind": "x"}])


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(
        QuorateError, match=r"(?s)things\[1\] \(a\): the same thing is given at things\[0\].*things\[2\].*size"
    ):
        read_wanted(THINGS, [{"name": "a"}, {"name": "a"}, {"name": "b", "size": "big"}])


def test_what_is_needed_is_needed_for_creation_only() -> None:
    with pytest.raises(InputError, match=r"things\[0\] \(a\): kind must be given to create the thing"):
        plan([{"name": "a"}], [])


DISKS: list[dict[str, Any]] = [
    {"devpath": "/dev/sda", "size": 32 << 30, "used": "BIOS boot", "type": "ssd", "model": "SYS"},
    {"devpath": "/dev/sdb", "size": 64 << 30, "type": "ssd", "model": "SSD-A", "serial": "S1"},
    {"devpath": "/dev/sdc", "size": 64 << 30, "type": "ssd", "model": "SSD-A", "serial": "S2"},
    {"devpath": "/dev/sdd", "size": 128 << 30, "type": "nvme", "model": "NVME", "osdid": 3},
    {"devpath": "/dev/sde", "size": 128 << 30, "type": "nvme", "model": "NVME", "osdid": -1},
]


@pytest.mark.parametrize(
    ("devices", "paths"),
    [
        (["/dev/sdc"], ["/dev/sdc"]),
        ({"model": "SSD-A", "count": 2}, ["/dev/sdb", "/dev/sdc"]),
        ({"model": "SSD-*", "count": 1}, ["/dev/sdb"]),
        ({"serial": "S2"}, ["/dev/sdc"]),
        ({"type": "nvme"}, ["/dev/sde"]),
        ({"min_size": "100G"}, ["/dev/sde"]),
        ({"max_size": "64G", "type": "ssd"}, ["/dev/sdb", "/dev/sdc"]),
    ],
)
def test_disks_are_chosen_from_the_unused_ones(devices: Any, paths: list[str]) -> None:
    assert choose(DISKS, devices, (), "pve1", "pools[0]") == paths


@pytest.mark.parametrize(
    ("devices", "words"),
    [
        (["/dev/sda"], r"pools\[0\]: /dev/sda on pve1 is in use \(BIOS boot\)"),
        (["/dev/sdd"], r"in use \(osd.3\)"),
        (["/dev/sdx"], "pve1 has no disk /dev/sdx; it has /dev/sda"),
        (["/dev/sdc"], "/dev/sdc on pve1 is wanted twice"),
        (
            {"type": "nvme", "count": 2},
            r"1 unused disk of the 2 wanted \(type nvme\); in use: /dev/sdd \(128G NVME, osd.3\)",
        ),
        ({"colour": "red"}, "colour is nothing to choose disks by"),
        ({"min_size": "big"}, "invalid size"),
        ("/dev/sdb", "must be a list of paths or a dictionary"),
        ([], "must be paths"),
    ],
)
def test_a_disk_in_use_is_named(devices: Any, words: str) -> None:
    with pytest.raises(QuorateError, match=words):
        choose(DISKS, devices, {"/dev/sdc"}, "pve1", "pools[0]")


HAS = "tank:vm-101-disk-0,discard=on,size=4G"


@pytest.mark.parametrize(
    ("wanted", "has", "difference"),
    [
        ("tank:4", None, ("tank:4",)),
        ("tank:4", HAS, None),
        ("tank:4,discard=on", HAS, None),
        ("tank:vm-101-disk-0", HAS, None),
        ("tank:5", HAS, ("grow to 5G",)),
        ("tank:4,replicate=0", HAS, ("tank:vm-101-disk-0,discard=on,replicate=0,size=4G",)),
    ],
)
def test_disks_of_guests(wanted: str, has: str | None, difference: Any) -> None:
    assert disk_difference("scsi0", wanted, has, "g") == difference


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("tank:2", "scsi0 has 4G and cannot shrink to 2G"),
        ("other:4", "is on the storage tank and is not moved to other"),
        ("", "a disk is not removed here"),
        ("tank:5,ssd=1", "grow and to change its options at once"),
        ("tank:vm-7-disk-1", "is tank:vm-101-disk-0 and not tank:vm-7-disk-1"),
    ],
)
def test_what_would_lose_a_disk_is_refused(wanted: str, words: str) -> None:
    with pytest.raises(StateError, match=words):
        disk_difference("scsi0", wanted, HAS, "g")


@pytest.mark.parametrize(
    ("wanted", "has", "difference"),
    [
        ("virtio,bridge=vmbr0", None, ("virtio,bridge=vmbr0",)),
        ("virtio,bridge=vmbr0", "virtio=AA:BB,bridge=vmbr0", None),
        ("virtio,bridge=vmbr1", "virtio=AA:BB,bridge=vmbr0,firewall=1", ("virtio=AA:BB,bridge=vmbr1",)),
        ("e1000=CC:DD,bridge=vmbr0", "virtio=AA:BB,bridge=vmbr0", ("e1000=CC:DD,bridge=vmbr0",)),
        ("", "virtio=AA:BB", (None,)),
        ("", None, None),
    ],
)
def test_network_cards_keep_their_address(wanted: str, has: str | None, difference: Any) -> None:
    assert net_difference("net0", wanted, has, "g") == difference


def test_fingerprints_have_one_form() -> None:
    assert normalise_fingerprint("ab" * 32) == normalise_fingerprint(":".join(["AB"] * 32))
    with pytest.raises(InputError, match="not a SHA-256 fingerprint"):
        normalise_fingerprint("ab:cd")


def test_the_trust_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "trust.json"
    shown = ":".join(["AB"] * 32)
    assert read_trust_file(path) == {}
    assert record_trust(path, "192.0.2.12", "pve2", shown)
    assert not record_trust(path, "192.0.2.12", "pve2", shown)
    assert record_trust(path, "192.0.2.13", "pve3", shown)
    assert read_trust_file(path) == {"192.0.2.12": shown, "192.0.2.13": shown}
    assert not record_trust(None, "192.0.2.12", "pve2", shown)
    # what it may show soon is accepted beside what it shows, until that is known
    coming = normalise_fingerprint("cd" * 32)
    expect_trust(path, "192.0.2.12", "pve2", coming)
    assert accepted_fingerprints((), path, "192.0.2.12") == {shown, coming}
    other = normalise_fingerprint("ef" * 32)
    expect_trust(path, "192.0.2.12", "pve2", other)
    assert accepted_fingerprints((), path, "192.0.2.12") == {shown, coming, other}
    assert record_trust(path, "192.0.2.12", "pve2", coming)
    assert accepted_fingerprints((), path, "192.0.2.12") == {coming}
    expect_trust(None, "192.0.2.12", "pve2", coming)
    path.write_text("[]")
    with pytest.raises(InputError, match="cannot be read"):
        read_trust_file(path)


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, list[bytes]]]:
    """A server with a certificate of its own; what it reads after the handshake lands in the list."""
    directory = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pve1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    certificate = directory / "cert.pem"
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    certificate.write_bytes(private + signed.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    read: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(connection, server_side=True) as peer:
                    read.append(peer.recv(100))
            except OSError:
                continue

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1], read
    listener.close()


def test_nothing_is_sent_to_a_server_with_another_certificate(tls_server: tuple[int, list[bytes]]) -> None:
    port, read = tls_server
    shown = shown_fingerprint("127.0.0.1", port, 5)
    with (
        socket.create_connection(("127.0.0.1", port)) as raw,
        PinnedContext.create(frozenset({shown})).wrap_socket(raw) as right,
    ):
        right.sendall(b"hello")
    other = PinnedContext.create(frozenset({":".join(["AB"] * 32)}))
    with (
        socket.create_connection(("127.0.0.1", port)) as raw,
        pytest.raises(TrustError, match=f"has the fingerprint {shown}, which is not among"),
    ):
        other.wrap_socket(raw)
    assert [text for text in read if text] in ([b"hello"], [])
