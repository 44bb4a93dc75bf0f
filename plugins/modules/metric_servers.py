#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage where metrics go."""

from __future__ import annotations

DOCUMENTATION = r"""
module: metric_servers
short_description: Manage the servers to which a Proxmox VE cluster sends metrics
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Creates, changes and removes metric servers.
  - Unless it is disabled, or spoken to by UDP, the cluster tries to reach a server before it takes what is set.
  - Settings that are not given, or V(null), are left alone; an empty string or list unsets them.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.connection.set
options:
  servers:
    description: The servers.
    type: list
    elements: dict
    required: true
    suboptions:
      id:
        description: Name.
        type: str
        required: true
      state:
        description: Whether it is there. With V(ignore) the element counts as not written, and a purge spares the
          object.
        type: str
        choices: [present, absent, ignore]
        default: present
      type:
        description: Kind of server. Fixed at creation. V(opentelemetry) from Proxmox VE 9 on.
        type: str
        choices: [graphite, influxdb, opentelemetry]
      server:
        description: Name or address.
        type: str
      port:
        description: Port.
        type: int
      disable:
        description: Whether it is switched off.
        type: bool
      mtu:
        description: Size of UDP packets (V(graphite), V(influxdb)).
        type: int
      timeout:
        description: Seconds to wait for the server (V(graphite), V(influxdb)).
        type: int
      proto:
        description: Protocol (V(graphite)).
        type: str
        choices: [udp, tcp]
      path:
        description: First part of the names of metrics (V(graphite)).
        type: str
      influxdbproto:
        description: Protocol (V(influxdb)).
        type: str
        choices: [udp, http, https]
      organization:
        description: Organization (V(influxdb)).
        type: str
      bucket:
        description: Bucket (V(influxdb)).
        type: str
      token:
        description: Token (V(influxdb)). Sent on creation, later only with O(update_secrets).
        type: str
      api_path_prefix:
        description: Path before that of the API (V(influxdb)).
        type: str
      max_body_size:
        description: Most bytes to send at once (V(influxdb)).
        type: int
      verify_certificate:
        description: Whether the certificate is checked (V(influxdb)).
        type: bool
      otel_protocol:
        description: Protocol (V(opentelemetry)).
        type: str
        choices: [http, https]
      otel_path:
        description: Path to send to (V(opentelemetry)).
        type: str
      otel_timeout:
        description: Seconds to wait for the server (V(opentelemetry)).
        type: int
      otel_headers:
        description: Headers, as the base64 of a JSON text (V(opentelemetry)). Sent on creation, later only with
          O(update_secrets).
        type: str
      otel_resource_attributes:
        description: Attributes of the source, as the base64 of a JSON text (V(opentelemetry)).
        type: str
      otel_compression:
        description: Compression (V(opentelemetry)).
        type: str
        choices: [none, gzip]
      otel_max_body_size:
        description: Most bytes to send at once (V(opentelemetry)).
        type: int
      otel_verify_ssl:
        description: Whether the certificate is checked (V(opentelemetry)).
        type: bool
  update_secrets:
    description: Whether secrets of servers that exist are sent again, which always counts as a change; the server
      never shows them.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Figures for Grafana
  quorate.pve.metric_servers:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    servers:
      - id: influx
        type: influxdb
        server: influx.example.com
        port: 8086
        influxdbproto: https
        organization: example
        bucket: pve
        token: "{{ vault_influx_token }}"
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: metric server influx, fields: {type: {before: null, after: influxdb}}}]
done:
  description: Entries of RV(plan) that were carried out before a failure.
  returned: failure
  type: list
  elements: dict
not_done:
  description: Entries of RV(plan) that were not carried out because of a failure.
  returned: failure
  type: list
  elements: dict
unknown:
  description: What could not be checked in check mode, because something it depends on does not exist yet.
  returned: in check mode
  type: list
  elements: str
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from dataclasses import replace

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._detailed import DetailedCollection
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._plan import Change
from ansible_collections.quorate.pve.plugins.module_utils._spec import Field, Spec
from ansible_collections.quorate.pve.plugins.module_utils._values import BOOLEAN, INTEGER

SPEC = Spec(
    kind="metric server",
    option="servers",
    keys=("id",),
    path="/cluster/metrics/server",
    item_path="/cluster/metrics/server/{id}",
    fields=(
        Field("id", required=True),
        Field("type", fixed=True, needed=True, choices=("graphite", "influxdb", "opentelemetry")),
        Field("server", needed=True),
        Field("port", INTEGER, needed=True),
        Field("disable", BOOLEAN, default=False),
        Field("mtu", INTEGER, default=1500),
        Field("timeout", INTEGER, default=1),
        Field("proto", default="udp", choices=("udp", "tcp")),
        Field("path"),
        Field("influxdbproto", default="udp", choices=("udp", "http", "https")),
        Field("organization"),
        Field("bucket"),
        Field("token", secret=True),
        Field("api_path_prefix", api="api-path-prefix"),
        Field("max_body_size", INTEGER, "max-body-size", default=25000000),
        Field("verify_certificate", BOOLEAN, "verify-certificate", default=True),
        Field("otel_protocol", api="otel-protocol", default="https", choices=("http", "https")),
        Field("otel_path", api="otel-path", default="/v1/metrics"),
        Field("otel_timeout", INTEGER, "otel-timeout", default=5),
        Field("otel_headers", api="otel-headers", secret=True),
        Field("otel_resource_attributes", api="otel-resource-attributes"),
        Field("otel_compression", api="otel-compression", default="gzip", choices=("none", "gzip")),
        Field("otel_max_body_size", INTEGER, "otel-max-body-size", default=10000000),
        Field("otel_verify_ssl", BOOLEAN, "otel-verify-ssl", default=True),
    ),
)


class MetricServers(DetailedCollection):
    """Entries of status.cfg."""

    spec = SPEC

    def create(self, change: Change) -> None:
        """POST, with the name in the path."""
        payload = {name: value for name, value in SPEC.payload(change.item).items() if name != "id"}
        self.api.client.post(SPEC.fill(SPEC.item_path, change.item), payload)

    def update(self, change: Change) -> None:
        """The server wants its address with every change (facts §16)."""
        address = {name: change.actual[name] for name in ("server", "port")}
        super().update(replace(change, set={**address, **change.set}))


ARGUMENT_SPEC = arguments(
    **SPEC.argument_spec(), **PURGE, update_secrets={"type": "bool", "default": False, "no_log": False}
)

run = MetricServers.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
