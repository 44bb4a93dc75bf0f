# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site's life: looked at, made, made again, stopped and started."""

from __future__ import annotations

import pytest


def test_check_mode_starts_the_lab_and_writes_nothing(lab) -> None:
    run = lab.site("--check")
    assert run.status == 0, run.output
    assert run.hosts["localhost"]["changed"] == 0, "starting the lab is no change of the site"
    before = lab.files()

    again = lab.site("--check", "--diff")
    assert again.status == 0, again.output
    assert lab.files() == before
    for node in ("pve1", "pve2", "pve3"):
        assert [one["type"] for one in lab.api(node, "GET", "/cluster/status")] == ["node"]
        assert lab.api(node, "GET", f"/nodes/{node}/disks/zfs") == []
        assert lab.api(node, "GET", "/cluster/resources?type=vm") == []
    assert again.says("what cannot be known before earlier steps are made", "pve2 is not a member of the cluster yet")


def test_second_run_changes_nothing(module_lab) -> None:
    lab = module_lab
    first = lab.site()
    assert first.status == 0, first.output
    assert first.changed > 0
    assert first.says("ha-lab", "quorate 3/3", "survives the loss of any one node", "6 running", "4 under HA")

    before = lab.files()
    second = lab.site()
    assert second.status == 0, second.output
    assert {host: counts["changed"] for host, counts in second.hosts.items()} == dict.fromkeys(second.hosts, 0)
    assert lab.files() == before

    check = lab.site("--check", "--diff")
    assert check.status == 0, check.output
    assert check.changed == 0


def test_one_change_is_one_change(module_lab) -> None:
    """Follows the test above: the site is there."""
    lab = module_lab
    options = {"ha": {"shutdown_policy": "freeze"}}
    predicted = lab.site("--check", "--diff", "--tags", "options", pve_options=options)
    assert predicted.status == 0, predicted.output
    assert predicted.changed == 1
    assert predicted.says("freeze")
    done = lab.site("--tags", "options", pve_options=options)
    assert done.status == 0, done.output
    assert done.changed == 1
    assert lab.api("pve3", "GET", "/cluster/options")["ha"]["shutdown_policy"] == "freeze"
    back = lab.site("--tags", "options")
    assert back.changed == 1


def test_a_stopped_lab_comes_back(module_lab) -> None:
    lab = module_lab
    assert lab.agentstack("down").returncode == 0
    run = lab.site()
    assert run.status == 0, run.output
    assert run.says("quorate 3/3", "4 under HA"), run.output
    # the cluster's list of guests is ten seconds behind what the nodes say
    again = lab.site()
    assert again.status == 0, again.output
    assert again.changed == 0, again.output
    assert again.says("6 running"), again.output


@pytest.mark.parametrize("missing", ["pve2", "pve3"])
def test_a_member_that_is_off_stops_nothing(module_lab, missing: str) -> None:
    lab = module_lab
    assert lab.agentstack("power", "off", missing).returncode == 0
    try:
        run = lab.site("--check", "--tags", "cluster,storage")
        assert run.status == 0, run.output
        assert run.says(f"{missing} (OFFLINE)")
    finally:
        lab.agentstack("power", "on", missing)
