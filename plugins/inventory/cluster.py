# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Nodes and guests of live clusters as an inventory."""

from __future__ import annotations

DOCUMENTATION = r"""
name: cluster
short_description: Nodes and guests of Proxmox VE clusters
version_added: 0.1.0
author: Quorate contributors (@quorate)
description:
  - Reads one or more clusters with two calls each, whatever their size, and makes hosts of their nodes and guests.
  - Every host is in C(pve_nodes) or C(pve_guests), in C(pve_status_STATUS), and in C(pve_site_SITE) if its site is
    known. Nodes are in a group called like the cluster with underscores, such as C(ha_pve1); guests in
    C(ha_pve1_guests), C(pve_node_NODE), C(pve_ha_STATE) (C(pve_ha_none) without HA), C(pve_pool_POOL) and
    C(pve_tag_TAG). What is not allowed in the name of a group becomes an underscore.
  - The variables are C(pve_kind), C(pve_node), C(pve_status), C(pve_site), C(pve_cpus), C(pve_memory) (bytes),
    C(pve_cluster_name), C(pve_cluster_group); of a node also C(pve_address); of a guest also C(pve_vmid), C(pve_type),
    C(pve_name), C(pve_tags), C(pve_pool), C(pve_ha_state), C(pve_template), C(pve_disk) (bytes).
  - A dead member is asked for nothing. The first of O(clusters[].api_hosts) that answers is used; a dead node is there
    with C(pve_status) V(offline), its guests with V(unknown). A cluster forgets the names of such guests after minutes,
    so that they are called by their numbers then; O(guest_names) V(vmid) gives names that stay.
  - No password and no token's secret becomes a variable or is written to the cache.
extends_documentation_fragment:
  - constructed
  - inventory_cache
options:
  plugin:
    description: Always C(quorate.pve.cluster).
    type: str
    required: true
    choices: [quorate.pve.cluster]
  clusters:
    description:
      - The clusters, each with the connection's options of the modules. Values may be templates.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What a standalone node is called as a cluster; a cluster has a name of its own.
        type: str
      sites:
        description: The site (data centre) of each node. A guest has that of its node.
        type: dict
        default: {}
      site_tag:
        description: How a tag begins that names the site of a guest, such as V(dc-).
        type: str
      api_hosts:
        description: Addresses or names of members. If it is not given, E(PVE_HOST) is used.
        type: list
        elements: str
        aliases: [api_host]
      api_port:
        description: TCP port of the API.
        type: int
        default: 8006
      api_user:
        description: User with its realm. If it is not given, E(PVE_USER) is used, else V(root@pam).
        type: str
      api_password:
        description: Password. If it is not given, E(PVE_PASSWORD) is used.
        type: str
      api_otp:
        description: Second factor.
        type: str
      api_token_id:
        description: API token. If it is not given, E(PVE_TOKEN_ID) is used. C(PVEAuditor) on C(/) is enough.
        type: str
      api_token_secret:
        description: The token's secret. If it is not given, E(PVE_TOKEN_SECRET) is used.
        type: str
      api_fingerprints:
        description: Accepted SHA-256 fingerprints of certificates.
        type: list
        elements: str
        default: []
      api_trust_file:
        description: JSON file with fingerprints learnt from members.
        type: path
      api_ca_file:
        description: Certificates of authorities to check the server's with.
        type: path
      api_validate_certs:
        description: Whether the certificate is checked at all.
        type: bool
        default: true
      api_timeout:
        description: Seconds to wait for an answer.
        type: int
        default: 30
  guest_names:
    description:
      - What guests are called. With V(name), those whose names are not unique in the whole inventory are called
        NAME-VMID; with V(vmid), all of them CLUSTER-VMID, which never changes.
    type: str
    choices: [name, vmid]
    default: name
  templates:
    description: Whether templates are hosts as well.
    type: bool
    default: false
  skip_unreachable:
    description: Whether a cluster of which no member answers is left out with a warning, instead of ending the run.
    type: bool
    default: false
requirements:
  - proxmoxer >= 2.2
  - requests >= 2.32
"""

EXAMPLES = r"""
# clusters.yml
plugin: quorate.pve.cluster
clusters:
  - api_hosts: [10.0.0.11, 10.0.0.12]
    api_token_id: ansible@pve!inventory
    api_token_secret: "{{ lookup('ansible.builtin.env', 'PVE1_TOKEN') }}"
    api_ca_file: /etc/ansible/pve1-root-ca.pem
    sites: {pve1: dc1, pve2: dc2}
  - api_hosts: [10.1.0.11, 10.1.0.12]
    api_token_id: ansible@pve!inventory
    api_token_secret: "{{ lookup('ansible.builtin.env', 'PVE2_TOKEN') }}"
    api_trust_file: trust/pve2.json
    site_tag: dc-
guest_names: name
compose:
  ansible_host: pve_name ~ '.example.org' if pve_kind == 'guest' else pve_address
groups:
  big: pve_memory > 64 * 1024 ** 3
keyed_groups:
  - {key: pve_type, prefix: type}
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: .ansible/inventory
cache_timeout: 300
"""

import json
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible_collections.quorate.pve.plugins.module_utils._client import Client, Connection
from ansible_collections.quorate.pve.plugins.module_utils._errors import ConnectError, QuorateError
from ansible_collections.quorate.pve.plugins.module_utils._inventory import hosts_of, observe
from ansible_collections.quorate.pve.plugins.module_utils._module import CONNECTION

CLUSTER: dict[str, Any] = {
    **{name: {**option, "required": False} for name, option in CONNECTION.items()},
    "name": {"type": "str"},
    "sites": {"type": "dict", "default": {}},
    "site_tag": {"type": "str"},
}


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Reads the clusters, or the cache, and adds the hosts."""

    NAME = "quorate.pve.cluster"

    def verify_file(self, path: str) -> bool:
        """Any YAML file: it says by ``plugin`` that it is meant."""
        return bool(super().verify_file(path)) and path.endswith((".yml", ".yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Fill the inventory. Raises ``AnsibleParserError`` naming the cluster that cannot be read."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        settings = [self._settings(index, given) for index, given in enumerate(self.get_option("clusters"))]
        seen = self._seen(settings, path, cache)
        try:
            hosts = hosts_of(
                [(each, found) for each, found in zip(settings, seen, strict=True) if found is not None],
                names=self.get_option("guest_names"),
                templates=self.get_option("templates"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise AnsibleParserError(
                f"{path}: the cache is not this plugin's: {error!r}. Run with --flush-cache."
            ) from error
        strict = self.get_option("strict")
        for host in hosts:
            self.inventory.add_host(host.name)
            for group in host.groups:
                self.inventory.add_group(group)
                self.inventory.add_child(group, host.name)
            for name, value in host.variables.items():
                self.inventory.set_variable(host.name, name, value)
            self._set_composite_vars(self.get_option("compose"), host.variables, host.name, strict=strict)
            self._add_host_to_composed_groups(self.get_option("groups"), host.variables, host.name, strict=strict)
            self._add_host_to_keyed_groups(self.get_option("keyed_groups"), host.variables, host.name, strict=strict)

    def _settings(self, index: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """One element of ``clusters`` with its templates filled in, checked as a module's options are."""
        where = f"clusters[{index}]"
        if not isinstance(given, Mapping):
            raise AnsibleParserError(f"{where}: a mapping is wanted")
        filled = json.loads(
            json.dumps({key: self.templar.template(value) for key, value in given.items()}, default=str)
        )
        checked = ArgumentSpecValidator(CLUSTER).validate(filled)
        if checked.error_messages:
            raise AnsibleParserError(f"{where}: {'; '.join(checked.error_messages)}")
        parameters: dict[str, Any] = checked.validated_parameters
        return parameters

    def _seen(self, settings: list[dict[str, Any]], path: str, cache: bool) -> list[Any]:
        """What each cluster says; None for one that is left out."""
        key = self.get_cache_key(path)
        wanted = self.get_option("cache")
        # a cache of other clusters than these is none
        mark = [[*(each["api_hosts"] or []), str(each["api_port"])] for each in settings]
        if wanted and cache:
            kept = self._cache.get(key)
            if kept and kept.get("clusters") == mark:
                return list(kept["seen"])
        seen = [self._read(index, each) for index, each in enumerate(settings)]
        if wanted and None not in seen:
            self._cache[key] = {"clusters": mark, "seen": seen}
        return seen

    def _read(self, index: int, settings: dict[str, Any]) -> dict[str, Any] | None:
        try:
            client = Client(Connection.from_params(settings))
            try:
                return observe(client)
            finally:
                client.close()
        except ConnectError as error:
            if not self.get_option("skip_unreachable"):
                raise AnsibleParserError(f"clusters[{index}]: {error}") from error
            self.display.warning(f"clusters[{index}] is left out: {error}")
            return None
        except QuorateError as error:
            raise AnsibleParserError(f"clusters[{index}]: {error}") from error
