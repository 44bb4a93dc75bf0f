# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is exported from a live site makes the same site: the run after it changes nothing.

On the way, drift.yml looks at the site with the least rights that docs/rights.md has for it.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import ROOT

# What cannot be read back, and what is no property of the cluster
LEFT = {
    "ha_lab": "pve_cluster_group: ha_lab\npve_preflight_severity: {repositories: info}\n",
    "pbs": "pbs_api_user: root@pam\npbs_api_password: '{{ lab_secrets.root_password }}'\n"
    "pbs_fingerprint: '{{ lab_secrets.hosts[inventory_hostname].fingerprint }}'\n",
}

SECRET = "not-yet-known"


class Loader(yaml.SafeLoader):
    """Knows Ansible's mark of what is no template."""


Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))

# What the lab does not have of its own
MORE: dict[str, Any] = {
    "pve_dns": [{"node": "*", "search": "lab.test", "servers": ["192.0.2.1"]}],
    "pve_time_zones": [{"node": "pve2", "timezone": "Europe/Vienna"}],
    "pve_hosts_entries": [{"node": "*", "entries": [{"address": "192.0.2.9", "names": ["nas.lab.test", "nas"]}]}],
    "pve_repositories": [{"node": "*", "handle": "no-subscription"}],
    "pve_network_interfaces": [
        {"node": "*", "name": "vmbr9", "type": "bridge", "bridge_vlan_aware": True, "comments": "guests"},
    ],
    "pve_firewall_aliases": [{"name": "office", "cidr": "198.51.100.0/24", "comment": "us"}],
    "pve_ip_sets": [
        {"name": "admins", "members": ["198.51.100.7", {"cidr": "198.51.100.8", "nomatch": True}]},
        {"scope": "guest", "guest": 101, "name": "peers", "members": ["192.0.2.9"]},
    ],
    "pve_security_groups": [{"name": "web", "comment": "web servers"}],
    "pve_firewall_rules": [
        {"scope": "group", "group": "web", "key": "https", "type": "in", "action": "ACCEPT", "macro": "HTTPS"},
        {"key": "office", "type": "in", "action": "ACCEPT", "source": "office", "comment": "everything"},
        {"scope": "guest", "guest": 101, "key": "web", "type": "group", "action": "web"},
    ],
    "pve_firewalls": [{"scope": "guest", "guest": 101, "options": {"macfilter": False}}],
    "pve_roles__more": [
        {"roleid": "Operator", "privs": ["VM.PowerMgmt", "VM.Audit"]},
        {"roleid": "Nothing", "privs": []},
    ],
    "pve_groups": [{"groupid": "watchers", "comment": "who look"}],
    "pve_users__more": [{"userid": "ann@pve", "groups": ["watchers"], "password": SECRET, "firstname": "Ann"}],
    "pve_acls__more": [{"path": "/vms", "auth_id": "@watchers", "role": "Operator", "propagate": False}],
    "pve_realms": [
        {"realm": "pve", "comment": "ours", "tfa": {"type": "oath", "digits": 6}},
        {
            "realm": "company",
            "type": "ldap",
            "server1": "192.0.2.1",
            "mode": "ldaps",
            "verify": True,
            "base_dn": "dc=example,dc=org",
            "user_attr": "uid",
            "bind_dn": "cn=pve,dc=example,dc=org",
            "password": SECRET,
            "sync_attributes": {"email": "mail"},
            "sync_defaults": {"scope": "both", "enable_new": True},
            "check_connection": False,
        },
        {
            "realm": "sso",
            "type": "openid",
            "issuer_url": "https://sso.example.org",
            "client_id": "pve",
            "client_key": SECRET,
        },
    ],
    "pve_realm_sync_jobs": [{"id": "nightly", "realm": "company", "schedule": "daily", "scope": "users"}],
    "pve_pools": [{"poolid": "shop", "comment": "web", "guests": [101, 102], "storages": ["tank"]}],
    "pve_notification_endpoints": [
        {
            "name": "tickets",
            "type": "webhook",
            "url": "http://192.0.2.1/new",
            "method": "post",
            "headers": {"X-Key": "{% raw %}{{ secrets.key }}{% endraw %}"},
            "body": "{% raw %}{{ title }}{% endraw %}\n",
            "secrets": {"key": SECRET},
        },
        {"name": "push", "type": "gotify", "server": "http://192.0.2.1", "token": SECRET},
        {
            "name": "mail",
            "type": "smtp",
            "server": "192.0.2.1",
            "mode": "starttls",
            "username": "pve",
            "password": SECRET,
            "from_address": "pve@example.org",
            "mailto": ["b@example.org", "a@example.org"],
        },
        {"name": "mail-to-root", "comment": "ours"},
    ],
    "pve_notification_matchers__more": [
        {
            **{"name": "nights", "targets": ["push"]},
            **{"match_calendar": ["mon..fri 8-17"], "match_field": ["exact:type=vzdump"]},
        }
    ],
    "pve_metric_servers": [
        {"id": "graphite", "type": "graphite", "server": "127.0.0.1", "port": 2003, "path": "pve.site"},
        {
            "id": "influx",
            "type": "influxdb",
            "server": "127.0.0.1",
            "port": 8086,
            "influxdbproto": "https",
            "organization": "example",
            "bucket": "pve",
            "token": SECRET,
            "disable": True,
        },
    ],
    "pve_acme_plugins": [
        {"id": "dns", "type": "dns", "api": "cf", "data": {"CF_Token": SECRET}, "validation_delay": 5}
    ],
    "pve_ceph_flags": {"noscrub": True},
    "pve_ceph_crush_buckets": [{"name": "dc1", "type": "datacenter", "location": {"root": "default"}}],
    "pve_ceph_crush_rules": [{"name": "by_host", "failure_domain": "host", "device_class": "nvme"}],
    "pve_ha_affinity__more": [
        {"name": "web", "nodes": {"pve1": 1, "pve2": 1}},
        {"name": "apart", "type": "resource-affinity", "affinity": "negative", "resources": ["vm:101", "vm:102"]},
    ],
    "pve_backup_jobs": [
        {
            "id": "weekly",
            "schedule": "sun 03:00",
            "storage": "files",
            "guests": [106],
            "prune_backups": {"keep-last": 2},
        }
    ],
    "pbs_notification_endpoints": [{"name": "push", "type": "gotify", "server": "http://192.0.2.1", "token": SECRET}],
    "pbs_notification_matchers": [{"name": "errors", "targets": ["push"], "match_severity": ["error"]}],
    "pbs_traffic_controls": [{"name": "office", "network": ["192.0.2.0/24"], "rate_in": "20 MiB"}],
}


def least_rights(playbook: str, secret_file: Path) -> dict[str, Any]:
    """The variables of docs/rights.md, as layers over the lab's own."""
    spec = importlib.util.spec_from_file_location("rights_table", ROOT / "scripts" / "rights_table.py")
    assert spec is not None
    assert spec.loader is not None
    table = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = table
    spec.loader.exec_module(table)
    rights = table.rights_of(table.used_by(ROOT / "playbooks" / f"{playbook}.yml"), table.table(), "pve")
    made = table.login_on_cluster(playbook, rights)
    made["pve_api_tokens"][0]["secret_file"] = str(secret_file)
    return {f"{name}__rights": value for name, value in made.items()}


UNTOLD = {"password", "token", "secrets", "client_key", "data", "check_connection"}
NAMES = ("name", "id", "realm", "roleid", "groupid", "userid", "poolid")


def not_exported(given: dict[str, Any], exported: dict[str, Any]) -> list[str]:
    """Settings of objects with names that were given and are not in the export, though servers show them."""
    lost = []
    for variable, elements in given.items():
        for element in elements if isinstance(elements, list) else []:
            key = next((name for name in NAMES if name in element), None)
            if key is None:
                continue
            there = exported.get(variable.partition("__")[0]) or []
            found = next((each for each in there if each.get(key) == element[key]), {})
            names = {name for name, value in element.items() if value != []} - UNTOLD
            lost += [f"{variable} ({element[key]}): {name}" for name in sorted(names - set(found))]
    return lost


@pytest.mark.long
def test_a_run_with_the_exported_variables_changes_nothing(module_lab, tmp_path: Path) -> None:
    lab = module_lab
    rights = least_rights("drift", tmp_path / "secret")
    made = lab.site(**MORE, **rights)
    assert made.status == 0, made.output

    token = {"pve_api_token_id": rights["pve_api_tokens__rights"][0]["tokenid"], "pve_api_password": None}
    token["pve_api_token_secret"] = (tmp_path / "secret").read_text().strip()
    given = json.dumps({**MORE, **rights, **token, "pve_ssh_password": lab.password})
    looked = lab.playbook("playbooks/drift.yml", "-e", given)
    assert looked.status == 0, looked.output
    assert looked.says("No drift")
    # settings of a node, and of a backup server
    lab.api("pve2", "PUT", "/nodes/pve2/dns", search="elsewhere.test", dns1="192.0.2.1")
    differing = {
        **json.loads(given),
        "pbs_traffic_controls": [{**MORE["pbs_traffic_controls"][0], "rate_in": "30 MiB"}],
    }
    differs = lab.playbook("playbooks/drift.yml", "-e", json.dumps(differing))
    assert differs.status == 2, differs.output
    assert differs.says("DRIFT: 3 change(s)", "elsewhere.test", "office", "rate"), differs.output
    lab.api("pve2", "PUT", "/nodes/pve2/dns", search="lab.test", dns1="192.0.2.1")

    exported = tmp_path / "exported"
    run = lab.playbook("playbooks/export.yml", "-e", f"export_dir={exported}")
    assert run.status == 0, run.output
    assert lab.password not in run.output
    written = sorted(exported.rglob("*.yml"))
    assert [path.parent.name for path in written] == ["ha_lab", "pbs1", "pbs2"]
    for path in written:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert lab.password not in path.read_text()
        assert SECRET not in path.read_text()

    cluster = yaml.load((exported / "group_vars/ha_lab/exported.yml").read_text(), Loader)
    server = yaml.load((exported / "host_vars/pbs1/exported.yml").read_text(), Loader)
    assert not_exported(MORE, {**cluster, **server}) == []
    assert [name["ns"] for name in server["pbs_namespaces"]] == ["ha-lab"]
    given_names = {name.partition("__")[0] for name in MORE}
    assert {name for name in given_names if not (server if name.startswith("pbs") else cluster).get(name)} == set()

    inventory = tmp_path / "inventory"
    shutil.copytree(ROOT / "inventory" / "lab", inventory)
    text = (exported / "group_vars/ha_lab/exported.yml").read_text()
    (inventory / "group_vars/ha_lab.yml").write_text(f"{text}\n{LEFT['ha_lab']}")
    (inventory / "group_vars/pbs.yml").write_text(LEFT["pbs"])
    for server in ("pbs1", "pbs2"):
        shutil.copy(exported / f"host_vars/{server}/exported.yml", inventory / f"host_vars/{server}.yml")
    again = lab.site("-i", str(inventory / "hosts.yml"))
    assert again.status == 0, again.output
    assert again.changed == 0, again.output

    # a file that is there is not written over unless that is said
    lab.playbook("playbooks/export.yml", "-e", f"export_dir={exported}")
    (exported / "group_vars/ha_lab/exported.yml").write_text("mine: true\n")
    refused = lab.playbook("playbooks/export.yml", "-e", f"export_dir={exported}")
    assert refused.status != 0
    assert refused.says("exists and differs", "overwrite: true")
