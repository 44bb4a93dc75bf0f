# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installing Ceph on nodes, and its configuration: made once, then only compared. Private to this collection."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

from ._api import Api, Result
from ._ceph import NOT_INSTALLED
from ._errors import ApiError, ApplyError, InputError, QuorateError, ShellError, StateError, VerifyError
from ._parallel import side_by_side
from ._plan import CREATE, Change, raise_all, simple_change
from ._shell import Login, Shell

PACKAGES = "Ceph's packages"


def install(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The module ceph_install: packages on every node that has none."""
    with Api.open(params, check_mode) as api:
        return _install(api, params)


def _install(api: Api, params: Mapping[str, Any]) -> Result:
    nodes = list(params["nodes"])
    for index, entry in enumerate(nodes):
        api.check_reference("node", entry["node"], f"nodes[{index}]")
        if entry["node"] in api.nodes and not api.online(entry["node"]):
            api.warn(f"nodes[{index}] ({entry['node']}): the node is offline, it cannot be looked at")
    there = [entry for entry in nodes if entry["node"] in api.nodes and api.online(entry["node"])]
    answers = side_by_side(lambda entry: installed(api, entry["node"]), there)
    raise_all([answer for answer in answers if isinstance(answer, QuorateError)])
    missing = [entry for entry, answer in zip(there, answers, strict=True) if not answer]
    wanted = {"release": params["release"], "repository": params["repository"]}
    changes = [simple_change(CREATE, PACKAGES, f"on {entry['node']}", wanted) for entry in missing]
    api.approve(changes)
    if changes and not api.check_mode:
        login = Login.from_params(params)
        results = side_by_side(lambda entry: _install_on(entry, login, params), missing)
        _raise_failures(changes, results)
        for entry in missing:
            if not installed(api, entry["node"]):
                raise VerifyError(f"pveceph install said yes, and Ceph is not installed on {entry['node']}")
    return api.result(changes)


def installed(api: Api, node: str) -> bool:
    """Whether a node has Ceph's packages; any other complaint than that they are missing means that it has."""
    try:
        api.client.get(f"/nodes/{node}/ceph/status")
    except ApiError as error:
        if error.node_offline or error.status in (401, 403):
            raise
        return not error.says(NOT_INSTALLED)
    return True


def _install_on(entry: Mapping[str, Any], login: Login, params: Mapping[str, Any]) -> None:
    command = ["pveceph", "install", "--repository", params["repository"], "--version", params["release"]]
    with Shell(entry["address"], login, entry.get("host_key")) as shell:
        # it asks whether to go on
        shell.run(command, stdin="y\n")


def _raise_failures(changes: list[Change], results: list[Any]) -> None:
    errors = [result for result in results if isinstance(result, QuorateError)]
    if not errors:
        return
    for error in errors:
        if isinstance(error, ShellError) and "401" in error.message and not error.hint:
            error.hint = "The enterprise repository needs a subscription; say repository: no-subscription without one."
    done = [c.describe() for c, r in zip(changes, results, strict=True) if not isinstance(r, QuorateError)]
    not_done = [c.describe() for c, r in zip(changes, results, strict=True) if isinstance(r, QuorateError)]
    raise ApplyError(errors, done, not_done)


def configure(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The module ceph_config: ``pveceph init`` if there is no ceph.conf, a comparison if there is one."""
    with Api.open(params, check_mode) as api:
        return _configure(api, params)


def _configure(api: Api, params: Mapping[str, Any]) -> Result:
    for option in ("network", "cluster_network"):
        _check_network(params.get(option), option)
    present = settings(api)
    wanted = {name: params.get(name) for name in ("network", "cluster_network", "size", "min_size")}
    if present:
        _compare(wanted, present)
        return api.result([], fsid=present.get("fsid"))
    changes = [simple_change(CREATE, "configuration of", "Ceph", wanted)]
    if api.check_mode:
        return api.result(changes, fsid=None)
    api.approve(changes)
    node = params.get("node") or "localhost"
    payload = {name.replace("cluster_n", "cluster-n"): value for name, value in wanted.items()}
    api.client.post(f"/nodes/{node}/ceph/init", {**payload, "disable_cephx": int(not params["cephx"])})
    made = settings(api)
    _compare(wanted, made)
    return api.result(changes, fsid=made.get("fsid"))


def settings(api: Api) -> dict[str, str]:
    """The section ``global`` of ceph.conf; empty if there is none, or Ceph is not even installed."""
    try:
        text = api.client.get("/nodes/localhost/ceph/cfg/raw")
    except ApiError as error:
        if api.check_mode and error.says(NOT_INSTALLED):
            api.unknown.append("Ceph is not installed yet")
            return {}
        raise
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.read_string(text or "")
    if not parser.has_section("global"):
        return {}
    return {key.strip().replace(" ", "_"): value.strip() for key, value in parser.items("global")}


def _compare(wanted: Mapping[str, Any], present: Mapping[str, str]) -> None:
    """Networks of a live Ceph are not changed here: its monitors have addresses in them."""
    keys = {"network": "public_network", "cluster_network": "cluster_network"}
    for name, key in keys.items():
        has = present.get(key)
        if wanted[name] is not None and (
            has is None or ip_network(has, strict=False) != ip_network(wanted[name], strict=False)
        ):
            raise StateError(
                f"Ceph is configured with {key} {has or 'not set'}, not {wanted[name]}",
                where=name,
                hint="Take over what is there; moving a running Ceph to another network is done monitor by monitor.",
            )


def _check_network(value: Any, where: str) -> None:
    try:
        if value is not None:
            ip_network(str(value), strict=False)
    except ValueError as error:
        raise InputError(f"{error}", where=where, hint="Give it as 10.0.0.0/24.") from error
