# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is shown of a molecule scenario that failed, from logs as molecule writes them."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "molecule-failure.awk"
IGNORED = """\
INFO     [zfs > converge] Executing

PLAY [localhost] ***************************************************************

TASK [Refused] *****************************************************************
[ERROR]: Task failed: Action failed: ignored

fatal: [localhost]: FAILED! =>
    changed: false
    msg: ignored
...ignoring
"""
FAILED = (
    IGNORED
    + """
TASK [quorate.pve.zfs : Pools] *************************************************
[ERROR]: Task failed: Action failed: Assertion failed

fatal: [pve1]: FAILED! =>
    assertion: a == 1
    msg: Assertion failed

PLAY RECAP *********************************************************************
pve1                       : ok=1    changed=0    unreachable=0    failed=1    skipped=0    rescued=0    ignored=1

CRITICAL Ansible return code was 2, command was: ansible-playbook
ERROR    [zfs > converge] Executed: Failed
INFO     [zfs > destroy] Executing

TASK [Stop the agents] *********************************************************
fatal: [localhost]: FAILED! =>
    msg: not this one
"""
)
CHANGED = (
    IGNORED
    + """
PLAY RECAP *********************************************************************
INFO     [zfs > converge] Executed: Successful
INFO     [zfs > idempotence] Executing

TASK [quorate.pve.zfs : Pools] *************************************************
changed: [pve1]

PLAY RECAP *********************************************************************
CRITICAL Idempotence test failed because of the following tasks:
* [pve1] => quorate.pve.zfs : Pools
ERROR    [zfs > idempotence] Executed: Failed
"""
)


def shown(log: str) -> list[str]:
    done = subprocess.run(["awk", "-f", str(SCRIPT)], input=log, capture_output=True, text=True, check=True)
    return [line.strip() for line in done.stdout.splitlines()]


def test_the_task_that_failed_is_shown_and_not_those_before_and_behind_it() -> None:
    assert shown(FAILED) == [
        "[zfs > converge] Executing",
        "TASK [quorate.pve.zfs : Pools]",
        "fatal: [pve1]: FAILED! =>",
        "assertion: a == 1",
        "msg: Assertion failed",
    ]


def test_tasks_that_changed_something_again_are_shown() -> None:
    assert shown(CHANGED) == [
        "[zfs > idempotence] Executing",
        "CRITICAL Idempotence test failed because of the following tasks:",
        "* [pve1] => quorate.pve.zfs : Pools",
    ]


@pytest.mark.parametrize("log", [IGNORED.replace("...ignoring\n", ""), "ERROR    no such scenario\n"])
def test_of_a_scenario_that_was_cut_off_the_end_is_shown(log: str) -> None:
    assert shown(log)[-1] == log.splitlines()[-1].strip()
