# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTPS to one server: whom to trust, and what a broken exchange means. Private to this collection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from ._errors import ConnectError, TrustError
from ._libraries import Library
from ._trust import PinnedContext, accepted_fingerprints, shown_fingerprint

if TYPE_CHECKING:
    import requests
    import urllib3
else:
    requests, urllib3 = Library("requests"), Library("urllib3")

CONNECT_TIMEOUT = 10
_PIECE = 1 << 20


class NotSentError(ConnectError):
    """The server was never reached, so that nothing can have happened."""


@cache
def _pinned_adapter() -> Callable[[PinnedContext], requests.adapters.HTTPAdapter]:
    """The class of adapters whose connections go through a :class:`PinnedContext`."""

    class PinnedConnection(urllib3.connection.HTTPSConnection):
        """Its certificate has been checked, which urllib3 cannot know."""

        def connect(self) -> None:
            super().connect()
            self.is_verified = True

    class PinnedPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = PinnedConnection

    class PinnedAdapter(requests.adapters.HTTPAdapter):
        def __init__(self, context: PinnedContext) -> None:
            self._context = context
            super().__init__(pool_maxsize=16)

        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs, ssl_context=self._context)
            self.poolmanager.pool_classes_by_scheme = {"https": PinnedPool}

    return PinnedAdapter


@cache
def _lean_session() -> type[requests.Session]:
    """The class of sessions that merge and remember nothing: more than a quarter of what a call takes on this side."""

    class LeanSession(requests.Session):
        def request(  # type: ignore[override]
            self,
            method: str,
            url: str,
            params: Any = None,
            data: Any = None,
            headers: Mapping[str, str] | None = None,
            timeout: Any = None,
            allow_redirects: bool = False,
            stream: bool = False,
            verify: bool | str = True,
        ) -> requests.Response:
            prepared = requests.PreparedRequest()
            prepared.prepare(method, url, headers={**self.headers, **(headers or {})}, params=params, data=data)
            answer = self.get_adapter(url).send(prepared, stream=stream, timeout=timeout, verify=verify)
            if not stream:
                # read to its end, the connection is free for the next call
                len(answer.content)
            return answer

    return LeanSession


class Serializer:
    """Keeps the whole body of an error: proxmoxer's own drops everything after the first line of the message."""

    def __init__(self, *, plain_errors: bool = False) -> None:
        self._plain_errors = plain_errors
        #: what stood beside the data of the last answer: a backup server's digests do (facts §20.1)
        self.digest = ""

    def loads(self, response: Any) -> Any:
        """The data of an answer."""
        body = response.json()
        self.digest = str(body.get("digest") or "")
        return body.get("data")

    def loads_errors(self, response: Any) -> dict[str, Any]:
        """The body of an error; without JSON (401, 595: empty) an empty one, or the text if that is what they are."""
        try:
            body = response.json()
        except ValueError:
            return {"message": response.text} if self._plain_errors else {}
        return body if isinstance(body, dict) else {}


class Server:
    """One server's address with the session to it."""

    def __init__(
        self,
        address: str,
        port: int,
        *,
        fingerprints: tuple[str, ...] = (),
        trust_file: Any = None,
        ca_file: Any = None,
        validate: bool = True,
        timeout: float = 30,
    ) -> None:
        self.address, self.port, self.timeout = address, port, timeout
        name = f"[{address}]" if ":" in address else address
        self.url = f"https://{name}:{port}/api2/json"
        accepted = accepted_fingerprints(fingerprints, trust_file, address) if validate else None
        # with nothing to compare with, authorities decide
        self._verify: bool | str = (str(ca_file) if ca_file else True) if accepted == frozenset() else False
        self.session = open_session(None if self._verify else PinnedContext.create(accepted))

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        data: Any = None,
        params: Any = None,
        **more: Any,
    ) -> requests.Response:
        """One request. Raises :class:`NotSentError`, :class:`ConnectError` or :class:`TrustError`.

        With ``stream=True`` the body is left for :meth:`pieces`.
        """
        try:
            return self._send(method, url, headers, data, params, **more)
        except ConnectError as error:
            error.address = self.address
            raise

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], data: Any, params: Any, **more: Any
    ) -> requests.Response:
        try:
            return self.session.request(
                method,
                url,
                data=data,
                params=params,
                headers=dict(headers),
                timeout=(min(CONNECT_TIMEOUT, self.timeout), self.timeout),
                verify=self._verify,
                allow_redirects=False,
                **more,
            )
        except requests.exceptions.SSLError as error:
            raise self._untrusted(error) from error
        except requests.exceptions.ConnectTimeout as error:
            raise NotSentError(f"no answer from {self.address}:{self.port}: timed out") from error
        except requests.exceptions.Timeout as error:
            raise ConnectError(f"{self.address}:{self.port} gave no answer within {self.timeout:g} s") from error
        except requests.exceptions.ConnectionError as error:
            reason = getattr(error.args[0], "reason", None) if error.args else None
            if isinstance(reason, urllib3.exceptions.NewConnectionError):
                # `[Errno 111] Connection refused` after what urllib3 puts before it
                text = str(reason).rpartition("] ")[2].rpartition(": ")[2]
                raise NotSentError(f"no answer from {self.address}:{self.port}: {text}") from error
            raise ConnectError(f"the connection to {self.address}:{self.port} broke: {error}") from error
        except requests.exceptions.RequestException as error:
            raise ConnectError(f"{self.address}:{self.port}: {error}") from error

    def pieces(self, answer: requests.Response) -> Iterator[bytes]:
        """The body of an answer that was asked for with ``stream``. Raises :class:`ConnectError` if it breaks off."""
        try:
            yield from answer.iter_content(_PIECE)
        except requests.exceptions.RequestException as error:
            raise ConnectError(f"the connection to {self.address}:{self.port} broke: {error}") from error

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def _untrusted(self, error: requests.exceptions.SSLError) -> TrustError | ConnectError:
        try:
            shown = shown_fingerprint(self.address, self.port, self.timeout)
        except ConnectError as gone:
            return gone
        return TrustError(
            f"the certificate of {self.address} is signed by no known authority; its fingerprint is {shown} ({error})",
            hint="If this is the right machine, give that fingerprint (pve_fingerprint in the inventory, "
            "api_fingerprints) or the cluster's authority (api_ca_file).",
        )


def open_session(context: PinnedContext | None) -> requests.Session:
    """A session that takes nothing from the environment (REQUESTS_CA_BUNDLE would switch checking on again)."""
    session = _lean_session()()
    session.trust_env = False
    if context is not None:
        session.mount("https://", _pinned_adapter()(context))
    return session
