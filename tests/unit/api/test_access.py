# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts: the file, the tickets, who may do what (facts §3)."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from agentstack.access.acl import is_valid_path, normalize_path, privileges_of, roles_of
from agentstack.access.roles import builtin_roles, privileges
from agentstack.access.tickets import LIFE, SKEW, Signer
from agentstack.access.user_cfg import encode_text, format_user_cfg, parse_user_cfg

# as found on a live 9.2 cluster
FILE = """\
user:ops@pve:1:0:::a@b.c:Ops %EF%BF%BD%EF%BF%BD::
token:ops@pve!mon:0:1:monitor:
user:root@pam:1:0::::::
user:x@nosuch:1:0::::::

group:admins:ops@pve:c:

pool:prod:p:999:local:

role:Aud:Sys.Audit,VM.Audit:

acl:0:/:@admins:Aud:
acl:1:/vms/100:ops@pve:PVEVMUser:
"""

BUILTIN = builtin_roles("9.2")


def test_user_cfg_is_written_as_it_was_found() -> None:
    cfg = parse_user_cfg(FILE)
    assert format_user_cfg(cfg) == FILE
    assert cfg.users["ops@pve"].tokens["mon"].privsep
    assert cfg.users["ops@pve"].comment == "Ops ��"
    assert cfg.pools["prod"].vms == {999}
    assert cfg.groups_of("ops@pve") == ["admins"]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_texts_survive_the_file(text: str) -> None:
    cfg = parse_user_cfg("")
    cfg.users["root@pam"].comment = text
    assert parse_user_cfg(format_user_cfg(cfg)).users["root@pam"].comment == text
    assert ":" not in encode_text(text)


def acl(text: str) -> dict[str, dict[str, bool]]:
    cfg = parse_user_cfg(
        "user:a@pve:1:0::::::\nuser:b@pve:1:0::::::\ngroup:g:a@pve,b@pve::\npool:p::100:local:\n" + text
    )
    return {path: privileges_of(cfg, BUILTIN, "a@pve", path) for path in ("/", "/vms", "/vms/100", "/storage/local")}


@pytest.mark.parametrize(
    ("lines", "path", "held"),
    [
        ("acl:1:/:a@pve:PVEAuditor:", "/vms/100", "VM.Audit"),
        ("acl:1:/:@g:PVEAuditor:", "/vms/100", "VM.Audit"),
        ("acl:0:/:a@pve:PVEAuditor:", "/", "VM.Audit"),
        ("acl:1:/pool/p:a@pve:PVEVMUser:", "/vms/100", "VM.PowerMgmt"),
        ("acl:1:/pool/p:a@pve:PVEDatastoreUser:", "/storage/local", "Datastore.AllocateSpace"),
        # a user's own entry comes before the group's on the same path
        ("acl:1:/:@g:NoAccess:\nacl:1:/:a@pve:PVEAuditor:", "/vms", "VM.Audit"),
        # a deeper path replaces what is inherited
        ("acl:1:/:a@pve:NoAccess:\nacl:1:/vms:a@pve:PVEVMUser:", "/vms/100", "VM.Audit"),
    ],
)
def test_held(lines: str, path: str, held: str) -> None:
    assert held in acl(lines)[path]


@pytest.mark.parametrize(
    ("lines", "path"),
    [
        ("", "/"),
        ("acl:0:/:a@pve:PVEAuditor:", "/vms"),
        ("acl:1:/:b@pve:PVEAuditor:", "/"),
        ("acl:1:/:a@pve:NoAccess:\nacl:1:/:a@pve:PVEAuditor:", "/"),
        ("acl:1:/:a@pve:PVEAuditor:\nacl:1:/vms:a@pve:NoAccess:", "/vms/100"),
        ("acl:1:/pool/p:a@pve:PVEVMUser:\nacl:1:/vms/100:a@pve:NoAccess:", "/vms/100"),
    ],
)
def test_not_held(lines: str, path: str) -> None:
    assert acl(lines)[path] == {}


def test_a_token_is_a_subject_of_its_own() -> None:
    cfg = parse_user_cfg(FILE + "acl:1:/nodes:ops@pve!mon:PVEAuditor:\n")
    assert roles_of(cfg, "ops@pve!mon", "/nodes/pve1") == {"PVEAuditor": True}
    assert roles_of(cfg, "ops@pve!mon", "/vms/100") == {}


def test_roles_of_both_releases() -> None:
    assert "VM.Monitor" in privileges("8.4")
    assert "VM.Monitor" not in privileges("9.2")
    assert BUILTIN["Administrator"] == privileges("9.2")
    assert "Sys.Modify" not in BUILTIN["PVEAdmin"]
    assert "Sys.Audit" in BUILTIN["PVEAuditor"]
    assert set(builtin_roles("8.4")) == set(BUILTIN) == {
        "Administrator", "NoAccess", "PVEAdmin", "PVEAuditor", "PVETemplateUser", "PVEVMAdmin", "PVEVMUser",
        "PVESysAdmin", "PVEDatastoreAdmin", "PVEDatastoreUser", "PVESDNAdmin", "PVESDNUser", "PVEUserAdmin",
        "PVEPoolAdmin", "PVEPoolUser", "PVEMappingAdmin", "PVEMappingUser",
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/", "/access/groups", "/nodes/pve1", "/pool/a/b", "/storage/local", "/vms/100"])
def test_valid_acl_paths(path: str) -> None:
    assert normalize_path(path + "/") == path
    assert is_valid_path(path)


@pytest.mark.parametrize("path", ["/nope/x", "/vms/99", "/nodes/a/b", "/access/users"])
def test_invalid_acl_paths(path: str) -> None:
    assert not is_valid_path(path)


@pytest.fixture(scope="module")
def signer() -> Signer:
    key = rsa.generate_private_key(65537, 1024)
    return Signer(
        "PVE",
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        b"secret",
    )


def test_tickets(signer: Signer) -> None:
    now = 1795290000.0
    ticket = signer.ticket("root@pam", now)
    assert ticket.startswith(f"PVE:root@pam:{int(now):08X}::")
    assert signer.verify(ticket, now + LIFE) == "root@pam"
    assert signer.verify(ticket, now - SKEW) == "root@pam"
    assert signer.verify(ticket, now + LIFE + 1) is None
    assert signer.verify(ticket, now - SKEW - 1) is None
    assert signer.verify(ticket.replace("root@pam", "toor@pam"), now) is None
    assert signer.verify(ticket.replace("PVE:", "PBS:"), now) is None
    assert signer.verify("PVE:root@pam:6B01F2DA::AAAA", now) is None
    assert signer.verify("x", now) is None


def test_csrf_tokens(signer: Signer) -> None:
    now = 1795290000.0
    token = signer.csrf_token("root@pam", now)
    assert signer.verify_csrf(token, "root@pam", now)
    assert not signer.verify_csrf(token, "a@pve", now)
    assert not signer.verify_csrf(token, "root@pam", now + LIFE + 1)
    assert not signer.verify_csrf("", "root@pam", now)


@given(st.text())
def test_no_text_is_a_ticket_by_chance(signer: Signer, text: str) -> None:
    assert signer.verify(text, 0) is None
    assert signer.verify(f"PVE:root@pam:00000000::{text}", 0) is None
