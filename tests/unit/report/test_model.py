# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what the servers said to what the report says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quorate.pve.plugins.module_utils._link_steps import LinkStatus
from ansible_collections.quorate.pve.plugins.module_utils._pure.crush_map import Bucket, CrushMap, Rule
from ansible_collections.quorate.pve.plugins.module_utils._report_drills import read_record
from ansible_collections.quorate.pve.plugins.module_utils._report_model import build
from ansible_collections.quorate.pve.plugins.module_utils._report_page import render
from ansible_collections.quorate.pve.plugins.module_utils._report_raw import CephRaw, Raw, Wishes
from ansible_collections.quorate.pve.plugins.module_utils._report_words import size, span

from ...report_models import EVIL, NOW, raw

TEMPLATES = Path(__file__).resolve().parents[3] / "roles" / "report" / "templates"


@pytest.fixture(scope="module")
def sick() -> dict[str, Any]:
    return build(raw(), Wishes(classes={"103": {"name": "gold"}}))


def has(model: dict[str, Any], severity: str, area: str, *words: str) -> bool:
    found = [one for one in model["findings"] if (one["severity"], one["area"]) == (severity, area)]
    return any(all(word in one["text"] for word in words) for one in found)


@pytest.mark.parametrize(
    ("severity", "area", "words"),
    [
        ("error", "nodes", "pve3 is offline"),
        ("warning", "nodes", "different versions"),
        ("warning", "quorum", "the loss of one more node stops everything"),
        ("warning", "topology", "link 1: pve1"),
        ("warning", "ceph", "OSD_DOWN"),
        ("error", "ceph", "pool fast: size 2 with min_size 1"),
        ("warning", "ceph", "pve3 of 3 monitors"),
        ("error", "replication", "replica of 102 on pve1: fails: no room"),
        ("error", "backups", "pbs2 does not answer"),
        ("warning", "backups", "guest 100: none on what answers"),
        ("warning", "backups", "datastore main of pbs1 is 90 % full"),
    ],
)
def test_each_thing_that_is_wrong_is_found(sick: dict[str, Any], severity: str, area: str, words: str) -> None:
    assert has(sick, severity, area, words), [one["text"] for one in sick["findings"]]
    assert all(one["fix"] for one in sick["findings"] if one["severity"] != "info")


def test_one_sentence_a_guest(sick: dict[str, Any]) -> None:
    sentence = next(guest["sentence"] for guest in sick["guests"] if guest["vmid"] == 103)
    assert sentence == (
        "vm 103 (guest103, gold): survives a host loss, recovery point 0, last drill 151 s 3 days ago, backup 2 h old,"
        " restore tested 3 days ago"
    )


def test_a_guest_that_has_nowhere_to_go(sick: dict[str, Any]) -> None:
    assert sick["protected"]["survive"] < sick["protected"]["all"]
    lost = build(raw(guests=90), Wishes())
    assert {row["fits"] for row in lost["capacity"]["losses"]} == {False}
    assert has(lost, "error", "capacity", "if pve1 is lost, there is no room for")
    assert any("no room for it on the other nodes" in guest["sentence"] for guest in lost["guests"])


def test_votes(sick: dict[str, Any]) -> None:
    quorum = sick["quorum"]
    assert (quorum["expected"], quorum["present"], quorum["needed"], quorum["survives"]) == (3, 2, 2, 0)
    two = replace(raw(4), qdevice={"State": "Connected", "Algorithm": "Fifty-Fifty split"})
    with_witness = build(two, Wishes())["quorum"]
    assert (with_witness["expected"], with_witness["needed"]) == (5, 3)
    assert {"lost": "the witness", "left": 3, "quorate": True} in with_witness["losses"]
    sites = Wishes(nodes=[{"name": f"pve{n}", "site": "a" if n < 3 else "b"} for n in (1, 2, 3, 4)])
    assert {"lost": "site a", "left": 2, "quorate": False} in build(two, sites)["quorum"]["losses"]


def test_links(sick: dict[str, Any]) -> None:
    states = {(link["number"], end["node"]): end["state"] for link in sick["links"] for end in link["ends"]}
    assert states[0, "pve1"] == states[0, "pve2"] == "ok"
    assert (states[1, "pve1"], states[0, "pve3"]) == ("cut", "cut")
    without: Raw = replace(raw(), links={"pve1": "refused", "pve2": {0: LinkStatus()}})
    states = {
        (link["number"], end["node"]): end["state"]
        for link in build(without, Wishes())["links"]
        for end in link["ends"]
    }
    assert (states[0, "pve1"], states[0, "pve2"], states[1, "pve2"]) == ("unknown", "cut", "unknown")


def test_backups_of_other_clusters_do_not_count() -> None:
    sick = raw()
    server = sick.servers[0]
    foreign = [{**server.snapshots[0], "ns": "other", "backup-id": "100", "backup-time": NOW}]
    model = build(replace(sick, servers=[replace(server, snapshots=[*server.snapshots, *foreign])]), Wishes())
    assert has(model, "error", "backups", "guest 100: no backup at all, and no job includes it")


@pytest.mark.parametrize(
    ("domain", "hosts", "words", "fix"),
    [
        ("host", 3, "the loss of 1 host stops nothing", ""),
        ("osd", 3, "copies may lie on disks of one host", "whose failure domain is host"),
        ("host", 2, "3 copies need as many hosts, and there are 2", "Give another host OSDs"),
    ],
)
def test_what_keeps_copies_apart(domain: str, hosts: int, words: str, fix: str) -> None:
    buckets = {f"h{number}": Bucket(f"h{number}", "host", items={f"osd.{number}": 1.0}) for number in range(hosts)}
    root = Bucket("default", "root", items=dict.fromkeys(buckets, 1.0))
    rule = Rule("some", root="default", steps=[("chooseleaf_firstn", 0, domain)])
    devices = {f"osd.{number}": "ssd" for number in range(hosts)}
    crush = CrushMap(devices, {"osd": 0, "host": 1, "root": 11}, {**buckets, "default": root}, {"some": rule})
    pool = {"pool_name": "vm", "size": 3, "min_size": 2, "crush_rule_name": "some"}
    model = build(replace(raw(), ceph=CephRaw(raw().ceph.status, [pool], crush=crush)), Wishes())  # type: ignore[union-attr]
    [judged] = model["ceph"]["pools"]
    assert judged["judgement"].startswith(words)
    assert fix in judged["fix"]
    found = [each for each in model["findings"] if each["text"].startswith("pool vm: ")]
    assert [each["severity"] for each in found] == (["warning"] if fix else [])
    assert all(fix in each["fix"] for each in found)


def test_drills(sick: dict[str, Any]) -> None:
    (drill,) = sick["drills"]
    assert drill["passed"]
    assert [event["at"] for event in drill["events"]] == [0, 12, 61, 136, 151]
    slow = build(replace(raw(), drills=[{"started": 1, "seconds": {"recovery": 200}}]), Wishes())
    assert not slow["drills"][0]["passed"]
    assert has(slow, "warning", "drills", "failed")


def test_the_model_is_plain_and_the_page_escapes(sick: dict[str, Any]) -> None:
    page = render(json.loads(json.dumps(sick)), TEMPLATES)
    assert EVIL not in page
    assert "&lt;script&gt;" in page
    assert "http://" not in page
    assert "https://" not in page


def test_a_single_node_without_anything() -> None:
    alone = raw(1, 0)
    empty = replace(
        alone,
        membership=replace(alone.membership, cluster=None),
        config_nodes=[],
        ceph=None,
        servers=[],
        drills=[],
        picture=None,
        replication_states={},
        facts=replace(alone.facts, replication=[], ha_resources=[]),
    )
    model = build(empty, Wishes())
    assert model["quorum"]["text"].startswith("a single node")
    assert "A single node has no links" in render(model, TEMPLATES)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (151, "151 s"), (900, "15 min"), (10_800, "3 h"), (259_200, "3 days")]
)
def test_spans(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_sizes() -> None:
    assert [size(number) for number in (0, 512 * 2**20, 1.5 * 2**30)] == ["0 B", "512 MiB", "1.5 GiB"]


def test_the_record_of_a_drill_is_read() -> None:
    record = {
        **{"version": 1, "cluster": "ha-lab", "scenario": "power-loss", "lost": ["pve1"], "started": 1795322566},
        **{"passed": False, "failures": ["too slow"], "promises": {"recovery": 180, "service": 240}},
        "times": {"detection": 12, "fence": None, "recovery": 190, "service": 200},
        "affected": ["vm:104", "vm:105"],
        "data": [{"vmid": 104, "replicated": True, "age": 60}, {"vmid": 105, "replicated": False, "age": 0}],
        "gaps": [{"vmid": 104, "since": 0, "until": 200}, {"vmid": 105, "since": 1, "until": None}],
        "events": [
            {"second": -3, "kind": "guest", "name": "104", "state": "there"},
            {"second": 61, "kind": "node", "name": "pve1", "state": "fence"},
            {"second": 70, "kind": "manager", "name": "", "state": "pve2"},
        ],
    }
    drawn = read_record(record)
    assert (drawn["target"], drawn["text"], drawn["seconds"]["recovery"]) == ("pve1", "too slow", 190)
    assert drawn["events"] == [{"at": 61, "text": "pve1 fence"}, {"at": 70, "text": "manager pve2"}]
    assert read_record({**record, "lost": [], "faults": ["link 1 of pve4"]})["target"] == "link 1 of pve4"
    assert drawn["guests"] == [
        {"sid": "vm:104", "gone": 200.0, "lost": "what was written in 60 s"},
        {"sid": "vm:105", "gone": None, "lost": ""},
    ]
    (drill,) = build(replace(raw(), drills=[{**record, "cluster": None}, {"hosts": []}]), Wishes())["drills"]
    assert (drill["title"], drill["passed"]) == ("power-loss pve1", False)
    assert "too slow" in drill["notes"]
    aborted = build(replace(raw(), drills=[{**record, "cluster": None, "aborted": True}]), Wishes())
    assert aborted["drills"][0]["aborted"]
    assert not has(aborted, "warning", "drills", "failed")


def test_names_are_in_the_order_of_their_numbers() -> None:
    model = build(raw(12, 3), Wishes())
    names = [f"pve{number}" for number in range(1, 12)]
    assert [loss["lost"] for loss in model["quorum"]["losses"]] == names
    anywhere = next(row for row in model["ha"]["resources"] if row["sid"] == "vm:101")
    assert [place["node"] for place in anywhere["may_run"]] == [*names, "pve12"]
