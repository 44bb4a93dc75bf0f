# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords, certificates, state directories, and who owns a port."""

from __future__ import annotations

import socket
import ssl
import stat
import time
from pathlib import Path

import pytest
from cryptography import x509 as reader

from agentstack import control, pam, statedir, x509
from agentstack.ports import claim_net, hold_claim
from agentstack.reader import StackError
from agentstack.stackfile import loads

NOW = time.time()
STACK = loads("hosts: {pve1: {}, pve2: {}}", net=254)


def test_passwords(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    assert not pam.check_password(tmp_path, "root", "")
    pam.set_password(tmp_path, "root", "first")
    pam.set_password(tmp_path, "other", "third")
    pam.set_password(tmp_path, "root", "second")
    assert pam.check_password(tmp_path, "root", "second")
    assert not pam.check_password(tmp_path, "root", "first")
    assert not pam.check_password(tmp_path, "nobody", "second")
    assert pam.has_user(tmp_path, "other")
    assert "second" not in (tmp_path / "etc/shadow").read_text()
    assert stat.S_IMODE((tmp_path / "etc/shadow").stat().st_mode) == 0o600


def test_a_node_certificate_is_vouched_for_by_its_cluster() -> None:
    ca = x509.make_ca(NOW)
    pair = x509.make_node_certificate(ca, "pve1.lab.test", ["127.64.0.11"], NOW)
    certificate = reader.load_pem_x509_certificate(pair.certificate)
    certificate.verify_directly_issued_by(reader.load_pem_x509_certificate(ca.certificate))
    names = certificate.extensions.get_extension_for_class(reader.SubjectAlternativeName).value
    assert names.get_values_for_type(reader.DNSName) == ["localhost", "pve1", "pve1.lab.test"]
    assert [str(ip) for ip in names.get_values_for_type(reader.IPAddress)] == ["127.0.0.1", "::1", "127.64.0.11"]
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days == 730


def test_clients_accept_the_certificate_by_its_ca(tmp_path: Path) -> None:
    ca = x509.make_ca(NOW)
    pair = x509.make_node_certificate(ca, "pve1.lab.test", ["127.0.0.1"], NOW)
    (tmp_path / "chain").write_bytes(pair.key + pair.certificate)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(tmp_path / "chain")
    client = ssl.create_default_context(cadata=ca.certificate.decode())
    # the product's CA has no key usage (it comes from `openssl req -x509`), which newer Pythons object to by default
    client.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = served.wrap_bio(incoming, outgoing, server_side=True)
    client_side = client.wrap_bio(outgoing, incoming, server_hostname="pve1.lab.test")
    done = 0
    for _ in range(6):
        for side in (client_side, server_side):
            try:
                side.do_handshake()
                done += 1
            except ssl.SSLWantReadError:
                continue
    assert done
    assert client_side.getpeercert()


def test_fingerprints() -> None:
    ca = x509.make_self_signed("Proxmox Backup Server", "unit", "pbs1.lab.test", [], NOW)
    text = x509.fingerprint(ca.certificate)
    assert len(text) == 95
    assert text == text.upper()
    with pytest.raises(ValueError, match="no certificate"):
        x509.fingerprint(ca.key)


def test_definition_and_secrets_of_a_state_directory(tmp_path: Path) -> None:
    source = "hosts: {pve1: {}, pve2: {}}"
    statedir.make_secrets(tmp_path)
    password = statedir.root_password(tmp_path)
    statedir.make_secrets(tmp_path)
    assert statedir.root_password(tmp_path) == password
    assert password.isalnum(), "one that begins with a dash is an option where a command line has it"
    assert len(password) >= 20
    statedir.add_secrets(tmp_path, {"pve1": {"fingerprint": "A"}})
    statedir.add_secrets(tmp_path, {"pve1": {"fingerprint": "B"}, "pve2": {"fingerprint": "C"}})
    text = (tmp_path / "secrets.yml").read_text()
    assert "fingerprint: A" in text
    assert "fingerprint: B" not in text
    assert "fingerprint: C" in text

    with pytest.raises(StackError, match="holds no stack"):
        statedir.read_stack(tmp_path)
    statedir.write_stack(tmp_path, STACK, source)
    assert statedir.read_stack(tmp_path) == STACK
    (tmp_path / "stack.json").write_text("{")
    with pytest.raises(StackError, match="cannot be read"):
        statedir.read_stack(tmp_path)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("hosts: {pve1: {}, pve2: {}}", None),
        ("net: 9\nhosts: {pve1: {}, pve2: {}}", None),
        ("hosts: {pve1: {}}", "host pve2 is gone"),
        ("hosts: {pve1: {}, pve2: {}, pve3: {}}", "host pve3 is new"),
        ("hosts: {pve1: {memory: 1G}, pve2: {}}", "host pve1 has changed"),
        ("scale: 2\nhosts: {pve1: {}, pve2: {}}", "scale has changed"),
        ("networks: {mgmt: {mtu: 9000}}\nhosts: {pve1: {}, pve2: {}}", "networks has changed"),
    ],
)
def test_what_another_file_says_differently(text: str, word: str | None) -> None:
    assert statedir.difference(STACK, loads(text)) == word


def test_a_net_is_claimed_once(tmp_path: Path) -> None:
    stack, claim = claim_net(STACK, tmp_path)
    with claim:
        hold_claim(claim.fileno())
        with pytest.raises(StackError, match=r"127\.254\.0\.0/16 of .* belongs to another stack \(process \d+\)"):
            claim_net(STACK, tmp_path)
    _, again = claim_net(stack, tmp_path)
    again.close()


def test_a_taken_port_is_named_and_the_net_let_go(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.254.0.12", 2222)),
        pytest.raises(StackError, match=r"pve2: 127\.254\.0\.12 port 2222 is taken by .+ \(process \d+\)"),
    ):
        claim_net(STACK, tmp_path)
    _, claim = claim_net(STACK, tmp_path)
    claim.close()


def test_nets_with_taken_ports_are_passed_over(tmp_path: Path) -> None:
    free, claim = claim_net(STACK.on_net(0), tmp_path)
    claim.close()
    with socket.create_server((free.hosts["pve1"].address, 8006)):
        other, claim = claim_net(STACK.on_net(0), tmp_path)
        claim.close()
    assert other.net > free.net


def test_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(control.NotRunning, match="no stack is up"):
        control.request(tmp_path, {"do": "status"})
    with pytest.raises(control.NotRunning):
        control.request(tmp_path / "nowhere", {"do": "status"})
