#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage realms."""

from __future__ import annotations

DOCUMENTATION = r"""
module: realms
short_description: Manage realms of a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Creates, changes and removes realms, which say where users' passwords are.
  - The realms C(pam) and C(pve) are always there; of them O(realms[].comment), O(realms[].default) and O(realms[].tfa)
    can be changed. The users of a realm that is removed stay and cannot log in any more.
  - Which settings a type takes is the server's knowledge; it names those that do not fit.
  - Settings that are not given, or V(null), are left alone; an empty string or list unsets them.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.connection.set
options:
  realms:
    description: The realms.
    type: list
    elements: dict
    required: true
    suboptions:
      realm:
        description: Name of the realm.
        type: str
        required: true
      state:
        description: Whether it is there. With V(ignore) the element counts as not written, and a purge spares the
          object.
        type: str
        choices: [present, absent, ignore]
        default: present
      type:
        description: Type. Fixed at creation.
        type: str
        choices: [ad, ldap, openid, pam, pve]
      comment:
        description: Comment.
        type: str
      default:
        description:
          - Whether it is chosen when a browser asks for a login. Only one realm is; it takes this from the
            others.
        type: bool
      tfa:
        description: >-
          Second factor that the realm demands, such as C({type: oath, digits: 6}).
        type: dict
      server1:
        description: Server (V(ldap), V(ad)).
        type: str
      server2:
        description: Server to fall back to (V(ldap), V(ad)).
        type: str
      port:
        description: Port of the servers (V(ldap), V(ad)).
        type: int
      mode:
        description:
          - How the servers are spoken to (V(ldap), V(ad)). The default is V(ldap), which shows passwords to
            the network.
        type: str
        choices: [ldap, ldaps, ldap+starttls]
      verify:
        description:
          - Whether the certificate of the servers is checked (V(ldap), V(ad)). The server's default is
            V(false).
        type: bool
      capath:
        description: Certificates of authorities on the nodes (V(ldap), V(ad)).
        type: str
      cert:
        description: Client certificate on the nodes (V(ldap), V(ad)).
        type: str
      certkey:
        description: Key of the client certificate on the nodes (V(ldap), V(ad)).
        type: str
      sslversion:
        description: Oldest version of TLS (V(ldap), V(ad)).
        type: str
        choices: [tlsv1, tlsv1_1, tlsv1_2, tlsv1_3]
      domain:
        description: Domain of the directory (V(ad)).
        type: str
      case_sensitive:
        description: Whether capital letters matter in names (V(ad)).
        type: bool
      base_dn:
        description: Where users are found (V(ldap)).
        type: str
      bind_dn:
        description: Account that searches the directory (V(ldap), V(ad)).
        type: str
      password:
        description: Password of O(realms[].bind_dn). Sent on creation, later only with O(update_secrets).
        type: str
      user_attr:
        description: Attribute with the name of a user (V(ldap)).
        type: str
      user_classes:
        description: Object classes of users (V(ldap), V(ad)).
        type: list
        elements: str
      filter:
        description: Filter for users (V(ldap), V(ad)).
        type: str
      group_dn:
        description: Where groups are found (V(ldap), V(ad)).
        type: str
      group_filter:
        description: Filter for groups (V(ldap), V(ad)).
        type: str
      group_name_attr:
        description: Attribute with the name of a group (V(ldap), V(ad)).
        type: str
      group_classes:
        description: Object classes of groups (V(ldap), V(ad)).
        type: list
        elements: str
      sync_attributes:
        description: >-
          Which attributes become which settings of users, such as C({email: mail, firstname: givenName})
          (V(ldap), V(ad)).
        type: dict
      sync_defaults:
        description: >-
          Options of a synchronisation that names none, such as C({scope: both, enable-new: 1, remove-
          vanished: acl;entry}) (V(ldap), V(ad)).
        type: dict
      issuer_url:
        description: Address of the provider (V(openid)).
        type: str
      client_id:
        description: Name of the cluster at the provider (V(openid)).
        type: str
      client_key:
        description:
          - Secret of the cluster at the provider (V(openid)). Sent on creation, later only with
            O(update_secrets).
        type: str
      username_claim:
        description: Claim with the name of a user (V(openid)). Fixed at creation.
        type: str
      autocreate:
        description: Whether users are made when they first log in (V(openid)).
        type: bool
      scopes:
        description: Scopes to ask for (V(openid)).
        type: list
        elements: str
      prompt:
        description: Whether the provider asks again (V(openid)).
        type: str
      acr_values:
        description: Authentication context classes to ask for (V(openid)).
        type: str
      audiences:
        description: Further audiences that are accepted (V(openid)), Proxmox VE 9.
        type: list
        elements: str
      query_userinfo:
        description: Whether the provider is asked for more claims (V(openid)).
        type: bool
      groups_claim:
        description: Claim with the groups of a user (V(openid)).
        type: str
      groups_autocreate:
        description: Whether groups are made when a user first comes with them (V(openid)).
        type: bool
      groups_overwrite:
        description: Whether a user is taken out of groups that the provider does not name (V(openid)).
        type: bool
      check_connection:
        description: Whether the server tries to reach the directory before it takes what is set (V(ldap), V(ad)).
        type: bool
  update_secrets:
    description: Whether secrets of realms that exist are sent again, which always counts as a change; the server
      never shows them.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Users of the directory may log in
  quorate.pve.realms:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    realms:
      - realm: example
        type: ldap
        server1: ldap1.example.com
        server2: ldap2.example.com
        mode: ldaps
        verify: true
        base_dn: ou=people,dc=example,dc=com
        user_attr: uid
        bind_dn: cn=pve,dc=example,dc=com
        password: "{{ vault_ldap_password }}"
        sync_defaults: {scope: both, enable-new: 1, remove-vanished: acl;entry}
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: realm example, fields: {type: {before: null, after: ldap}}}]
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
from ansible_collections.quorate.pve.plugins.module_utils._errors import InputError, QuorateError
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._plan import Change, Wanted, raise_all
from ansible_collections.quorate.pve.plugins.module_utils._spec import ABSENT, Field, Item, Key, Spec
from ansible_collections.quorate.pve.plugins.module_utils._values import (
    BOOLEAN,
    INTEGER,
    SET,
    Form,
    join_properties,
    properties_form,
)

BUILT_IN = ("pam", "pve")
BROUGHT = {"pam": "Linux PAM standard authentication", "pve": "Proxmox VE authentication server"}
# the server has blanks between scopes and between audiences as it was given them
WORDS = Form(SET.normalise, " ".join, "list", "str")
# as in a property string, with a blank after each comma allowed
ATTRIBUTES = Form(properties_form().normalise, join_properties, "dict")

SPEC = Spec(
    kind="realm",
    option="realms",
    keys=("realm",),
    path="/access/domains",
    item_path="/access/domains/{realm}",
    digest=True,
    kept=frozenset((realm,) for realm in BUILT_IN),
    fields=(
        Field("realm", required=True),
        Field("type", fixed=True, needed=True, choices=("ad", "ldap", "openid", *BUILT_IN)),
        Field("comment"),
        Field("default", BOOLEAN, default=False),
        Field("tfa", properties_form("type")),
        Field("server1"),
        Field("server2"),
        Field("port", INTEGER),
        Field("mode", default="ldap", choices=("ldap", "ldaps", "ldap+starttls")),
        Field("verify", BOOLEAN, default=False),
        Field("capath", default="/etc/ssl/certs"),
        Field("cert"),
        Field("certkey"),
        Field("sslversion", choices=("tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3")),
        Field("domain"),
        Field("case_sensitive", BOOLEAN, "case-sensitive", default=True),
        Field("base_dn"),
        Field("bind_dn"),
        Field("password", secret=True),
        Field("user_attr"),
        Field("user_classes", SET, default=["inetorgperson", "person", "posixaccount", "user"]),
        Field("filter"),
        Field("group_dn"),
        Field("group_filter"),
        Field("group_name_attr"),
        Field("group_classes", SET, default=["group", "groupOfNames", "ipausergroup", "univentionGroup"]),
        Field("sync_attributes", ATTRIBUTES),
        Field("sync_defaults", properties_form(hyphens=True), "sync-defaults-options"),
        Field("issuer_url", api="issuer-url"),
        Field("client_id", api="client-id"),
        Field("client_key", api="client-key", secret=True),
        Field("username_claim", api="username-claim", fixed=True),
        Field("autocreate", BOOLEAN, default=False),
        Field("scopes", WORDS, default=["email", "profile"]),
        Field("prompt"),
        Field("acr_values", api="acr-values"),
        Field("audiences", SET),
        Field("query_userinfo", BOOLEAN, "query-userinfo", default=True),
        Field("groups_claim", api="groups-claim"),
        Field("groups_autocreate", BOOLEAN, "groups-autocreate", default=False),
        Field("groups_overwrite", BOOLEAN, "groups-overwrite", default=False),
        Field("check_connection", BOOLEAN, "check-connection", listed=False),
    ),
)


def _is_changed(item: Item) -> bool:
    """Whether a built-in realm is not as the server brought it along."""
    comment = item.get("comment")
    return bool(item.get("tfa") or item.get("default") or (comment and comment != BROUGHT[item["realm"]]))


class Realms(DetailedCollection):
    """Entries of domains.cfg."""

    spec = SPEC

    def prepare(self, wanted: list[Wanted]) -> list[Wanted]:
        """The built-in realms are neither made nor removed."""
        errors: list[QuorateError] = []
        for want in wanted:
            realm = want.item["realm"]
            if want.state == ABSENT and realm in BUILT_IN:
                errors.append(InputError(f"{realm} is built in and cannot be removed", where=want.where))
        raise_all(errors)
        return wanted

    def everything(self) -> dict[Key, Item]:
        """The built-in realms only if something was written down of them."""
        found = self._details(self.observe([]).values())
        return {key: item for key, item in found.items() if key not in SPEC.kept or _is_changed(item)}

    def update(self, change: Change) -> None:
        """The directory is tried again with what is new."""
        if change.item.get("check_connection"):
            change = replace(change, set={**change.set, "check_connection": True})
        super().update(change)


ARGUMENT_SPEC = arguments(
    **SPEC.argument_spec(), **PURGE, update_secrets={"type": "bool", "default": False, "no_log": False}
)

run = Realms.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
