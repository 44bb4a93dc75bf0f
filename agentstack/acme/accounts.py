# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts with authorities, one file each in /etc/pve/priv/acme: JSON, with the account's private key in it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from josepy.jwk import JWK, JWKRSA

from agentstack import jws, x509
from agentstack.acme.client import Client
from agentstack.errors import AgentError, ParameterError
from agentstack.tasks import Task

if TYPE_CHECKING:
    from agentstack.host import Host

DIRECTORY = "priv/acme"
PLUGINS = "plugins.cfg"
GONE = "_deactivated_"
"""What the names of files of accounts begin with that are no more."""
LOCK = "acme"

TEXTS = {
    "missing": "ACME account config file '{name}' does not exist.",
    "exists": "ACME account config file '{name}' already exists.",
}


@dataclass
class Account:
    """An account as its file has it. `key`: PEM; `location`: its URL; `account`: what the authority says of it."""

    name: str
    directory: str
    key: str
    location: str = ""
    tos: str | None = None
    account: dict[str, Any] | None = None

    @property
    def jwk(self) -> JWK:
        """The key that signs."""
        return JWKRSA.load(self.key.encode())

    def client(self, host: Host) -> Client:
        """Calls in this account's name."""
        return Client(host, self.directory, self.jwk, self.location or None)

    def shown(self) -> dict[str, Any]:
        """What the API shows: not the key."""
        found = {"account": self.account or {}, "directory": self.directory, "location": self.location}
        return found | ({"tos": self.tos} if self.tos else {})


def names(host: Host) -> list[str]:
    """The accounts that there are."""
    found = host.files.listdir(DIRECTORY) if host.files.is_directory(DIRECTORY) else []
    return [name for name in found if name != PLUGINS and not name.startswith(GONE)]


def read(host: Host, name: str) -> Account:
    """An account; raises ParameterError."""
    if name not in names(host):
        raise ParameterError({"name": TEXTS["missing"].format(name=name)})
    kept = json.loads(host.files.read_text(f"{DIRECTORY}/{name}"))
    known = {each: kept.get(each) for each in ("key", "location", "tos", "account")}
    return Account(name=name, directory=kept["directory"], **known)


async def write(host: Host, account: Account) -> None:
    """Keep an account."""
    if not host.files.is_directory(DIRECTORY):
        await host.files.mkdir(DIRECTORY, exist_ok=True)
    await host.files.write(f"{DIRECTORY}/{account.name}", json.dumps({**account.shown(), "key": account.key}))


def refuse_existing(host: Host, name: str) -> None:
    """ParameterError if there is an account of that name."""
    if name in names(host) or name == PLUGINS:
        raise ParameterError({"name": TEXTS["exists"].format(name=name)})


async def register(host: Host, task: Task, given: Mapping[str, Any], name: str, directory: str) -> None:
    """The work of `acmeregister`: a key, an account with the authority, and its file."""
    async with host.files.lock(LOCK):
        refuse_existing(host, name)
        task.log("Generating ACME account key..")
        key = (await asyncio.to_thread(x509.new_key)).decode()
        account = Account(name, directory, key, tos=given.get("tos_url"))
        task.log("Registering ACME account..")
        async with account.client(host) as client:
            url = await client.resource("newAccount")
            wish: dict[str, Any] = {"contact": _contact(given["contact"])}
            if account.tos:
                wish["termsOfServiceAgreed"] = True
            if "eab-kid" in given:
                try:
                    bound = jws.bind(given["eab-kid"], given["eab-hmac-key"], account.jwk, url)
                except jws.BadMessage as error:
                    raise AgentError(str(error)) from error
                wish["externalAccountBinding"] = bound
            answer = await client.post(url, wish)
        account.location, account.account = answer.headers.get("Location", ""), answer.json
        await write(host, account)
        task.log(f"Registration successful, account URL: '{account.location}'")


async def update(host: Host, task: Task, name: str, contact: str | None) -> None:
    """The work of `acmeupdate`: tell the authority of other addresses; without any, ask what it knows."""
    async with host.files.lock(LOCK):
        account = read(host, name)
        task.log("Updating ACME account..")
        async with account.client(host) as client:
            answer = await client.post(account.location, {} if contact is None else {"contact": _contact(contact)})
        account.account = answer.json
        await write(host, account)
        task.log("Update successful")


async def deactivate(host: Host, task: Task, name: str) -> None:
    """The work of `acmedeactivate`: end the account for good; its file stays under another name."""
    async with host.files.lock(LOCK):
        account = read(host, name)
        task.log("Deactivating ACME account..")
        async with account.client(host) as client:
            answer = await client.post(account.location, {"status": "deactivated"})
        account.account = answer.json
        number = 0
        while host.files.exists(f"{DIRECTORY}/{GONE}{name}_{number}"):
            number += 1
        account.name = f"{GONE}{name}_{number}"
        await write(host, account)
        await host.files.delete(f"{DIRECTORY}/{name}")
        task.log("Account deactivated and its configuration renamed")


def _contact(addresses: str) -> list[str]:
    return [f"mailto:{each.strip()}" for each in addresses.replace(";", ",").split(",") if each.strip()]
