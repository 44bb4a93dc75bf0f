# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the installer leaves on a new host: its file system before the first boot, and its disks."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from agentstack import pam, statedir
from agentstack.packages import catalogue, dpkg, sources
from agentstack.stack import HostSpec, Stack

BUNDLE = "etc/ssl/certs/ca-certificates.crt"
"""The authorities that the host's programs trust."""
HOST_KEY = "etc/ssh/ssh_host_ed25519_key"

DIRECTORIES = (
    "etc/chrony/sources.d",
    "etc/corosync",
    "etc/default",
    "etc/modprobe.d",
    "etc/network",
    "etc/pve",
    "etc/ssh",
    "mnt",
    "root/.ssh",
    "run",
    "tmp",
    "var/lib/vz/dump",
    "var/lib/vz/images",
    "var/lib/vz/snippets",
    "var/lib/vz/template/cache",
    "var/lib/vz/template/iso",
    "var/log/pve/tasks",
    "var/tmp",
)


def install(stack: Stack, spec: HostSpec, state: Path) -> None:
    """Make the host's file system and disks where they are missing; what exists stays as it is."""
    directory = state / "hosts" / spec.name
    disks = directory / "disks"
    disks.mkdir(parents=True, exist_ok=True)
    for disk in spec.disks:
        image = disks / f"{disk.name}.img"
        if not image.exists():
            with image.open("xb") as stream:
                stream.truncate(disk.size)
    root = directory / "root"
    if root.exists():
        return
    # an installation that was cut off is begun again from nothing
    draft = directory / "root.new"
    shutil.rmtree(draft, ignore_errors=True)
    for name in DIRECTORIES:
        (draft / name).mkdir(parents=True, exist_ok=True)
    (draft / "root/.ssh").chmod(0o700)
    for name, content in _configuration(stack, spec).items():
        (draft / name).write_text(content, encoding="utf-8")
    if spec.kind == "pve":
        (draft / "root/.ssh/authorized_keys").symlink_to("/etc/pve/priv/authorized_keys")
    if spec.kind == "pve":
        optional = catalogue.packages(spec.release, group=catalogue.OPTIONAL)
        more = [package for package in optional if package.name in spec.packages]
        dpkg.write(draft, [*catalogue.at(spec.version), *more])
        for file in sources.installed(spec.release, catalogue.suite_of(spec.release)):
            sources.write(draft, file)
    if stack.authority is not None:
        # as after update-ca-certificates(8)
        root_certificate = (state / "authority" / "root.pem").read_bytes()
        for name in (f"usr/local/share/ca-certificates/{stack.authority.name}.crt", BUNDLE):
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            (draft / name).write_bytes(root_certificate)
    pam.set_password(draft, "root", statedir.root_password(state))
    _make_host_key(draft, spec.name)
    draft.rename(root)


def public_facts(root: Path) -> dict[str, Any]:
    """What a client has to know to recognise the host: its SSH host key (OpenSSH form, without comment)."""
    words = (root / f"{HOST_KEY}.pub").read_text(encoding="ascii").split()
    return {"ssh_host_key": " ".join(words[:2])}


def _configuration(stack: Stack, spec: HostSpec) -> dict[str, str]:
    known = [(host.address, host.name) for host in stack.hosts.values()]
    known += [(stack.authority.address, stack.authority.name)] if stack.authority else []
    others = "".join(f"{address} {name}.{stack.name}.test {name}\n" for address, name in known)
    module = f"WATCHDOG_MODULE={spec.watchdog}" if spec.watchdog != "softdog" else "#WATCHDOG_MODULE=ipmi_watchdog"
    watchdog = f"# select watchdog module (default is softdog)\n{module}\n"
    return {
        "etc/hostname": f"{spec.name}\n",
        "etc/hosts": f"127.0.0.1 localhost.localdomain localhost\n{others}",
        "etc/network/interfaces": _interfaces(stack, spec),
        "etc/timezone": f"{spec.timezone}\n",
        **({"etc/default/pve-ha-manager": watchdog} if spec.kind == "pve" else {}),
        "etc/resolv.conf": f"search {stack.name}.test\nnameserver 127.0.0.1\n",
    }


def _interfaces(stack: Stack, spec: HostSpec) -> str:
    """The management address on a bridge, as the installer sets it up; every other network on a port of its own."""
    text = "auto lo\niface lo inet loopback\n"
    for number, (name, address) in enumerate(spec.addresses.items()):
        port, mtu = spec.nics[name].interface, spec.nics[name].mtu
        settings = f"\taddress {address}/24\n" + (f"\tmtu {mtu}\n" if mtu != 1500 else "")
        if number == 0 and spec.kind == "pve":
            text += f"\niface {port} inet manual\n" + (f"\tmtu {mtu}\n" if mtu != 1500 else "")
            text += f"\nauto vmbr0\niface vmbr0 inet static\n{settings}"
            text += f"\tbridge-ports {port}\n\tbridge-stp off\n\tbridge-fd 0\n"
        else:
            text += f"\nauto {port}\niface {port} inet static\n{settings}#{name}\n"
    return text


def _make_host_key(root: Path, name: str) -> None:
    key = Ed25519PrivateKey.generate()
    private = root / HOST_KEY
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    private.chmod(0o600)
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    private.with_suffix(".pub").write_bytes(public + f" root@{name}\n".encode())
