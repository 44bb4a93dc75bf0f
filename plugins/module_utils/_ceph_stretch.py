# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph's stretch mode: two sites with two copies each, and a monitor in a third place that breaks ties.

Private to this collection.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ._api import Api, Result
from ._ceph import read
from ._ceph_crush import crush_map
from ._ceph_shell import on_a_node
from ._errors import ApplyError, InputError, QuorateError, StateError, VerifyError
from ._plan import CREATE, UPDATE, Change, simple_change
from ._pure.lists import natural_sorted

CONNECTIVITY = 3
"""The number of the election strategy `connectivity` in `ceph mon dump`."""
MODE = "stretch mode"


def run(params: Mapping[str, Any], check_mode: bool) -> Result:
    """The whole module."""
    with Api.open(params, check_mode) as api:
        return _manage(api, params)


def _manage(api: Api, params: Mapping[str, Any]) -> Result:
    sites = {str(name): str(site) for name, site in params["monitors"].items()}
    check_sites(sites, str(params["tiebreaker"]))
    changes = _plan(api, params, sites)
    if changes and not api.check_mode:
        _check_hierarchy(api, params, sites)
        api.approve(changes)
        _apply(api, params, changes)
        left = _plan(api, params, sites)
        if left:
            names = ", ".join(change.object for change in left)
            raise VerifyError(f"the commands said yes, and it is not so: {names}")
    return api.result(changes)


def check_sites(sites: Mapping[str, str], tiebreaker: str) -> None:
    """Two sites with the same number of monitors, and one monitor elsewhere. Raises InputError."""
    problem = problem_of_sites(sites, tiebreaker)
    if problem:
        raise InputError(problem, where="monitors", hint="Put a monitor in a third place and name it as tiebreaker.")


def problem_of_sites(sites: Mapping[str, str], tiebreaker: str) -> str:
    """Why these monitors (name -> site) do not survive the loss of a site; empty if they do."""
    if tiebreaker not in sites:
        return f"the tiebreaker {tiebreaker} is none of the monitors ({', '.join(natural_sorted(sites))})"
    others = {site for name, site in sites.items() if name != tiebreaker}
    if sites[tiebreaker] in others:
        return (
            f"the tiebreaker {tiebreaker} is in {sites[tiebreaker]}, which has monitors of its own: without that place "
            "there is no majority"
        )
    if len(others) != 2:
        return f"beside the tiebreaker there are monitors in {len(others)} sites; stretch mode is for two"
    counts = {each: sum(site == each for name, site in sites.items() if name != tiebreaker) for each in others}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{count} in {site}" for site, count in sorted(counts.items()))
        return f"the sites have unlike numbers of monitors ({said}): without the bigger one there is no majority"
    return ""


def _plan(api: Api, params: Mapping[str, Any], sites: Mapping[str, str]) -> list[Change]:
    status = read(api, "/cluster/ceph/status", "monitors")
    monmap: Mapping[str, Any] = (status or {}).get("monmap", {})
    changes: list[Change] = []
    present = {str(monitor["name"]): _location(monitor) for monitor in monmap.get("mons", ())}
    missing = [name for name in sites if status is not None and name not in present]
    if missing:
        if not api.check_mode:
            raise StateError(f"there is no monitor {missing[0]}", where="monitors")
        api.unknown.append(f"monitors: there is no monitor {', '.join(missing)} yet")
    kind = str(params["type"])
    if monmap.get("stretch_mode"):
        tiebreaker = monmap.get("tiebreaker_mon")
        if tiebreaker != params["tiebreaker"]:
            raise StateError(
                f"stretch mode is on, and {tiebreaker} breaks ties, not {params['tiebreaker']}",
                where="tiebreaker",
                hint="Change it with 'ceph mon set_new_tiebreaker' yourself, or take over what is there.",
            )
    for name, site in sites.items():
        has = present.get(name, {}).get(kind)
        if has != site:
            if has is not None and monmap.get("stretch_mode"):
                raise StateError(f"monitor {name} stands in {has}, and stretch mode is on", where=f"monitors.{name}")
            changes.append(simple_change(UPDATE, "location of monitor", name, {kind: site}, {kind: has}))
    if monmap.get("election_strategy") != CONNECTIVITY and not monmap.get("stretch_mode"):
        changes.append(simple_change(UPDATE, "election strategy of", "the monitors", {"strategy": "connectivity"}))
    if not monmap.get("stretch_mode"):
        after = {"tiebreaker": params["tiebreaker"], "rule": params["rule"], "type": kind}
        changes.append(simple_change(CREATE, MODE, "of Ceph", after))
    return changes


def _location(monitor: Mapping[str, Any]) -> dict[str, str]:
    """A monitor's place: `{datacenter=dc1}` in the server's answer."""
    return dict(re.findall(r"([\w-]+)=([^,{}]+)", str(monitor.get("crush_location") or "")))


def _check_hierarchy(api: Api, params: Mapping[str, Any], sites: Mapping[str, str]) -> None:
    """Both sites have to be in the hierarchy, with OSDs of the same weight, and the rule has to be there."""
    present = crush_map(api, "rule")
    if present is None:
        raise StateError("Ceph does not show its CRUSH map", where="rule", hint="Bring its monitors back first.")
    if params["rule"] not in present.rules:
        raise StateError(
            f"there is no CRUSH rule {params['rule']}", where="rule", hint="Make it with ceph_crush first."
        )
    weights = {}
    for site in sorted({site for name, site in sites.items() if name != params["tiebreaker"]}):
        bucket = present.buckets.get(site)
        if bucket is None or bucket.type != params["type"]:
            raise StateError(
                f"there is no {params['type']} {site} in the CRUSH map", where="monitors", hint="See ceph_crush."
            )
        weights[site] = round(bucket.weight, 4)
    if len(set(weights.values())) > 1 or not all(weights.values()):
        said = ", ".join(f"{site} {weight}" for site, weight in weights.items())
        raise StateError(
            f"the sites must hold OSDs of the same weight: {said}",
            where="monitors",
            hint="Give both sites the same disks. Nothing was changed.",
        )


def _apply(api: Api, params: Mapping[str, Any], changes: list[Change]) -> None:
    done: list[Change] = []
    try:
        with on_a_node(api, params) as shell:
            for change in changes:
                shell.run(["ceph", "mon", *_words(change)])
                done.append(change)
    except QuorateError as error:
        not_done = [change.describe() for change in changes if change not in done]
        raise ApplyError([error], [change.describe() for change in done], not_done) from error


def _words(change: Change) -> list[str]:
    after = change.after
    if change.kind == MODE:
        return ["enable_stretch_mode", str(after["tiebreaker"]), str(after["rule"]), str(after["type"])]
    if "strategy" in after:
        return ["set", "election_strategy", "connectivity"]
    return ["set_location", change.label, *(f"{kind}={site}" for kind, site in after.items())]
