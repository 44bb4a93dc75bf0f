# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of their own for the API of nodes (facts §18). Private to this collection."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ._client import Client
from ._errors import InputError, StateError
from ._node_sets import NodeSet
from ._plan import Change, Wanted
from ._spec import ABSENT, Field, Item, Key, Spec
from ._trust import expect_trust, forget_trust, record_trust
from ._values import BOOLEAN

OWN = "pveproxy-ssl.pem"
CLUSTERS = "pve-ssl.pem"
_END = "-----END CERTIFICATE-----"

CERTIFICATES = Spec(
    kind="certificate",
    option="certificates",
    keys=("node",),
    label_format="of {node}",
    path="/nodes/{node}/certificates/custom",
    item_path="/nodes/{node}/certificates/custom",
    fields=(
        Field("node", required=True, sent=False),
        Field("certificate", listed=False),
        Field("key", secret=True),
        Field("force", BOOLEAN, initial=False, listed=False, sent=False),
    ),
)


class NodeCertificates(NodeSet):
    """A node's own certificate, compared by its fingerprint."""

    spec = CERTIFICATES

    def read(self, node: str) -> list[Item]:
        found = self.api.client.get(f"/nodes/{node}/certificates/info")
        return [{"node": node, "fingerprint": each["fingerprint"]} for each in found if each["filename"] == OWN]

    def plan(self, wanted: Sequence[Wanted], actual: dict[Key, Item], *, whole: bool = True) -> list[Change]:
        """Another certificate than the one that there is takes its place with ``force`` only."""
        changes: list[Change] = []
        for want in wanted:
            key = CERTIFICATES.key(want.item)
            there = actual.get(key)
            before = {"fingerprint": there["fingerprint"]} if there else {}
            label = CERTIFICATES.label(want.item)
            more: dict[str, Any] = {"key": key, "item": want.item, "where": want.where, "before": before}
            if want.state == ABSENT:
                if there:
                    changes.append(Change("delete", CERTIFICATES.kind, label, actual=want.item, **more))
                continue
            shown = fingerprint(str(want.item.get("certificate") or ""), want.where)
            if there and there["fingerprint"] == shown:
                continue
            if there and not want.item.get("force"):
                raise StateError(
                    f"{want.item['node']} has another certificate of its own, {there['fingerprint']}",
                    where=want.where,
                    hint="Say force: true to replace it.",
                )
            action = "update" if there else "create"
            changes.append(Change(action, CERTIFICATES.kind, label, after={"fingerprint": shown}, **more))
        return changes

    def create(self, change: Change) -> None:
        """Upload, and let the API show it; what it shows from now on is noted."""
        payload = {"certificates": change.item["certificate"], "key": change.item.get("key"), "restart": 1}
        node = str(change.key[0])
        address = addresses(self.api.client).get(node, node)
        expect_trust(self.api.client.connection.trust_file, address, node, str(change.after["fingerprint"]))
        self.api.client.post(CERTIFICATES.fill(CERTIFICATES.path, change.item), {**payload, "force": 1})
        note_shown(self.api.client, address, node, str(change.after["fingerprint"]))

    def update(self, change: Change) -> None:
        """As a creation."""
        self.create(change)

    def delete(self, change: Change) -> None:
        """The node shows the cluster's certificate again."""
        node = str(change.key[0])
        address = addresses(self.api.client).get(node, node)
        found = self.api.client.get(f"/nodes/{node}/certificates/info")
        clusters = next((str(each["fingerprint"]) for each in found if each["filename"] == CLUSTERS), None)
        if clusters:
            expect_trust(self.api.client.connection.trust_file, address, node, clusters)
        self.api.client.delete(CERTIFICATES.fill(CERTIFICATES.path, change.item), {"restart": 1})
        forget_trust(self.api.client.connection.trust_file, address)
        if clusters:
            note_shown(self.api.client, address, node, clusters)


def note_shown(client: Client, address: str, node: str, shown: str) -> None:
    """What a member vouches for is what the node shows from now on."""
    record_trust(client.connection.trust_file, address, node, shown)
    if client.connection.fingerprints:
        client.connection = replace(client.connection, fingerprints=(*client.connection.fingerprints, shown))
    client.close()


def addresses(client: Client) -> dict[str, str]:
    """The nodes' addresses, as the cluster knows them."""
    return {str(row["name"]): str(row["ip"]) for row in client.get("/cluster/status") if row.get("ip")}


def fingerprint(chain: str, where: str) -> str:
    """``AA:BB:…`` of the first certificate of a PEM chain. Raises :class:`InputError`."""
    try:
        der = ssl.PEM_cert_to_DER_cert(chain.strip().partition(_END)[0] + _END)
    except ValueError as error:
        raise InputError(f"certificate: no PEM certificate ({error})", where=where) from error
    digits = hashlib.sha256(der).hexdigest().upper()
    return ":".join(digits[index : index + 2] for index in range(0, len(digits), 2))
