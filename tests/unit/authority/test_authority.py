# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The authority, seen by a client that knows nothing of it: certbot's `acme` library, and what that never does."""

from __future__ import annotations

import asyncio
import datetime
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from acme import challenges, client, crypto_util, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from josepy.b64 import b64encode
from josepy.jwk import JWKRSA

from agentstack import jws, stackfile
from agentstack.authority import process
from agentstack.authority.register import Register
from agentstack.stack import Authority, Stack
from agentstack.x509 import make_request

from ...stacks import free_net

HTTP_PORT = 8088
EXTERNAL = {"office": b64encode(secrets.token_bytes(32)).decode()}
DOMAIN, OTHER, DELEGATED = "pve1.test.test", "www.example.org", "dns.example.org"


@dataclass
class Running:
    """An authority that answers; `hosts`: what else has an address in its stack."""

    stack: Stack
    state: Path

    @property
    def authority(self) -> Authority:
        assert self.stack.authority is not None
        return self.stack.authority

    @property
    def session(self) -> requests.Session:
        found = requests.Session()
        found.trust_env = False
        found.verify = str(self.state / "authority/root.pem")
        return found

    def fault(self, **settings: bool) -> None:
        fault = {"kind": "authority", "target": [self.authority.name], "settings": settings}
        (self.state / "faults.json").write_text(json.dumps({"version": 1, "faults": [fault] if settings else []}))

    def client(self, key: JWKRSA | None = None) -> client.ClientV2:
        """Certbot's, with a key that no account has yet."""
        network = client.ClientNetwork(key or new_key(), user_agent="test")
        network.verify_ssl = str(self.state / "authority/root.pem")  # type: ignore[assignment]
        network.session.trust_env = False
        return client.ClientV2(client.ClientV2.get_directory(self.authority.directory, network), network)

    def registered(self, **more: Any) -> client.ClientV2:
        """The same with an account."""
        found = self.client()
        wish = messages.NewRegistration.from_data(email="a@example.org", terms_of_service_agreed=True, **more)
        found.new_account(wish)
        return found


def new_key() -> JWKRSA:
    return JWKRSA(key=rsa.generate_private_key(65537, 2048))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Running]]:
    """Starts authorities in threads of this process: `start(validity="5d")`."""
    ends: list[Callable[[], None]] = []

    def make(**definition: Any) -> Running:
        content = {
            "name": "test",
            "hosts": {"pve1": {}, "pve2": {}},
            "authority": {"http_port": HTTP_PORT, **definition},
        }
        stack = stackfile.loads(json.dumps(content), net=free_net())
        state = tmp_path_factory.mktemp("state")
        listener = process.prepare(stack, state)
        loop = asyncio.new_event_loop()
        serving = loop.create_task(process.serve(stack, state, listener))

        def run() -> None:
            with pytest.raises(asyncio.CancelledError):
                loop.run_until_complete(serving)
            loop.close()

        thread = threading.Thread(target=run)
        thread.start()
        ends.append(lambda: (loop.call_soon_threadsafe(serving.cancel), thread.join())[1])
        return Running(stack, state)

    yield make
    for end in ends:
        end()


@pytest.fixture(scope="module")
def authority(start: Callable[..., Running]) -> Running:
    account = {"subdomain": "sub1", "username": "u1", "password": "geheim"}
    return start(names={OTHER: "pve2"}, dns={DELEGATED: account}, validity="5d")


@dataclass
class Web:
    """A web server at a host's address: what it answers, by path."""

    answers: dict[str, str]
    asked: list[tuple[str, str]]


@pytest.fixture
def web(authority: Running) -> Iterator[Web]:
    found = Web({}, [])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append((str(self.headers["Host"]), self.path))
            self.send_response(200 if self.path in found.answers else 404)
            self.end_headers()
            self.wfile.write(found.answers.get(self.path, "").encode())

        def log_message(self, *_: object) -> None:
            pass

    servers = [ThreadingHTTPServer((host.address, HTTP_PORT), Handler) for host in authority.stack.hosts.values()]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    for server in servers:
        server.shutdown()
        server.server_close()


def deadline() -> datetime.datetime:
    return datetime.datetime.now() + datetime.timedelta(seconds=120)


def way(order: messages.OrderResource, kind: type[challenges.Challenge], number: int = 0) -> messages.ChallengeBody:
    found = order.authorizations[number].body.challenges
    return next(each for each in found if isinstance(each.chall, kind))


def csr(*domains: str) -> bytes:
    request = x509.load_der_x509_csr(make_request(list(domains))[1])
    return request.public_bytes(Encoding.PEM)


def publish(web: Web, acme: client.ClientV2, challenge: messages.ChallengeBody, text: str | None = None) -> None:
    """Put the proof (or another text) where the authority looks, and tell it to."""
    response, proof = challenge.response_and_validation(acme.net.key)
    web.answers[challenge.chall.path] = text or proof
    acme.answer_challenge(challenge, response)


def refused(call: Callable[..., object], *given: object) -> str:
    """The kind of the problem that the authority says no with."""
    with pytest.raises(messages.Error) as caught:
        call(*given)
    return str(caught.value.typ).rpartition(":")[2]


def test_an_ordinary_client_gets_a_certificate_and_revokes_it(authority: Running, web: Web) -> None:
    acme = authority.registered()
    order = acme.new_order(csr(DOMAIN, OTHER))
    for number in range(2):
        publish(web, acme, way(order, challenges.HTTP01, number))
    chain = x509.load_pem_x509_certificates(acme.poll_and_finalize(order, deadline()).fullchain_pem.encode())
    assert sorted(host for host, _ in web.asked) == [DOMAIN, OTHER]
    leaf, issuer = chain
    root = x509.load_pem_x509_certificate((authority.state / "authority/root.pem").read_bytes())
    leaf.verify_directly_issued_by(issuer)
    issuer.verify_directly_issued_by(root)
    names, _ = crypto_util.get_identifiers_from_x509(leaf.subject, leaf.extensions)
    assert set(names) == {DOMAIN, OTHER}
    left = leaf.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(days=4) < left <= datetime.timedelta(days=5)
    assert refused(lambda: acme.revoke(leaf, 99)) == "badRevocationReason"
    stranger = authority.registered()
    assert refused(lambda: stranger.revoke(leaf, 0)) == "unauthorized"
    acme.revoke(leaf, 1)
    assert refused(lambda: acme.revoke(leaf, 1)) == "alreadyRevoked"


def test_accounts(authority: Running) -> None:
    key = new_key()
    acme = authority.client(key)
    wish = messages.NewRegistration.from_data(email="a@example.org")
    assert refused(lambda: acme.new_account(wish)) == "userActionRequired"
    with pytest.raises(messages.Error, match="unsupportedContact"):
        acme.new_account(messages.NewRegistration(contact=("tel:+123",), terms_of_service_agreed=True))
    account = acme.new_account(wish.update(terms_of_service_agreed=True))
    again = authority.client(key)
    with pytest.raises(errors.ConflictError) as there:
        again.new_account(wish)
    assert there.value.location == account.uri
    changed = acme.update_registration(account, account.body.update(contact=("mailto:b@example.org",)))
    assert changed.body.contact == ("mailto:b@example.org",)
    acme.deactivate_registration(account)
    assert refused(lambda: acme.new_order(csr(DOMAIN))) == "unauthorized"
    assert refused(lambda: authority.client(key).query_registration(account)) == "unauthorized"


def test_a_wrong_answer_proves_nothing(authority: Running, web: Web) -> None:
    acme = authority.registered()
    for text, word in (("something else", "did not match"), (None, "Invalid response")):
        order = acme.new_order(csr(DOMAIN))
        challenge = way(order, challenges.HTTP01)
        if text:
            publish(web, acme, challenge, text)
        else:
            acme.answer_challenge(challenge, challenge.response(acme.net.key))
        with pytest.raises(errors.ValidationError) as caught:
            acme.poll_authorizations(order, deadline())
        error = way(replace_authorizations(order, caught.value), challenges.HTTP01).error
        assert error.code == "unauthorized"
        assert word in str(error.detail)
        assert refused(acme.begin_finalization, order) == "orderNotReady"


def replace_authorizations(order: messages.OrderResource, failed: errors.ValidationError) -> messages.OrderResource:
    return order.update(authorizations=failed.failed_authzrs)


def test_nobody_answers_and_nobody_knows_the_name(authority: Running) -> None:
    acme = authority.registered()
    for domain, code in ((DOMAIN, "connection"), ("unknown.example.org", "dns")):
        order = acme.new_order(csr(domain))
        challenge = way(order, challenges.HTTP01)
        acme.answer_challenge(challenge, challenge.response(acme.net.key))
        with pytest.raises(errors.ValidationError) as caught:
            acme.poll_authorizations(order, deadline())
        assert way(replace_authorizations(order, caught.value), challenges.HTTP01).error.code == code


def test_records_in_a_delegated_zone(authority: Running) -> None:
    acme = authority.registered()
    order = acme.new_order(csr(DELEGATED, f"*.{DELEGATED}"))
    url = f"{authority.authority.url}/update"
    for number, authorization in enumerate(order.authorizations):
        challenge = way(order, challenges.DNS01, number)
        assert len(authorization.body.challenges) == (1 if authorization.body.wildcard else 2)
        response, text = challenge.response_and_validation(acme.net.key)
        body = {"subdomain": "sub1", "txt": text}
        wrong = authority.session.post(url, json=body, headers={"X-Api-User": "u1", "X-Api-Key": "falsch"})
        assert wrong.status_code == 401
        right = authority.session.post(url, json=body, headers={"X-Api-User": "u1", "X-Api-Key": "geheim"})
        assert right.json() == {"txt": text}
        acme.answer_challenge(challenge, response)
    leaf = x509.load_pem_x509_certificate(acme.poll_and_finalize(order, deadline()).fullchain_pem.encode())
    names, _ = crypto_util.get_identifiers_from_x509(leaf.subject, leaf.extensions)
    assert set(names) == {DELEGATED, f"*.{DELEGATED}"}


def test_a_request_for_other_domains_is_refused(authority: Running, web: Web) -> None:
    acme = authority.registered()
    order = acme.new_order(csr(DOMAIN))
    publish(web, acme, way(order, challenges.HTTP01))
    order = acme.poll_authorizations(order, deadline())
    assert refused(lambda: acme.begin_finalization(order.update(csr_pem=csr(DOMAIN, OTHER)))) == "badCSR"
    stranger = authority.registered()
    assert refused(lambda: stranger.begin_finalization(order)) == "malformed"
    assert acme.begin_finalization(order).body.status == messages.STATUS_VALID


def test_names_that_are_none(authority: Running) -> None:
    acme = authority.registered()
    url = acme.directory["newOrder"]

    def order(kind: str, value: str) -> str:
        identifier = messages.Identifier(typ=messages.IdentifierType(kind), value=value)
        wish = messages.NewOrder(identifiers=[identifier])
        return refused(lambda: acme.net.post(url, wish, new_nonce_url=acme.directory["newNonce"]))

    assert order("ip", "127.0.0.1") == "unsupportedIdentifier"
    assert order("dns", "no_name.example.org") == "rejectedIdentifier"


@dataclass(frozen=True)
class Hand:
    """Messages made by hand, as no honest client makes them."""

    running: Running
    key: JWKRSA
    account: str

    def nonce(self) -> str:
        return self.running.session.head(f"{self.running.authority.url}/new-nonce").headers["Replay-Nonce"]

    def send(self, message: dict[str, str], kind: str = "application/jose+json") -> requests.Response:
        url = f"{self.running.authority.url}/new-order"
        return self.running.session.post(url, data=json.dumps(message), headers={"Content-Type": kind})

    def message(self, **header: Any) -> dict[str, str]:
        """An order, signed; `header`: what is different in it."""
        url = f"{self.running.authority.url}/new-order"
        wanted = {"alg": "RS256", "url": url, "kid": self.account, "nonce": header.pop("nonce", None) or self.nonce()}
        payload = {"identifiers": [{"type": "dns", "value": DOMAIN}]}
        return jws.sign(self.key, {name: value for name, value in {**wanted, **header}.items() if value}, payload)


@pytest.fixture(scope="module")
def hand(authority: Running) -> Hand:
    acme = authority.registered()
    return Hand(authority, acme.net.key, acme.net.account.uri)


def kind_of(answer: requests.Response) -> tuple[int, str]:
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.headers["Replay-Nonce"]
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


def test_a_message_counts_once(hand: Hand) -> None:
    message = hand.message()
    assert hand.send(message).status_code == 201
    assert kind_of(hand.send(message)) == (400, "badNonce")
    assert kind_of(hand.send(hand.message(nonce="AAAAAAAAAAAAAAAAAAAAAA"))) == (400, "badNonce")


def test_wrong_signatures(hand: Hand) -> None:
    message = hand.message()
    other = json.dumps({"identifiers": [{"type": "dns", "value": OTHER}]}).encode()
    assert kind_of(hand.send({**message, "payload": b64encode(other).decode()})) == (400, "malformed")
    signature = hand.message()["signature"]
    assert kind_of(hand.send({**hand.message(), "signature": signature})) == (400, "malformed")
    stranger = replace(hand, key=new_key())
    assert kind_of(stranger.send(stranger.message())) == (400, "malformed")
    assert kind_of(hand.send({"protected": "x"})) == (400, "malformed")


def test_headers_that_must_not_be(hand: Hand) -> None:
    key = hand.key.public_key().to_json()
    assert kind_of(hand.send(hand.message(url=f"{hand.running.authority.url}/revoke"))) == (403, "unauthorized")
    assert kind_of(hand.send(hand.message(kid=f"{hand.account}x"))) == (400, "accountDoesNotExist")
    assert kind_of(hand.send(hand.message(jwk=key))) == (400, "malformed")
    assert kind_of(hand.send(hand.message(kid=None))) == (400, "malformed")
    # a new key may only make an account
    assert kind_of(hand.send(hand.message(kid=None, jwk=key))) == (400, "malformed")
    assert kind_of(hand.send({**hand.message(), "header": {"kid": hand.account}})) == (400, "malformed")  # type: ignore[dict-item]
    assert kind_of(hand.send(hand.message(), kind="application/json")) == (415, "malformed")
    shared = jws.external_key(EXTERNAL["office"])
    signed = jws.sign(shared, {"alg": "HS256", "kid": hand.account, "nonce": hand.nonce(), "url": "x"}, {})
    assert kind_of(hand.send(signed)) == (400, "badSignatureAlgorithm")


def test_a_key_is_changed_by_both_keys_only(authority: Running) -> None:
    acme = authority.registered()
    old, new, account = acme.net.key, new_key(), acme.net.account.uri
    url = f"{authority.authority.url}/key-change"
    hand = Hand(authority, old, account)

    def change(inner: JWKRSA, shown: JWKRSA) -> requests.Response:
        wish = {"account": account, "oldKey": old.public_key().to_json()}
        signed = jws.sign(inner, {"alg": "RS256", "jwk": shown.public_key().to_json(), "url": url}, wish)
        message = jws.sign(old, {"alg": "RS256", "kid": account, "nonce": hand.nonce(), "url": url}, signed)
        headers = {"Content-Type": "application/jose+json"}
        return authority.session.post(url, data=json.dumps(message), headers=headers)

    assert kind_of(change(old, new)) == (400, "malformed")
    taken = authority.registered().net.key
    assert kind_of(change(taken, taken)) == (409, "malformed")
    assert change(new, new).status_code == 200
    assert kind_of(hand.send(hand.message())) == (400, "malformed")
    changed = replace(hand, key=new)
    assert changed.send(changed.message()).status_code == 201


def test_accounts_that_are_bound_to_others(start: Callable[..., Running]) -> None:
    authority = start(external_accounts=EXTERNAL)
    acme = authority.client()
    assert acme.external_account_required()
    wish = messages.NewRegistration.from_data(email="a@example.org", terms_of_service_agreed=True)
    assert refused(lambda: acme.new_account(wish)) == "externalAccountRequired"

    def bound(kid: str, secret: str, key: JWKRSA | None = None) -> messages.NewRegistration:
        public = (key or acme.net.key).public_key()
        return wish.update(
            external_account_binding=messages.ExternalAccountBinding.from_data(public, kid, secret, acme.directory)
        )

    wrong = b64encode(secrets.token_bytes(32)).decode()
    assert refused(lambda: acme.new_account(bound("office", wrong))) == "malformed"
    assert refused(lambda: acme.new_account(bound("nobody", EXTERNAL["office"]))) == "unauthorized"
    assert refused(lambda: acme.new_account(bound("office", EXTERNAL["office"], new_key()))) == "malformed"
    assert acme.new_account(bound("office", EXTERNAL["office"])).uri


def test_what_is_wrong_with_it(authority: Running, web: Web) -> None:
    acme = authority.registered()
    order = acme.new_order(csr(DOMAIN))
    try:
        authority.fault(limited=True)
        assert refused(lambda: acme.new_order(csr(DOMAIN))) == "rateLimited"
        authority.fault(refusing=True)
        publish(web, acme, way(order, challenges.HTTP01))
        with pytest.raises(errors.ValidationError):
            acme.poll_authorizations(order, deadline())
        authority.fault(cut=True)
        with pytest.raises(requests.ConnectionError):
            acme.net.get(authority.authority.directory)
    finally:
        authority.fault()
    assert acme.new_order(csr(DOMAIN)).uri


def test_what_it_was_told_survives_its_end(start: Callable[..., Running], authority: Running) -> None:
    acme = authority.registered()
    order = acme.new_order(csr(DOMAIN))
    kept = Register(authority.state / "authority/register.json")
    assert kept.orders[order.uri.rpartition("/")[2]].domains == [DOMAIN]
    assert kept.account_of(acme.net.key) is not None
    private = [path for path in (authority.state / "authority").iterdir() if path.stat().st_mode & 0o077]
    assert {path.suffix for path in private} == {".pem"}
