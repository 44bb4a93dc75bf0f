# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the authority answers: the resources of RFC 8555 §7, and the update call of acme-dns."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from agentstack import jws
from agentstack.authority import accounts, certificates, validation
from agentstack.authority.documents import Documents
from agentstack.authority.problems import Problem
from agentstack.authority.register import Authorization, Challenge, Order, Register, new_id
from agentstack.authority.requests import Nonces, Signed, check
from agentstack.stack import Authority, Stack

log = logging.getLogger(__name__)

ORDER_LIFE = 7 * 86400.0
"""Real seconds in which the proofs of an order have to be there."""
RETRY_AFTER = 3600
"""Seconds that who asks too often is told to wait."""
MOST_DOMAINS = 100
DOMAIN = re.compile(r"(?=.{4,253}$)(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")

Handler = Callable[[web.Request, Signed], Awaitable[web.Response]]


class Service:
    """The web server's handlers. `faults`: what is wrong with the authority at present (cut, limited, refusing).

    `now`: the time.
    """

    def __init__(
        self,
        stack: Stack,
        authority: Authority,
        register: Register,
        directory: Path,
        faults: Callable[[], dict[str, bool]],
        now: Callable[[], float],
    ) -> None:
        self.authority = authority
        self.register = register
        self.directory = directory
        self.faults = faults
        self.now = now
        self.nonces = Nonces()
        self.names = validation.Names(stack, authority)
        self.documents = Documents(authority.url, register, now)
        self._looking: set[asyncio.Task[None]] = set()

    def application(self) -> web.Application:
        """Everything, for aiohttp."""
        app = web.Application(middlewares=[self._guard])
        app.add_routes(
            [
                web.get("/directory", self._directory),
                web.route("HEAD", "/new-nonce", self._nonce),
                web.get("/new-nonce", self._nonce, allow_head=False),
                web.get("/terms", self._terms),
                web.post("/update", self._update_record),
                *(web.post(path, self._signed(handler)) for path, handler in self._resources().items()),
            ]
        )
        return app

    def _resources(self) -> dict[str, Handler]:
        return {
            "/new-account": self._new_account,
            "/account/{id}": self._account,
            "/account/{id}/orders": self._orders,
            "/key-change": self._change_key,
            "/new-order": self._new_order,
            "/order/{id}": self._order,
            "/order/{id}/finalize": self._finalize,
            "/authorization/{id}": self._authorization,
            "/challenge/{id}/{type}": self._challenge,
            "/certificate/{id}": self._certificate,
            "/revoke": self._revoke,
        }

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Problems become answers, and every answer to a signed request brings the number for the next one."""
        if self.faults().get("cut") and request.transport is not None:
            request.transport.abort()
            return web.Response()
        try:
            answer = await handler(request)
        except Problem as problem:
            log.info("%s %s: %s: %s", request.method, request.path, problem.kind, problem.detail)
            answer = web.json_response(
                problem.describe(),
                status=problem.status,
                headers=problem.headers,
                content_type="application/problem+json",
            )
        except web.HTTPException as error:
            answer = web.json_response(
                {"type": "about:blank", "detail": error.reason, "status": error.status},
                status=error.status,
                content_type="application/problem+json",
            )
        if request.method == "POST" or request.path == "/new-nonce":
            answer.headers["Replay-Nonce"] = self.nonces.new()
        answer.headers["Cache-Control"] = "public, max-age=0, no-cache"
        answer.headers.add("Link", f'<{self.authority.directory}>;rel="index"')
        return answer

    def _signed(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            url = f"{self.authority.url}{request.path}"
            signed = await check(request, url, self.register, self.nonces, self.documents.account_url(""))
            return await handler(request, signed)

        return answer

    # -- without a signature ------------------------------------------------------------------------------------

    async def _directory(self, request: web.Request) -> web.Response:
        return web.json_response(self.documents.directory(external=bool(self.authority.external_accounts)))

    async def _nonce(self, request: web.Request) -> web.Response:
        return web.Response(status=200 if request.method == "HEAD" else 204)

    async def _terms(self, request: web.Request) -> web.Response:
        return web.Response(text="The certificates of this authority are for rehearsals.\n")

    async def _update_record(self, request: web.Request) -> web.Response:
        """As acme-dns does: the newest texts of a subdomain, for who has its account."""
        user, key = request.headers.get("X-Api-User", ""), request.headers.get("X-Api-Key", "")
        try:
            given = json.loads(await request.read())
            subdomain, text = given["subdomain"], given["txt"]
        except (ValueError, KeyError, TypeError):
            return web.json_response({"error": "malformed_json_payload"}, status=400)
        known = any(
            (each.subdomain, each.username) == (subdomain, user)
            and hmac.compare_digest(each.password.encode(), key.encode())
            for each in self.authority.dns.values()
        )
        if not known:
            return web.json_response({"error": "forbidden"}, status=401)
        if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z0-9_-]{43}", text):
            return web.json_response({"error": "bad_txt"}, status=400)
        self.names.write(subdomain, text)
        return web.json_response({"txt": text})

    # -- accounts -----------------------------------------------------------------------------------------------

    async def _new_account(self, request: web.Request, signed: Signed) -> web.Response:
        known = self.register.account_of(signed.key)
        if signed.account is not None:
            raise Problem("malformed", "newAccount has to be signed by the new account's key, in jwk")
        if known is None:
            self._limit()
        account = known or accounts.create(self.register, signed, self.authority, f"{self.authority.url}{request.path}")
        if account.status != "valid":
            raise Problem("unauthorized", "An account with the provided public key exists but is deactivated")
        return self._answer(
            self.documents.account(account),
            status=200 if known else 201,
            Location=self.documents.account_url(account.id),
        )

    async def _account(self, request: web.Request, signed: Signed) -> web.Response:
        account = accounts.own(signed, request.match_info["id"])
        accounts.update(account, signed.content)
        self.register.save()
        return self._answer(self.documents.account(account))

    async def _orders(self, request: web.Request, signed: Signed) -> web.Response:
        account = accounts.own(signed, request.match_info["id"])
        mine = [
            self.documents.order_url(each.id) for each in self.register.orders.values() if each.account == account.id
        ]
        return self._answer({"orders": mine})

    async def _change_key(self, request: web.Request, signed: Signed) -> web.Response:
        account = accounts.change_key(self.register, signed, self.documents, f"{self.authority.url}{request.path}")
        self.register.save()
        return self._answer(self.documents.account(account))

    # -- orders -------------------------------------------------------------------------------------------------

    async def _new_order(self, request: web.Request, signed: Signed) -> web.Response:
        account = accounts.of(signed)
        domains = _domains(signed.content)
        self._limit()
        now = self.now()
        made = []
        for domain in domains:
            bare = domain.removeprefix("*.")
            kinds = [validation.DNS] if bare != domain else [validation.HTTP, validation.DNS]
            ways = [Challenge(kind, new_id() + new_id()) for kind in kinds]
            made.append(Authorization(new_id(), account.id, bare, bare != domain, now + ORDER_LIFE, ways))
        order = Order(new_id(), account.id, domains, [each.id for each in made], now + ORDER_LIFE)
        self.register.authorizations |= {each.id: each for each in made}
        self.register.orders[order.id] = order
        self.register.save()
        return self._answer(self.documents.order(order), status=201, Location=self.documents.order_url(order.id))

    async def _order(self, request: web.Request, signed: Signed) -> web.Response:
        return self._answer(self.documents.order(self._own_order(request, signed)))

    async def _finalize(self, request: web.Request, signed: Signed) -> web.Response:
        order = self._own_order(request, signed)
        status = self.register.status_of(order, self.now())
        if status != "ready":
            raise Problem("orderNotReady", f"Order's status ({status!r}) is not acceptable for finalization")
        wanted = certificates.requested(signed, order)
        issued = certificates.issue(self.directory, order, wanted, self.now(), self.authority.validity)
        order.certificate = issued.id
        self.register.certificates[issued.id] = issued
        self.register.save()
        return self._answer(self.documents.order(order), Location=self.documents.order_url(order.id))

    async def _certificate(self, request: web.Request, signed: Signed) -> web.Response:
        found = self.register.certificates.get(request.match_info["id"])
        if found is None or found.account != accounts.of(signed).id:
            raise Problem("malformed", "Certificate not found", status=404)
        return web.Response(text=found.chain, content_type="application/pem-certificate-chain")

    async def _revoke(self, request: web.Request, signed: Signed) -> web.Response:
        certificates.revoke(self.register, signed)
        self.register.save()
        return web.Response()

    # -- authorizations -----------------------------------------------------------------------------------------

    async def _authorization(self, request: web.Request, signed: Signed) -> web.Response:
        found = self._own_authorization(request, signed)
        given = signed.content
        if given:
            if given != {"status": "deactivated"}:
                raise Problem("malformed", "Only the status of an authorization can be changed, to deactivated")
            found.deactivated = True
            self.register.save()
        return self._answer(self.documents.authorization(found))

    async def _challenge(self, request: web.Request, signed: Signed) -> web.Response:
        found = self._own_authorization(request, signed)
        challenge = next((each for each in found.challenges if each.type == request.match_info["type"]), None)
        if challenge is None:
            raise Problem("malformed", "Challenge not found", status=404)
        if not signed.is_read and found.status == "pending" and challenge.status == "pending":
            challenge.status = "processing"
            looking = asyncio.get_running_loop().create_task(self._look(found, challenge, jws.thumbprint(signed.key)))
            self._looking.add(looking)
            looking.add_done_callback(self._looking.discard)
        answer = self._answer(self.documents.challenge(found, challenge))
        answer.headers.add("Link", f'<{self.documents.authorization_url(found.id)}>;rel="up"')
        return answer

    async def _look(self, found: Authorization, challenge: Challenge, thumbprint: str) -> None:
        proof = f"{challenge.token}.{thumbprint}"
        try:
            if self.faults().get("refusing"):
                raise Problem("unauthorized", f"{found.domain}: During secondary validation: the proof is not accepted")
            await validation.look(self.names, self.authority, challenge.type, found.domain, challenge.token, proof)
        except Problem as problem:
            log.info("%s of %s: %s", challenge.type, found.domain, problem.detail)
            challenge.status, challenge.error = "invalid", problem.describe()
        else:
            challenge.status, challenge.validated = "valid", self.now()
        self.register.save()

    # -- helpers ------------------------------------------------------------------------------------------------

    def _own_order(self, request: web.Request, signed: Signed) -> Order:
        found = self.register.orders.get(request.match_info["id"])
        if found is None or found.account != accounts.of(signed).id:
            raise Problem("malformed", "No order for that ID", status=404)
        return found

    def _own_authorization(self, request: web.Request, signed: Signed) -> Authorization:
        found = self.register.authorizations.get(request.match_info["id"])
        if found is None or found.account != accounts.of(signed).id:
            raise Problem("malformed", "No such authorization", status=404)
        return found

    def _limit(self) -> None:
        if self.faults().get("limited"):
            problem = Problem("rateLimited", "too many requests of this kind: retry later")
            problem.headers["Retry-After"] = str(RETRY_AFTER)
            raise problem

    @staticmethod
    def _answer(document: dict[str, Any], status: int = 200, **headers: str) -> web.Response:
        return web.json_response(document, status=status, headers=headers)


def _domains(given: dict[str, Any]) -> list[str]:
    """The domains of a new order; raises Problem."""
    identifiers = given.get("identifiers")
    if not isinstance(identifiers, list) or not 0 < len(identifiers) <= MOST_DOMAINS:
        raise Problem("malformed", f"NewOrder request has to name 1 to {MOST_DOMAINS} identifiers")
    if "notBefore" in given or "notAfter" in given:
        raise Problem("malformed", "NotBefore and NotAfter are not supported")
    found = []
    for each in identifiers:
        kind, value = (each.get("type"), each.get("value")) if isinstance(each, dict) else (None, None)
        if kind != "dns":
            raise Problem("unsupportedIdentifier", f"NewOrder request included unsupported identifier: type {kind!r}")
        if not isinstance(value, str) or not DOMAIN.fullmatch(value.lower()):
            raise Problem("rejectedIdentifier", f"Cannot issue for {value!r}: Domain name is not valid")
        found.append(value.lower())
    return sorted(set(found))
