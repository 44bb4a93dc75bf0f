# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts of the authority (RFC 8555 §7.3)."""

from __future__ import annotations

import re
from typing import Any

from agentstack import jws
from agentstack.authority.documents import Documents
from agentstack.authority.problems import Problem
from agentstack.authority.register import Account, Register, new_id
from agentstack.authority.requests import Signed
from agentstack.stack import Authority

_MAIL = re.compile(r"mailto:[^@\s,?]+@[^@\s,?]+\.[^@\s,?.]+")


def of(signed: Signed) -> Account:
    """Whose account has signed; raises Problem."""
    if signed.account is None:
        raise Problem("malformed", "No Key ID in JWS header")
    return signed.account


def own(signed: Signed, ident: str) -> Account:
    """The account of that id, which has to be the one that has signed; raises Problem."""
    account = of(signed)
    if account.id != ident:
        raise Problem("unauthorized", "Request signing key did not match account key")
    return account


def create(register: Register, signed: Signed, authority: Authority, url: str) -> Account:
    """A new account for the key that has signed; raises Problem."""
    given = signed.content
    if given.get("onlyReturnExisting"):
        raise Problem("accountDoesNotExist", "No account exists with the provided key")
    if given.get("termsOfServiceAgreed") is not True:
        raise Problem("userActionRequired", "must agree to terms of service")
    account = Account(new_id(), dict(signed.message.header["jwk"]), _contact(given.get("contact", [])), agreed=True)
    account.external = _binding(given.get("externalAccountBinding"), signed, authority, url)
    register.accounts[account.id] = account
    register.save()
    return account


def update(account: Account, given: dict[str, Any]) -> None:
    """Change contacts, or deactivate for good; raises Problem. What else is given is to be ignored (§7.3.2)."""
    if "contact" in given:
        account.contact = _contact(given["contact"])
    if given.get("status") == "deactivated":
        account.status = "deactivated"


def change_key(register: Register, signed: Signed, documents: Documents, url: str) -> Account:
    """Take another key, which has signed that it wants to be (§7.3.5); raises Problem."""
    account = of(signed)
    try:
        inner = jws.Message.parse(signed.content)
        key = jws.public_key(inner.header.get("jwk"))
        inner.verify(key)
        wish = inner.content
    except jws.BadMessage as error:
        raise Problem("malformed", f"inner JWS: {error}") from error
    before = jws.thumbprint(jws.public_key(wish.get("oldKey")))
    if inner.header.get("url") != url or wish.get("account") != documents.account_url(account.id):
        raise Problem("malformed", "Inner JWS names another URL or another account than the outer one")
    if before != jws.thumbprint(account.jwk):
        raise Problem("malformed", "Inner JWS does not contain an 'oldKey' field matching the account's current key")
    if (holder := register.account_of(key)) is not None:
        problem = Problem("malformed", "New key is already in use for a different account", status=409)
        problem.headers["Location"] = documents.account_url(holder.id)
        raise problem
    account.key = dict(inner.header["jwk"])
    return account


def _contact(given: object) -> list[str]:
    if not isinstance(given, list):
        raise Problem("malformed", "contact has to be a list")
    for each in given:
        if not isinstance(each, str) or not each.startswith("mailto:"):
            raise Problem("unsupportedContact", f"contact method of {each!r} is not supported, only mailto")
        if not _MAIL.fullmatch(each):
            raise Problem("invalidContact", f"contact email {each!r} is invalid")
    return [str(each) for each in given]


def _binding(given: object, signed: Signed, authority: Authority, url: str) -> dict[str, Any] | None:
    """What binds the key to an account elsewhere; raises Problem where that is needed and not there, or not right."""
    if not authority.external_accounts:
        return None
    if not isinstance(given, dict):
        raise Problem(
            "externalAccountRequired", "The request must include a value for the 'externalAccountBinding' field"
        )
    try:
        inner = jws.Message.parse(given)
        secret = authority.external_accounts.get(str(inner.header.get("kid")))
        if secret is None:
            raise Problem(
                "unauthorized", f"the field 'kid' references a key that is not known: {inner.header.get('kid')!r}"
            )
        inner.verify(jws.external_key(secret), ("HS256",))
        same = jws.thumbprint(jws.public_key(inner.content)) == jws.thumbprint(signed.key)
    except jws.BadMessage as error:
        raise Problem("malformed", f"externalAccountBinding: {error}") from error
    if inner.header.get("url") != url or "nonce" in inner.header or not same:
        raise Problem("malformed", "externalAccountBinding is for another key or another URL")
    return given
