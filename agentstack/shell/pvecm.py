# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""pvecm: the cluster manager's command (observed: commands; facts §6.6)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from agentstack.api.parameters import validate
from agentstack.cluster import joining, operations, qdevices, ssh_keys
from agentstack.cluster.peer import Peer
from agentstack.errors import AgentError
from agentstack.shell import votequorum
from agentstack.shell.registry import CommandIO, command

if TYPE_CHECKING:
    from agentstack.host import Host

USAGE = """ERROR: no command specified
USAGE: pvecm <COMMAND> [ARGS] [OPTIONS]

       pvecm qdevice remove 
       pvecm qdevice setup <address> [OPTIONS]

       pvecm addnode <node> [OPTIONS]
       pvecm apiver 
       pvecm create <clustername> [OPTIONS]
       pvecm delnode <node>

       pvecm add <hostname> [OPTIONS]
       pvecm expected <expected>
       pvecm keygen <filename>
       pvecm mtunnel [<extra-args>] [OPTIONS]
       pvecm nodes 
       pvecm status 
       pvecm updatecerts  [OPTIONS]

       pvecm help [<extra-args>] [OPTIONS]
"""  # noqa: W291  # the blanks at line ends are the tool's

FLAGS = frozenset({"force", "use_ssh", "silent", "unmerge-known-hosts"})
"""Options that may stand without a value."""


@command("pvecm")
async def pvecm(host: Host, argv: list[str], io: CommandIO) -> int:
    if not argv:
        io.err(USAGE)
        return 255
    verb = COMMANDS.get(argv[0])
    if verb is None:
        io.err(USAGE.replace("no command specified", f"unknown command 'pvecm {argv[0]}'"))
        return 255
    return await verb(host, *split_options(argv[1:]), io)


def split_options(words: list[str]) -> tuple[list[str], dict[str, str]]:
    """Arguments and options of a command line: `--name value`, `--name=value`, `-name value`, flags without one."""
    arguments: list[str] = []
    options: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            arguments.append(word)
            continue
        name, equals, value = word.lstrip("-").partition("=")
        if equals:
            options[name] = value
        elif name in FLAGS and (not rest or rest[0] not in ("0", "1")):
            options[name] = "1"
        elif rest:
            options[name] = rest.pop(0)
        else:
            raise AgentError(f"Option {name} requires an argument\n400 unable to parse option")
    return arguments, options


def checked(host: Host, verb: str, path: str, given: dict[str, str], drop: tuple[str, ...] = ()) -> dict[str, Any]:
    """The parameters of a call that a command stands for, with the API's own checks; `drop`: its own options."""
    method = host.api.dispatcher.table[path][verb]
    return validate(method, {name: value for name, value in given.items() if name not in drop})


def one(arguments: list[str], name: str) -> str:
    """The only argument of a command."""
    if len(arguments) != 1:
        raise AgentError("400 not enough arguments" if not arguments else "400 too many arguments")
    return arguments[0]


def require_conf(host: Host) -> None:
    if not host.files.exists(operations.CONF):
        raise AgentError(
            f"Error: Corosync config '/etc/pve/{operations.CONF}' does not exist - is this node part of a cluster?"
        )


async def status(host: Host, arguments: list[str], options: dict[str, str], io: CommandIO) -> int:
    require_conf(host)
    conf = operations.cluster_conf(host)
    totem = conf.totem
    io.out(
        "Cluster information\n-------------------\n"
        f"Name:             {totem.cluster_name}\n"
        f"Config Version:   {totem.config_version}\n"
        "Transport:        knet\n"
        f"Secure auth:      {totem.other.get('secauth', 'off')}\n\n"
    )
    try:
        io.out(votequorum.quorum_status(host, hexadecimal=True, names=False))
    except votequorum.NotRunning as error:
        io.err(f"{error.message}\n")
        return 1
    return 0 if host.cluster.votes.quorate else 2


async def nodes(host: Host, arguments: list[str], options: dict[str, str], io: CommandIO) -> int:
    require_conf(host)
    io.out(votequorum.member_list(host))
    return 0


async def expected(host: Host, arguments: list[str], options: dict[str, str], io: CommandIO) -> int:
    text = one(arguments, "expected")
    if not text.isdecimal() or int(text) < 1:
        raise AgentError(
            "400 Parameter verification failed.\n"
            f"expected: type check ('integer') failed - got '{text}'\npvecm expected <expected>"
        )
    require_conf(host)
    votequorum.view_of(host)
    host.cluster.expect(int(text))
    return 0


async def create(host: Host, arguments: list[str], options: dict[str, str], io: CommandIO) -> int:
    given = checked(host, "POST", "/cluster/config", {**options, "clustername": one(arguments, "clustername")})
    operations.check_not_in_cluster(host)
    await operations.create(
        host,
        given["clustername"],
        line_writer(io),
        nodeid=given.get("nodeid"),
        votes=given.get("votes"),
        links=operations.links_of(given),
        token_coefficient=given.get("token-coefficient"),
    )
    return 0


async def add(host: Host, arguments: list[str], options: dict[str, str], io: CommandIO) -> int:
    member = one(arguments, "hostname")
    # password and fingerprint are asked for, so the API's check gets stand-ins
    full = {"hostname": member, "password": "-", "fingerprint": ":".join(["00"] * 32), **options}
    given = checked(host, "POST", "/cluster/config/join", full, drop=("use_ssh",))
    target = joining.Target(
        member=member,
        links=operations.links_of(given),
        nodeid=given.get("nodeid"),
        votes=given.get("votes"),
        force=bool(given.get("force")),
    )
    log = line_writer(io)
    if options.get("use_ssh") == "1":

        async def ask() -> str:
            return next(iter((await io.read()).decode("utf-8", "replace").splitlines()), "")

        await joining.join_by_ssh(host, target, ask, log)
        return 0
    answers = (await io.read()).decode("utf-8", "replace").splitlines()
    if not answers:
        io.err("EOF while reading password\n")
        return 0
    io.out(f"Please enter superuser (root) password for '{member}': \n")
    fingerprint = options.get("fingerprint")
    joining.check_local(host, target, log)
    if fingerprint is None:
        async with Peer(host, member, None) as peer:
            fingerprint = await peer.read_fingerprint()
        io.out(
            f"The authenticity of host '{member}' can't be established.\n"
            f"X509 SHA256 key fingerprint is {fingerprint}.\n"
            "Are you sure you want to continue connecting (yes/no)? \n"
        )
        if answers[1:2] != ["yes"]:
            raise AgentError(f"fingerprint '{fingerprint}' not verified, abort!")
    await joining.join_by_api(host, target, answers[0], fingerprint, log)
    return 0


async def addnode(host: Host, arguments: list[str], options: dict[str, str], io: CommandIO) -> int:
    node = one(arguments, "node")
    given = checked(host, "POST", "/cluster/config/nodes/{node}", {**options, "node": node})
    await operations.add_node(
        host,
        node,
        api_version=given.get("apiversion"),
        links=operations.links_of(given),
        new_node_ip=given.get("new_node_ip"),
        nodeid=given.get("nodeid"),
        votes=given.get("votes"),
        force=bool(given.get("force")),
    )
    return 0


async def delnode(host: Host, arguments: list[str], options: dict[str, str], io: CommandIO) -> int:
    await operations.delete_node(host, one(arguments, "node"), line_writer(io))
    return 0


async def updatecerts(host: Host, arguments: list[str], options: dict[str, str], io: CommandIO) -> int:
    force = options.get("force") == "1"
    host.files.require_quorum()
    if force:
        io.out("(re)generate node files\ngenerate new node certificate\nmerge authorized SSH keys\n")
    await host.files.make_node_directories()
    await host.certificates.update(force=force)
    await ssh_keys.merge(host)
    return 0


async def api_version(host: Host, arguments: list[str], options: dict[str, str], io: CommandIO) -> int:
    io.out(f"{operations.JOIN_API_VERSION}\n")
    return 0


async def qdevice(host: Host, arguments: list[str], options: dict[str, str], io: CommandIO) -> int:
    match arguments:
        case ["setup", address]:
            given = qdevices.Wanted(address, options.get("network"), force=options.get("force") == "1")
            await qdevices.setup(host, given, line_writer(io))
        case ["remove"]:
            await qdevices.remove(host, line_writer(io))
        case ["setup" | "remove" as verb, *rest]:
            raise AgentError(f"400 {'too many' if rest else 'not enough'} arguments\npvecm qdevice {verb}")
        case _:
            io.err(USAGE.replace("no command specified", "no sub-command specified for 'qdevice'"))
            return 255
    return 0


def line_writer(io: CommandIO) -> operations.Log:
    """What a task would log, as lines on standard output."""
    return lambda text: io.out(f"{text}\n")


COMMANDS: dict[str, Callable[[Host, list[str], dict[str, str], CommandIO], Awaitable[int]]] = {
    "add": add,
    "addnode": addnode,
    "apiver": api_version,
    "create": create,
    "delnode": delnode,
    "expected": expected,
    "nodes": nodes,
    "qdevice": qdevice,
    "status": status,
    "updatecerts": updatecerts,
}
