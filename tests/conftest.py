# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stacks for tests: each in a directory and on a network of its own, gone when its test is over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, settings

from .stacks import RunningStack, StackFactory, free_net

# how fast examples are made says something about the machine, nothing about the code
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def stack_factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackFactory]:
    """Makes stacks: `stack_factory(hosts=2, scale=20, **rest of the stack file)`.

    `hosts` is a number (pve1 …) or the mapping of a stack file. `up=False` only writes the file. The directory is
    under the tests' temporary directory. Stacks are taken down after the last test of the file that made them: hosts
    that idle cost the others their time.
    """
    made: list[RunningStack] = []

    def make(hosts: int | dict[str, Any] = 1, *, scale: float = 20, up: bool = True, **definition: Any) -> RunningStack:
        directory = tmp_path_factory.mktemp("stack")
        if isinstance(hosts, int):
            hosts = {f"pve{number}": {"kind": "pve"} for number in range(1, hosts + 1)}
        content = {"name": "test", "net": free_net(), "scale": scale, "boot_time": 2, **definition, "hosts": hosts}
        file = directory / "stack.yml"
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        stack = RunningStack(directory / "state", file, content)
        made.append(stack)
        if up:
            stack.up()
        return stack

    yield make
    for stack in made:
        if stack.dir.exists():
            stack.down()


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The reference material that some tests compare with; it is kept beside the project, not in it."""
    path = PROJECT.parent / "shared"
    if not path.is_dir():
        pytest.skip(f"the reference material is not beside the project ({path.name}/)")
    return path
