# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of nodes from authorities that speak ACME: ordered, renewed, revoked. Private to this collection."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from ._acme import configured_domains
from ._client import Client
from ._errors import ConnectError, QuorateError, StateError, TrustError, VerifyError
from ._node_certificates import CLUSTERS, OWN, addresses, note_shown
from ._node_sets import NodeSet
from ._plan import CREATE, DELETE, UPDATE, Change, Wanted, raise_all
from ._spec import ABSENT, Field, Item, Key, Spec
from ._trust import forget_trust, vouched_fingerprint
from ._values import BOOLEAN, INTEGER

DAY = 86400

CERTIFICATES = Spec(
    kind="ACME certificate",
    option="certificates",
    keys=("node",),
    label_format="of {node}",
    path="/nodes/{node}/certificates/acme/certificate",
    item_path="/nodes/{node}/certificates/acme/certificate",
    fields=(
        Field("node", required=True, sent=False),
        Field("renew_before", INTEGER, initial=30, listed=False, sent=False),
        Field("force", BOOLEAN, initial=False, listed=False, sent=False),
    ),
)


class AcmeCertificates(NodeSet):
    """A node's certificate, compared with the domains that the node's configuration names, and with the calendar."""

    spec = CERTIFICATES

    def read(self, node: str) -> list[Item]:
        config = self.api.client.get(f"/nodes/{node}/config")
        found = self.api.client.get(f"/nodes/{node}/certificates/info")
        own: Item = next((each for each in found if each["filename"] == OWN), {})
        return [{"node": node, "domains": configured_domains(config), "own": own}]

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """Order what is not there, does not cover the domains or ends soon; the latter when it is the ``whole``."""
        changes: list[Change] = []
        errors: list[QuorateError] = []
        for want in wanted:
            there = actual.get(CERTIFICATES.key(want.item), {})
            own = there.get("own") or {}
            if want.state == ABSENT:
                if own:
                    before = {"fingerprint": own["fingerprint"]}
                    changes.append(_change(DELETE, want, there, before, {}))
                continue
            try:
                change = self._wish(want, there, own, whole)
            except StateError as error:
                errors.append(error)
                continue
            if change:
                changes.append(change)
        raise_all(errors)
        return changes

    def _wish(self, want: Wanted, there: Item, own: Item, whole: bool) -> Change | None:
        domains = there.get("domains") or []
        if not domains:
            text = f"{want.item['node']} has no ACME domains"
            if self.api.check_mode:
                self.api.unknown.append(f"{want.where}: {text} yet")
                return None
            raise StateError(text, where=want.where, hint="Set them first (acme_domains).")
        if not own:
            return _change(CREATE, want, there, {}, {"domains": domains})
        covered = {str(name).lower() for name in own.get("san") or ()}
        if {domain.lower() for domain in domains} - covered:
            return _change(UPDATE, want, there, {"domains": sorted(covered)}, {"domains": domains})
        days = (int(own["notafter"]) - time.time()) / DAY
        if days < int(want.item["renew_before"]):
            if whole:
                ends = datetime.datetime.fromtimestamp(int(own["notafter"]), datetime.UTC).date().isoformat()
                return _change(UPDATE, want, there, {"ends": ends}, {"ends": "later"})
            self.api.warn(
                f"{want.where}: the authority's certificates are valid for {days:.0f} days only, so that every run "
                "orders another one; give fewer days in renew_before"
            )
        if whole and want.item.get("force"):
            return _change(UPDATE, want, there, {"fingerprint": own["fingerprint"]}, {"fingerprint": "another one"})
        return None

    def verify(self, wanted: Sequence[Wanted], changes: Sequence[Change]) -> None:
        """What was ordered must cover the domains."""
        left = self.plan(wanted, self.observe(wanted), whole=False)
        raise_all([VerifyError(f"the server said yes, and {c.object} is not as wanted", where=c.where) for c in left])

    def apply(self, changes: Sequence[Change]) -> None:
        """The node that is spoken to comes last: it ends connections when it takes its certificate."""
        rows = self.api.client.get("/cluster/status")
        spoken_to = next((str(row["name"]) for row in rows if row.get("type") == "node" and row.get("local")), "")
        last = [change for change in changes if change.key[0] == spoken_to]
        super().apply([change for change in changes if change not in last])
        super().apply(last)

    def create(self, change: Change) -> None:
        """Order."""
        self._carry_out(self.api.client.post, change, {"force": 1} if change.actual.get("own") else {})

    def update(self, change: Change) -> None:
        """Renew what ends soon, order anew otherwise: the domains may be others."""
        call = self.api.client.put if "ends" in change.before else self.api.client.post
        self._carry_out(call, change, {"force": 1})

    def delete(self, change: Change) -> None:
        """Revoke; the node shows the cluster's certificate again."""
        self._carry_out(self.api.client.delete, change, {})

    def _carry_out(self, call: Callable[..., Any], change: Change, given: Item) -> None:
        """Start the task, follow it to its end, and note what the node shows from then on."""
        node, where = str(change.key[0]), addresses(self.api.client)
        upid = call(CERTIFICATES.fill(CERTIFICATES.path, change.item), given)
        try:
            self.finish(upid, change)
        except (TrustError, ConnectError) as error:
            # the node shows another certificate before its task has ended
            self._learn(node, where, change, error)
            self.finish(upid, change)
        self._learn(node, where, change)

    def _learn(self, node: str, where: dict[str, str], change: Change, error: QuorateError | None = None) -> None:
        """Note the certificate that a node shows, as far as somebody who is trusted vouches for it."""
        client = self.api.client
        for ask in self._witnesses(node, where, change):
            try:
                shown = ask()
            except (TrustError, ConnectError) as why:
                error = error or why
                continue
            if shown:
                address = where.get(node, node)
                if change.action == DELETE:
                    forget_trust(client.connection.trust_file, address)
                note_shown(client, address, node, shown)
                return
        if error is not None:
            error.hint = (
                f"{node} has its certificate, and nobody vouches for it: another member would, or an authority that "
                "this machine trusts (api_ca_file). Look at its fingerprint on the node, and give it (pve_fingerprint)."
            )
            raise error

    def _witnesses(self, node: str, where: dict[str, str], change: Change) -> Iterator[Callable[[], str | None]]:
        """Who may know: the connection that there is, other members, authorities."""
        client = self.api.client
        yield lambda: _shown_by(client, node)
        for name, address in where.items():
            if name != node:
                yield lambda address=address: _shown_by(self._another(address), node)  # type: ignore[misc]
        domains = change.actual.get("domains") or []
        connection = client.connection
        for domain in domains:
            yield lambda domain=domain: vouched_fingerprint(  # type: ignore[misc]
                where.get(node, node), connection.port, domain, connection.ca_file, connection.timeout
            )

    def _another(self, address: str) -> Client:
        found = Client(replace(self.api.client.connection, hosts=(address,)))
        found.read_only = True
        return found


def _shown_by(client: Client, node: str) -> str | None:
    """What a node shows, as a member says."""
    found = {str(each["filename"]): str(each["fingerprint"]) for each in client.get(f"/nodes/{node}/certificates/info")}
    return found.get(OWN) or found.get(CLUSTERS)


def _change(action: str, want: Wanted, there: Item, before: Item, after: Item) -> Change:
    label = CERTIFICATES.label(want.item)
    key = CERTIFICATES.key(want.item)
    return Change(
        *(action, CERTIFICATES.kind, label, key, want.item, there),
        before=before,
        after=after,
        where=want.where,
    )
