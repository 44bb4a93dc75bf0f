# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a live cluster or backup server back as the variables that would make it. Private to this collection.

One line a variable: where a module manages the objects, its own spec says what they look like.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _export_acme as acme
from . import _export_firewall as firewall
from . import _export_nodes as nodes
from . import _export_special as special
from ._api import Api, Result
from ._collection import Collection
from ._dialect import PBS, PVE, Dialect
from ._errors import ApiError, QuorateError, StateError
from ._libraries import Library
from ._plan import CREATE, UPDATE, simple_change
from ._secret_files import prepare_directory, write_secret
from ._spec import Item

if TYPE_CHECKING:
    import yaml
else:
    yaml = Library("yaml")

MODULES = "ansible_collections.quorate.pve.plugins.modules"


@dataclass(frozen=True)
class Line:
    """A variable: ``module`` whose spec describes its elements, or ``read``, which gives its value.

    ``keep`` says which elements belong to it, ``without`` which settings are left out, ``note`` what is yours to add.
    What is not ``complete`` without that is written as a comment.
    """

    variable: str
    module: str = ""
    read: Callable[[Api], Any] | None = None
    keep: Callable[[Item], bool] = lambda item: True
    without: tuple[str, ...] = ()
    note: str = ""
    complete: bool = True


def _options(api: Api) -> Any:
    return import_module(f"{MODULES}.cluster_options").observe(api) or None


def _affinity(api: Api) -> Any:
    """Rules, or groups where the server has those."""
    from ._ha_affinity import RULES, HaGroups, HaRules

    try:
        seen = HaRules(api, {}).observe([])
    except ApiError as error:
        if not error.unknown_path:
            raise
        seen = HaGroups(api, {}).observe([])
    return [special.element(RULES, item) for _key, item in sorted(seen.items())] or None


def _is_made(user: Item) -> bool:
    """root@pam is everywhere; what was written down of that user is not."""
    told = ("email", "comment", "firstname", "lastname", "groups")
    return user["userid"] != "root@pam" or any(user.get(name) for name in told)


def _is_backup_server(item: Item) -> bool:
    return item.get("type") == "pbs"


CLUSTER: tuple[Line, ...] = (
    Line("pve_cluster_name", read=special.cluster_name),
    Line("pve_links", read=special.links),
    Line("pve_repositories", read=nodes.repositories),
    Line("pve_dns", read=nodes.dns),
    Line("pve_hosts_entries", read=nodes.hosts_entries),
    Line("pve_time_zones", read=nodes.time_zones),
    Line("pve_network_interfaces", read=nodes.interfaces),
    Line("pve_witness", read=nodes.witness, note="its host_key is not known to the cluster"),
    Line("pve_options", read=_options),
    Line("pve_zfs_pools", read=special.zfs_pools),
    Line("pve_ceph", read=special.ceph, note="repository: is not known to the cluster; enterprise is the default"),
    Line("pve_ceph_monitors", read=special.monitors),
    Line("pve_ceph_managers", read=special.managers),
    Line("pve_ceph_crush_buckets", read=special.crush_buckets),
    Line("pve_ceph_osds", read=special.osds),
    Line("pve_ceph_crush_rules", read=special.crush_rules),
    Line("pve_ceph_pools", read=special.ceph_pools),
    Line("pve_ceph_flags", read=special.ceph_flags),
    Line("pve_storages", "storages", keep=lambda item: not _is_backup_server(item)),
    Line("pve_guests", read=special.guests, note="containers and templates are not managed"),
    Line("pve_pools", "pools"),
    Line("pve_replication_jobs", "replication_jobs", without=("number",)),
    Line("pve_ha_resources", "ha_resources"),
    Line("pve_ha_affinity", read=_affinity),
    Line(
        "pve_backup_storages",
        "storages",
        keep=_is_backup_server,
        without=("type",),
        note="password_file: the file on the control node with the token's secret, on each of them",
    ),
    Line("pve_backup_jobs", "backup_jobs"),
    Line("pve_roles", "roles"),
    Line("pve_groups", "groups"),
    Line("pve_realms", "realms", note="passwords of directories cannot be read"),
    Line("pve_realm_sync_jobs", "realm_sync_jobs"),
    Line(
        "pve_users",
        "users",
        keep=_is_made,
        note="passwords and second factors cannot be read",
    ),
    Line(
        "pve_api_tokens",
        "api_tokens",
        note="complete each with its secret_file; the secrets cannot be read",
        complete=False,
    ),
    Line("pve_acls", "acls"),
    Line(
        "pve_notification_endpoints",
        "notification_endpoints",
        note="passwords and tokens cannot be read",
    ),
    Line("pve_notification_matchers", "notification_matchers"),
    Line("pve_metric_servers", "metric_servers", note="tokens cannot be read"),
    Line("pve_acme_accounts", read=acme.accounts, note="eab_hmac_key cannot be read"),
    Line(
        "pve_acme_plugins", "acme_plugins", note="complete each with its data and settings; credentials are not written"
    ),
    Line("pve_acme_domains", read=acme.domains),
    Line("pve_firewall_aliases", read=firewall.aliases),
    Line("pve_ip_sets", read=firewall.ip_sets),
    Line("pve_security_groups", "security_groups"),
    Line("pve_firewall_rules", read=firewall.rules, note="rules without a key in their comment are others', and stay"),
    Line("pve_firewalls", read=firewall.firewalls),
)

SERVER: tuple[Line, ...] = (
    Line("pbs_datastores", "pbs_datastores"),
    Line("pbs_namespaces", "pbs_namespaces"),
    Line("pbs_users", "pbs_users", note="passwords cannot be read"),
    Line(
        "pbs_tokens",
        "pbs_tokens",
        note="complete each with its secret_file; the secrets cannot be read",
        complete=False,
    ),
    Line("pbs_acls", "pbs_acls"),
    Line("pbs_prune_jobs", "pbs_prune_jobs"),
    Line("pbs_verify_jobs", "pbs_verify_jobs"),
    Line("pbs_remotes", "pbs_remotes", note="password_file: the file with the secret of the login there"),
    Line("pbs_sync_jobs", "pbs_sync_jobs"),
    Line("pbs_traffic_controls", "pbs_traffic_controls"),
    Line(
        "pbs_notification_endpoints",
        "pbs_notification_endpoints",
        note="passwords and tokens cannot be read",
    ),
    Line("pbs_notification_matchers", "pbs_notification_matchers"),
)

TABLES: Mapping[str, tuple[Line, ...]] = {PVE.product: CLUSTER, PBS.product: SERVER}


def run_export(params: Mapping[str, Any], check_mode: bool, dialect: Dialect) -> Result:
    """The modules export and pbs_export."""
    with Api.open(params, check_mode, dialect) as api:
        lines = [line for line in TABLES[dialect.product] if _asked(line, params.get("variables") or [])]
        found: Item = {}
        unread: list[str] = []
        for line in lines:
            try:
                value = value_of(api, line)
            except ApiError as error:
                if error.status not in (403, 404, 501):
                    raise
                unread.append(f"{line.variable}: {error.text or error.status}")
                continue
            if value is not None:
                found[line.variable] = value
        text = document(found, lines, unread, str(params.get("title") or ""))
        changes = []
        if params.get("dest"):
            changes = _write(params, text, list(found), check_mode)
        for each in unread:
            api.warn(f"not exported: {each}")
        return api.result(changes, variables=found, text=text, unread=unread)


def _asked(line: Line, names: Sequence[str]) -> bool:
    return not names or line.variable in names


def value_of(api: Api, line: Line) -> Any:
    """What a variable would have to be; None if there is nothing of the kind."""
    if line.read is not None:
        return line.read(api)
    collection = collection_of(line.module)
    seen = collection(api, {collection.spec.option: [], "purge": False}).everything()
    spec = collection.spec
    items = [item for _key, item in sorted(seen.items(), key=lambda pair: str(pair[0]))]
    elements = [special.element(spec, item) for item in items if line.keep(item)]
    return [{name: each[name] for name in each if name not in line.without} for each in elements] or None


def collection_of(name: str) -> type[Collection]:
    """The collection that a module manages. Raises :class:`QuorateError` where the modules are not at hand."""
    try:
        run: Any = import_module(f"{MODULES}.{name}").run
    except ImportError as error:
        raise QuorateError(
            f"the module {name} is not here: {error}", hint="Run the export on the control node."
        ) from error
    found: type[Collection] = run.args[0] if hasattr(run, "args") else run.__self__
    return found


class _Unsafe(str):
    """A text with braces of its own, which Ansible must not take for a template."""


@cache
def _dumper() -> Any:
    """Made when it is first used: modules can be looked into without the library."""

    class Dumper(yaml.SafeDumper):
        """Indents lists below their key."""

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            super().increase_indent(flow, False)

    Dumper.add_representer(_Unsafe, lambda dumper, value: dumper.represent_scalar("!unsafe", str(value), style="'"))
    return Dumper


def _marked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _marked(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_marked(each) for each in value]
    return _Unsafe(value) if isinstance(value, str) and ("{{" in value or "{%" in value) else value


def document(variables: Item, lines: Sequence[Line], unread: Sequence[str], title: str) -> str:
    """The file's text: a block a variable, and what could not be read as comments."""
    parts = ["---"]
    if title:
        parts.append("\n".join(f"# {line}" for line in title.splitlines()))
    parts.append("# Secrets cannot be read back: logins, passwords and tokens are yours to add, from a vault.")
    by_name = {line.variable: line for line in lines}
    parts += [f"# not read: {each.splitlines()[0]}" for each in unread]
    for name, value in variables.items():
        text = yaml.dump(
            {name: _marked(value)},
            Dumper=_dumper(),
            sort_keys=False,
            default_flow_style=False,
            allow_unicode=True,
            width=110,
        )
        if not by_name[name].complete:
            text = "".join(f"# {each}\n" for each in text.splitlines())
        note = by_name[name].note
        parts.append((f"# {note}\n" if note else "") + text.rstrip("\n"))
    return "\n\n".join(parts)


def _write(params: Mapping[str, Any], text: str, names: list[str], check_mode: bool) -> list[Any]:
    path = Path(params["dest"]).expanduser()
    there = path.read_text("utf-8") if path.is_file() else None
    if there == f"{text}\n":
        return []
    if there is not None and not params["overwrite"]:
        raise StateError(
            f"{path} exists and differs from what would be written",
            where="dest",
            hint="Give another path, or say overwrite: true.",
        )
    if not check_mode:
        prepare_directory(str(path), "dest")
        write_secret(str(path), text)
    before = {"text": there} if there is not None else {}
    return [simple_change(UPDATE if before else CREATE, "file", str(path), {"text": text, "variables": names}, before)]
