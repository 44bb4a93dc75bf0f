# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Second factors by themselves, and the key of tickets (facts §3)."""

from __future__ import annotations

import base64
import contextlib
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from agentstack.access import KEY_LIFE, OLD_KEY, PUBLIC_KEY, Access, tfa
from agentstack.access.tickets import Signer
from agentstack.errors import AgentError

# the secret and the codes of RFC 6238, appendix B
SECRET = base64.b32encode(b"12345678901234567890").decode()
RFC = f"otpauth://totp/x?secret={SECRET}&digits=8"


@pytest.mark.parametrize(("now", "code"), [(59, "94287082"), (1111111109, "07081804"), (20000000000, "65353130")])
def test_codes_of_the_standard(now: int, code: str) -> None:
    totp = tfa.Totp.from_uri(RFC)
    assert totp.count(code, now) == now // 30
    # the period before and the one after are taken, no others
    assert totp.count(code, now + 30) == now // 30
    assert totp.count(code, now - 30) == now // 30
    assert totp.count(code, now + 60) is None


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "https://totp/x?secret=AAAA",
        "otpauth://hotp/x?secret=AAAA",
        "otpauth://totp/x",
        "otpauth://totp/x?secret=1",
        f"otpauth://totp/x?secret={SECRET}&digits=5",
        f"otpauth://totp/x?secret={SECRET}&algorithm=MD5",
    ],
)
def test_uris_that_are_none(uri: str) -> None:
    with pytest.raises(AgentError, match="invalid totp uri"):
        tfa.Totp.from_uri(uri)


def test_a_file_reads_back() -> None:
    data: tfa.Data = {}
    tfa.add_totp(data, RFC, "94287082", "phone", 59)
    tfa.add_recovery(data, 59)
    assert tfa.parse(tfa.format_tfa({"a@pve": data, "b@pve": {}})) == {"a@pve": data}
    assert tfa.challenge(data) == {"totp": True, "recovery": list(range(10))}


def test_locks() -> None:
    data: tfa.Data = {}
    tfa.add_totp(data, RFC, "94287082", "phone", 59)
    (key, *_) = tfa.add_recovery(data, 59)
    assert not tfa.lock(data, "totp", tfa.TOTP_LIMIT - 1, 59)
    assert tfa.lock(data, "totp", tfa.TOTP_LIMIT, 59)
    assert not tfa.verify(data, "totp:94287082", 59).fits
    # a recovery key opens what wrong codes have locked
    assert tfa.verify(data, f"recovery:{key}", 59).fits
    assert tfa.verify(data, "totp:94287082", 59).fits
    assert tfa.lock(data, "recovery", tfa.TFA_LIMIT, 59)
    assert not tfa.verify(data, "totp:07081804", 60).fits
    assert tfa.unlock(data)
    assert not tfa.unlock(data)


def _pair() -> tuple[bytes, bytes]:
    key = rsa.generate_private_key(65537, 1024)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_tickets_of_the_key_before_stay_good() -> None:
    (first, first_public), (second, second_public) = _pair(), _pair()
    ticket = Signer("PVE", first, first_public, b"x").ticket("root@pam", 1000)
    assert Signer("PVE", second, second_public, b"x", first_public).verify(ticket, 1000) == "root@pam"
    assert Signer("PVE", second, second_public, b"x").verify(ticket, 1000) is None


def test_half_tickets_are_their_users_alone() -> None:
    private, public = _pair()
    signer = Signer("PVE", private, public, b"x")
    half = signer.ticket('!tfa!{"totp":true}', 1000, bound="a@pve")
    assert signer.verify(half, 1000, bound="a@pve") == '!tfa!{"totp":true}'
    assert signer.verify(half, 1000, bound="b@pve") is None
    assert signer.verify(half, 1000) is None


class _Files:
    """What renewing the key needs of the cluster file system."""

    mounted = True

    def __init__(self) -> None:
        self.quorate = True
        self.content: dict[str, bytes] = {}
        self.time = 0

    def exists(self, path: str) -> bool:
        return path in self.content

    def mtime(self, _: str) -> int:
        return self.time

    def read(self, path: str) -> bytes:
        return self.content[path]

    async def write(self, path: str, data: bytes | str) -> None:
        self.content[path] = data.encode() if isinstance(data, str) else data

    def lock(self, _: str) -> contextlib.AbstractAsyncContextManager[None]:
        return contextlib.nullcontext()


async def test_the_key_is_renewed_when_it_is_a_day_old() -> None:
    files = _Files()
    host = SimpleNamespace(files=files, clock=SimpleNamespace(now=lambda: 1_000_000.0))
    access = Access(host)  # type: ignore[arg-type]
    files.time = 1_000_000
    await access.start()
    ticket = access.new_ticket("root@pam")[0]
    public = files.content[PUBLIC_KEY]
    await access.rotate_key()
    assert files.content[PUBLIC_KEY] == public
    files.time = 1_000_000 - KEY_LIFE
    files.quorate = False
    await access.rotate_key()
    assert files.content[PUBLIC_KEY] == public
    files.quorate = True
    await access.rotate_key()
    assert files.content[PUBLIC_KEY] != public
    assert files.content[OLD_KEY] == public
    assert access.signer.verify(ticket, 1_000_000) == "root@pam"
    assert access.new_ticket("root@pam")[0] != ticket
