# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shell's lines, and the paths of a host."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentstack.errors import AgentError, NoQuorum, ParameterError
from agentstack.host import Host
from agentstack.shell.registry import CommandIO, Commands
from agentstack.shell.rootfs import RootFs
from agentstack.stack import Kind


@dataclass
class Files:
    """As much of /etc/pve as paths need."""

    links: dict[str, str] = field(default_factory=lambda: {"local": "nodes/pve1", "qemu-server": "nodes/pve1/qemu"})

    def read(self, path: str) -> bytes:
        return f"<{path}>".encode()


class Hardware:
    """A machine that shows one file."""

    def file(self, path: str) -> bytes | None:
        return b"0.10 0.10 0.10 1/200 4242\n" if path == "/proc/loadavg" else None


@dataclass
class Box:
    """A host as far as the shell looks at it."""

    root: Path
    kind: Kind = "pve"
    files: Files = field(default_factory=Files)
    hardware: Hardware = field(default_factory=Hardware)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    root = tmp_path / "root"
    (root / "etc/pve").mkdir(parents=True)
    (root / "root/.ssh").mkdir(parents=True)
    (root / "tmp").mkdir()
    (tmp_path / "outside").write_text("secret")
    return cast(Host, Box(root))


@pytest.fixture
def commands() -> Commands:
    commands = Commands()

    @commands("show", kinds=("pve", "pbs"))
    async def show(host: Host, argv: list[str], io: CommandIO) -> int:
        io.out("|".join(argv))
        return len(argv)

    @commands("fail")
    async def fail(host: Host, argv: list[str], io: CommandIO) -> int:
        match argv:
            case ["quorum"]:
                raise NoQuorum
            case ["parameter"]:
                raise ParameterError({"vmid": "value is missing"})
        raise AgentError("no such thing")

    return commands


async def run(commands: Commands, host: Host, line: str) -> tuple[int, str, str]:
    io = CommandIO()
    status = await commands.run(host, line, io)
    return status, io.stdout.decode(), io.stderr.decode()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("show", (0, "", "")),
        ("show a 'b c' \"d|e\" f\\;g", (4, "a|b c|d|e|f;g", "")),
        ("/usr/sbin/show x", (1, "x", "")),
        ("LC_ALL=C A='b c' show x", (1, "x", "")),
        ("", (0, "", "")),
        ("/usr/local/bin/show", (127, "", "bash: /usr/local/bin/show: No such file or directory\n")),
        ("shows", (127, "", "bash: shows: command not found\n")),
        ("fail", (255, "", "no such thing\n")),
        ("fail quorum", (255, "", "cluster not ready - no quorum?\n")),
        ("fail parameter", (255, "", "400 Parameter verification failed.\nvmid: value is missing\n")),
        ("show 'open", (2, "", "bash: No closing quotation\n")),
    ],
)
async def test_lines(commands: Commands, host: Host, line: str, expected: tuple[int, str, str]) -> None:
    assert await run(commands, host, line) == expected


@pytest.mark.parametrize("operator", ["|", ";", "&&", ">", "<", "(", "\n", "$x", "`x`", '"$x"'])
async def test_operators_are_refused(commands: Commands, host: Host, operator: str) -> None:
    status, out, err = await run(commands, host, f"show a {operator} b")
    assert (status, out) == (2, "")
    assert err.startswith("bash: syntax error near unexpected token")


async def test_commands_belong_to_kinds_of_host(commands: Commands, tmp_path: Path) -> None:
    other = cast(Host, Box(tmp_path, "pbs"))
    assert (await run(commands, other, "show"))[0] == 0
    assert (await run(commands, other, "fail"))[0] == 127


def test_a_command_is_registered_once(commands: Commands) -> None:
    async def show(host: Host, argv: list[str], io: CommandIO) -> int:
        return 0

    with pytest.raises(ValueError, match="show is registered twice"):
        commands("show")(show)


# -- paths ------------------------------------------------------------------------------------------------------


def test_relative_paths_begin_at_home(host: Host) -> None:
    assert RootFs(host).resolve("x/./y").path == "/root/x/y"
    assert RootFs(host).resolve("../tmp//z").path == "/tmp/z"


def test_the_cluster_files(host: Host) -> None:
    fs = RootFs(host)
    assert fs.resolve("/etc/pve").cluster == ""
    assert fs.resolve("/etc/pve/storage.cfg").cluster == "storage.cfg"
    assert fs.resolve("/etc/pve/local/x").cluster == "nodes/pve1/x"
    assert fs.resolve("/etc/pve/local", follow=False).cluster == "local"
    assert fs.resolve("/etc/pve/local/../../storage.cfg").cluster == "storage.cfg"
    assert fs.resolve("/etc/pve/../hosts").cluster is None
    assert fs.resolve("/etc/pve2").cluster is None


def test_links_lead_within_the_host(host: Host) -> None:
    fs = RootFs(host)
    (host.root / "root/.ssh/authorized_keys").symlink_to("/etc/pve/priv/authorized_keys")
    (host.root / "tmp/out").symlink_to("../../../../outside")
    (host.root / "tmp/abs").symlink_to(host.root.parent / "outside")
    (host.root / "tmp/dir").symlink_to("/tmp")
    assert fs.read(".ssh/authorized_keys") == b"<priv/authorized_keys>"
    assert fs.resolve("/tmp/out").path == "/outside"
    assert not fs.exists("/tmp/abs")
    assert fs.resolve("/tmp/dir/dir/dir/x").path == "/tmp/x"
    assert fs.resolve("/tmp/dir", follow=False).path == "/tmp/dir"
    assert fs.link("/tmp/dir") == "/tmp"
    assert fs.exists("/proc/loadavg")
    assert fs.read("/tmp/../proc/loadavg").startswith(b"0.10 ")


def test_links_in_a_circle(host: Host) -> None:
    (host.root / "tmp/a").symlink_to("b")
    (host.root / "tmp/b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels") as caught:
        RootFs(host).resolve("/tmp/a")
    assert caught.value.errno == errno.ELOOP


NAMES = st.sampled_from(["..", ".", "", "etc", "pve", "tmp", "link", "up", "x"])


@given(path=st.lists(NAMES, max_size=12).map("/".join), absolute=st.booleans())
def test_no_path_leaves_the_root(tmp_path_factory: pytest.TempPathFactory, path: str, absolute: bool) -> None:
    root = tmp_path_factory.getbasetemp() / "confined"
    if not root.exists():
        (root / "etc/pve").mkdir(parents=True)
        (root / "tmp").mkdir()
        (root / "link").symlink_to("../../../..")
        (root / "tmp/up").symlink_to("/../tmp/../..")
    place = RootFs(cast(Host, Box(root))).resolve("/" * absolute + path)
    assert place.local.resolve().is_relative_to(root.resolve())
