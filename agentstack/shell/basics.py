# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of the operating system that administrators and their tools use on a host."""

from __future__ import annotations

import datetime
import errno
import os
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING

from agentstack.errors import AgentError
from agentstack.shell.registry import CommandIO, command
from agentstack.shell.rootfs import RootFs
from agentstack.stack import Kind

if TYPE_CHECKING:
    from agentstack.host import Host

ALL: tuple[Kind, ...] = ("pve", "pbs", "witness")


@command("true", ":", kinds=ALL)
async def true(host: Host, argv: list[str], io: CommandIO) -> int:
    return 0


@command("false", kinds=ALL)
async def false(host: Host, argv: list[str], io: CommandIO) -> int:
    return 1


@command("echo", kinds=ALL)
async def echo(host: Host, argv: list[str], io: CommandIO) -> int:
    newline = "" if argv[:1] == ["-n"] else "\n"
    io.out(" ".join(argv[1:] if not newline else argv) + newline)
    return 0


@command("hostname", kinds=ALL)
async def hostname(host: Host, argv: list[str], io: CommandIO) -> int:
    match argv:
        case [] | ["-s"]:
            io.out(f"{host.name}\n")
        case ["-f"] | ["--fqdn"]:
            io.out(f"{host.fqdn}\n")
        case ["-I"]:
            io.out(" ".join(host.addresses.values()) + " \n")
        case _:
            io.err(f"hostname: invalid option -- '{argv[0]}'\n")
            return 255
    return 0


@command("uname", kinds=ALL)
async def uname(host: Host, argv: list[str], io: CommandIO) -> int:
    values = {"-s": "Linux", "-n": host.name, "-r": host.kernel, "-m": "x86_64", "-o": "GNU/Linux"}
    if argv == ["-a"]:
        io.out(f"Linux {host.name} {host.kernel} #1 SMP PREEMPT_DYNAMIC PMX {host.kernel} x86_64 GNU/Linux\n")
        return 0
    for option in argv or ["-s"]:
        if option not in values:
            io.err(f"uname: invalid option -- '{option.lstrip('-')}'\nTry 'uname --help' for more information.\n")
            return 1
    io.out(" ".join(values[option] for option in argv or ["-s"]) + "\n")
    return 0


@command("date", kinds=ALL)
async def date(host: Host, argv: list[str], io: CommandIO) -> int:
    now = datetime.datetime.fromtimestamp(host.clock.now(), datetime.UTC)
    form = next((word[1:] for word in argv if word.startswith("+")), "%a %b %e %H:%M:%S UTC %Y")
    # %s counts in the local time zone of this machine, and %N is unknown to the C library
    form = form.replace("%s", str(int(now.timestamp()))).replace("%N", f"{now.microsecond * 1000:09d}")
    io.out(now.strftime(form) + "\n")
    return 0


@command("uptime", kinds=ALL)
async def uptime(host: Host, argv: list[str], io: CommandIO) -> int:
    started = datetime.datetime.fromtimestamp(host.boot_time, datetime.UTC)
    if argv == ["-s"]:
        io.out(f"{started:%Y-%m-%d %H:%M:%S}\n")
        return 0
    seconds = int(host.clock.now() - host.boot_time)
    now = datetime.datetime.fromtimestamp(host.clock.now(), datetime.UTC)
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    io.out(f" {now:%H:%M:%S} up {seconds // 3600:2d}:{seconds // 60 % 60:02d},  0 users,  load average: {load}\n")
    return 0


@command("id", "whoami", kinds=ALL)
async def whoami(host: Host, argv: list[str], io: CommandIO) -> int:
    io.out("0\n" if argv == ["-u"] else "root\n")
    return 0


@command("cat", kinds=ALL)
async def cat(host: Host, argv: list[str], io: CommandIO) -> int:
    if not argv:
        io.out(await io.read())
        return 0
    fs = RootFs(host)
    return _each("cat", argv, io, lambda path: io.out(_read(fs, path)))


@command("ls", kinds=ALL)
async def ls(host: Host, argv: list[str], io: CommandIO) -> int:
    options = "".join(word[1:] for word in argv if word.startswith("-"))
    if unknown := set(options) - set("1aAl"):
        io.err(f"ls: invalid option -- '{min(unknown)}'\nTry 'ls --help' for more information.\n")
        return 2
    fs = RootFs(host)

    def show(path: str) -> None:
        if not fs.exists(path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        names = sorted(fs.listdir(path)) if fs.is_directory(path) else [path]
        visible = [name for name in names if not name.startswith(".") or set(options) & set("aA") or name == path]
        for name in visible:
            io.out(_long(fs, path, name) if "l" in options else f"{name}\n")

    paths = [word for word in argv if not word.startswith("-")] or ["."]
    return 2 if _each("ls", paths, io, show, "cannot access '{path}'") else 0


@command("test", "[", kinds=ALL)
async def test(host: Host, argv: list[str], io: CommandIO) -> int:
    fs = RootFs(host)
    checks: dict[str, Callable[[str], bool]] = {
        "-e": fs.exists,
        "-f": lambda path: fs.exists(path) and not fs.is_directory(path),
        "-d": fs.is_directory,
        "-L": lambda path: fs.resolve(path, follow=False).local.is_symlink(),
        "-s": lambda path: fs.exists(path) and not fs.is_directory(path) and bool(fs.read(path)),
        "-r": fs.exists,
        "-n": bool,
        "-z": lambda text: not text,
    }
    match [word for word in argv if word != "]"]:
        case [check, operand] if check in checks:
            return 0 if checks[check](operand) else 1
        case ["!", check, operand] if check in checks:
            return 1 if checks[check](operand) else 0
        case [left, "=" | "==", right]:
            return 0 if left == right else 1
        case [left, "!=", right]:
            return 0 if left != right else 1
        case [text]:
            return 0 if text else 1
        case []:
            return 1
    io.err("bash: test: too many arguments\n")
    return 2


@command("mkdir", kinds=ALL)
async def mkdir(host: Host, argv: list[str], io: CommandIO) -> int:
    parents = "-p" in argv
    fs = RootFs(host)
    status = 0
    for path in [word for word in argv if not word.startswith("-")]:
        place = fs.resolve(path)
        try:
            if place.cluster is None:
                place.local.mkdir(parents=parents, exist_ok=parents)
            elif not (parents and host.files.is_directory(place.cluster)):
                await host.files.mkdir(place.cluster)
        except OSError as error:
            io.err(f"mkdir: cannot create directory ‘{path}’: {error.strerror}\n")
            status = 1
    return status


@command("rm", kinds=ALL)
async def rm(host: Host, argv: list[str], io: CommandIO) -> int:
    options = "".join(word[1:] for word in argv if word.startswith("-"))
    fs = RootFs(host)
    status = 0
    for path in [word for word in argv if not word.startswith("-")]:
        place = fs.resolve(path, follow=False)
        try:
            if place.cluster is None:
                place.local.unlink()
            else:
                await host.files.delete(place.cluster)
        except FileNotFoundError as error:
            if "f" not in options:
                io.err(f"rm: cannot remove '{path}': {error.strerror}\n")
                status = 1
        except OSError as error:
            io.err(f"rm: cannot remove '{path}': {error.strerror}\n")
            status = 1
    return status


@command("mv", kinds=ALL)
async def mv(host: Host, argv: list[str], io: CommandIO) -> int:
    """Rename a file, over one that is there; within /etc/pve that is one step for the whole cluster."""
    paths = [word for word in argv if not word.startswith("-")]
    if len(paths) != 2:
        io.err("mv: missing file operand\nTry 'mv --help' for more information.\n")
        return 1
    source, target = (RootFs(host).resolve(path, follow=False) for path in paths)
    try:
        if source.cluster is not None and target.cluster is not None:
            await host.files.rename(source.cluster, target.cluster)
        elif source.cluster is None and target.cluster is None:
            source.local.replace(target.local)
        else:
            io.err(f"mv: cannot move '{paths[0]}' to '{paths[1]}': Invalid cross-device link\n")
            return 1
    except (OSError, AgentError) as error:
        reason = error.message if isinstance(error, AgentError) else error.strerror
        io.err(f"mv: cannot move '{paths[0]}' to '{paths[1]}': {reason}\n")
        return 1
    return 0


@command("stat", kinds=ALL)
async def stat_command(host: Host, argv: list[str], io: CommandIO) -> int:
    match argv:
        case ["-c" | "--format", form, path]:
            place = RootFs(host).resolve(path)
        case _:
            io.err("stat: missing operand\nTry 'stat --help' for more information.\n")
            return 1
    try:
        status = place.local.stat()
    except OSError as error:
        io.err(f"stat: cannot statx '{path}': {error.strerror}\n")
        return 1
    values = {
        "%s": str(status.st_size),
        "%a": f"{stat.S_IMODE(status.st_mode):o}",
        "%Y": str(int(status.st_mtime)),
        "%n": path,
        "%U": "root",
        "%G": "root",
    }
    for key, value in values.items():
        form = form.replace(key, value)
    io.out(f"{form}\n")
    return 0


@command("sleep", kinds=ALL)
async def sleep(host: Host, argv: list[str], io: CommandIO) -> int:
    try:
        seconds = float(argv[0])
    except (IndexError, ValueError):
        io.err("sleep: missing operand\n" if not argv else f"sleep: invalid time interval ‘{argv[0]}’\n")
        return 1
    await host.clock.sleep(seconds)
    return 0


def _each(name: str, paths: list[str], io: CommandIO, work: Callable[[str], None], prefix: str = "{path}") -> int:
    """Do the work for each path; complain as the tools do and go on. 1 if any failed."""
    status = 0
    for path in paths:
        try:
            work(path)
        except OSError as error:
            io.err(f"{name}: {prefix.format(path=path)}: {error.strerror or error}\n")
            status = 1
    return status


def _read(fs: RootFs, path: str) -> bytes:
    if fs.is_directory(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    return fs.read(path)


def _long(fs: RootFs, directory: str, name: str) -> str:
    path = name if name == directory else f"{directory}/{name}"
    if fs.is_directory(path):
        return f"drwxr-xr-x 2 root root {4096:>8} {name}\n"
    return f"-rw-r----- 1 root root {len(fs.read(path)):>8} {name}\n"
