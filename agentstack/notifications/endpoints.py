# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Delivery: by SMTP, to a Gotify server, to a webhook, and by the host's own mail system."""

from __future__ import annotations

import asyncio
import base64
import binascii
import html
import json
import re
import smtplib
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formataddr, formatdate, make_msgid
from pathlib import Path
from typing import Any

import aiohttp

from agentstack._shared.property_string import parse_property_string
from agentstack.errors import AgentError
from agentstack.notifications.message import Notification
from agentstack.notifications.templates import render, variables

PORTS = {"insecure": 25, "starttls": 587, "tls": 465}
PRIORITIES = {"info": 1, "notice": 3, "warning": 5, "error": 9, "unknown": 3}
"""What Gotify calls a severity."""

TIMEOUT = 10.0
"""Real seconds for which another server is waited for."""

MAILBOXES = "var/mail"
DEFERRED = "var/spool/postfix/deferred"
_POSTFIX = "etc/postfix/main.cf"
_RELAY = re.compile(r"^\s*relayhost\s*=\s*\[?([^\]\s:]+)\]?(?::(\d+))?", re.MULTILINE)
_NAMED: Mapping[str, Mapping[str, Any]] = {"name": {"type": "string"}, "value": {"type": "string", "optional": True}}


@dataclass(frozen=True)
class Sender:
    """The host that sends: its file system, its name, who signs its mails, and a user's address (None: no mail)."""

    root: Path
    hostname: str
    author: str
    address_of: Callable[[str], str | None]


class Failed(Exception):
    """A delivery that did not work out; the text says why."""


async def deliver(sender: Sender, kind: str, values: Mapping[str, Any], notification: Notification) -> None:
    """Send a notification to one endpoint; raises Failed."""
    try:
        await _SENDERS[kind](sender, values, notification)
    except (OSError, smtplib.SMTPException, aiohttp.ClientError, TimeoutError, AgentError, ValueError) as error:
        raise Failed(str(error) or type(error).__name__) from error


# --- mail -------------------------------------------------------------------------------------------------------------


def _recipients(sender: Sender, values: Mapping[str, Any]) -> list[str]:
    users = (sender.address_of(user) for user in values.get("mailto-user", []))
    found = list(dict.fromkeys([*values.get("mailto", []), *filter(None, users)]))
    if not found:
        raise Failed("no recipients")
    return found


def compose(sender: Sender, origin: str, author: str, recipients: list[str], told: Notification) -> EmailMessage:
    """A notification as a mail, in plain text and as HTML."""
    mail = EmailMessage()
    mail["Subject"] = " ".join(told.title.split())
    mail["From"] = formataddr((author, origin))
    mail["To"] = ", ".join(recipients)
    mail["Date"] = formatdate(told.time)
    mail["Message-ID"] = make_msgid(domain=sender.hostname)
    mail["Auto-Submitted"] = "auto-generated;"
    mail.set_content(told.text)
    mail.add_alternative(f"<html><body><pre>\n{html.escape(told.text)}\n</pre></body></html>\n", subtype="html")
    return mail


async def _smtp(sender: Sender, values: Mapping[str, Any], notification: Notification) -> None:
    recipients = _recipients(sender, values)
    mode = values.get("mode", "tls")
    port = values.get("port", PORTS[mode])
    author = values.get("author", sender.author)
    mail = compose(sender, values["from-address"], author, recipients, notification)

    def send() -> None:
        with _connection(values["server"], port, mode) as server:
            if "username" in values:
                server.login(values["username"], values.get("password", ""))
            server.send_message(mail)

    await asyncio.to_thread(send)


def _connection(host: str, port: int, mode: str) -> smtplib.SMTP:
    if mode == "tls":
        return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT, context=ssl.create_default_context())
    server = smtplib.SMTP(host, port, timeout=TIMEOUT)
    if mode == "starttls":
        server.starttls(context=ssl.create_default_context())
    return server


async def _sendmail(sender: Sender, values: Mapping[str, Any], notification: Notification) -> None:
    """Mail without `@` is for mailboxes of this host; other mail goes to the relay, or waits until there is one."""
    recipients = _recipients(sender, values)
    origin, author = values.get("from-address", f"root@{sender.hostname}"), values.get("author", sender.author)
    mail = compose(sender, origin, author, recipients, notification)
    local = [name for name in recipients if "@" not in name]
    remote = [name for name in recipients if "@" in name]
    await asyncio.to_thread(_to_mailboxes, sender.root, local, mail)
    if remote:
        await asyncio.to_thread(_to_relay, sender.root, remote, mail)


def _to_mailboxes(root: Path, names: list[str], mail: EmailMessage) -> None:
    for name in names:
        if "/" in name or name.startswith("."):
            raise Failed(f"no such mailbox '{name}'")
        path = root / MAILBOXES / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as stream:
            stream.write(b"From root " + mail["Date"].encode() + b"\n" + mail.as_bytes() + b"\n")


def _to_relay(root: Path, recipients: list[str], mail: EmailMessage) -> None:
    path = root / _POSTFIX
    relay = _RELAY.search(path.read_text(encoding="utf-8")) if path.exists() else None
    try:
        if relay is None:
            raise OSError("no relay")
        with smtplib.SMTP(relay[1], int(relay[2] or PORTS["insecure"]), timeout=TIMEOUT) as server:
            server.send_message(mail, to_addrs=recipients)
    except (OSError, smtplib.SMTPException):
        # what takes mails in has succeeded; they wait in its queue
        queue = root / DEFERRED
        queue.mkdir(parents=True, exist_ok=True)
        (queue / mail["Message-ID"].strip("<>")).write_bytes(mail.as_bytes())


# --- HTTP -------------------------------------------------------------------------------------------------------------


async def _request(verb: str, url: str, *, headers: Mapping[str, str], body: bytes | None) -> None:
    limit = aiohttp.ClientTimeout(total=TIMEOUT)
    async with (
        aiohttp.ClientSession(timeout=limit) as session,
        session.request(verb, url, headers=headers, data=body) as answer,
    ):
        if answer.status >= 400:
            raise Failed(f"HTTP Error {answer.status}: {answer.reason}")


async def _gotify(sender: Sender, values: Mapping[str, Any], notification: Notification) -> None:
    document = {
        "title": notification.title,
        "message": f"```\n{notification.text}\n```",
        "priority": PRIORITIES[notification.severity],
        "extras": {"client::display": {"contentType": "text/markdown"}},
    }
    headers = {"Content-Type": "application/json", "X-Gotify-Key": values.get("token", "")}
    url = f"{values['server'].rstrip('/')}/message"
    await _request("POST", url, headers=headers, body=json.dumps(document).encode())


async def _webhook(sender: Sender, values: Mapping[str, Any], notification: Notification) -> None:
    known = variables(notification, named_values(values.get("secret", [])))
    headers = {name: render(text, known) for name, text in named_values(values.get("header", [])).items()}
    body = render(_decoded(values["body"]), known).encode() if "body" in values else None
    await _request(values["method"].upper(), render(values["url"], known), headers=headers, body=body)


def named_values(properties: list[str]) -> dict[str, str]:
    """The values of `name=NAME,value=BASE64`, by name; raises ValueError."""
    parsed = (parse_property_string(text, _NAMED) for text in properties)
    return {str(entry["name"]): _decoded(str(entry.get("value", ""))) for entry in parsed}


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(f"could not decode base64 value: {error}") from error


_SENDERS: Mapping[str, Callable[[Sender, Mapping[str, Any], Notification], Awaitable[None]]] = {
    "sendmail": _sendmail,
    "smtp": _smtp,
    "gotify": _gotify,
    "webhook": _webhook,
}
