# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a stack: up, again, down, and everything that may happen to it in between."""

from __future__ import annotations

import base64
import errno
import io
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko
import pytest
import yaml

from agentstack import stackfile
from agentstack.stack import FIRST_NET, LAST_NET

from ..stacks import RunningStack, StackFactory, ends_within, wait_until

Run = Callable[[str], tuple[int, str, str]]


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    """Three hosts for the tests that leave them as they are."""
    return stack_factory(3, networks={"mgmt": {}, "ring1": {}})


@pytest.fixture
def own(stack_factory: StackFactory) -> StackFactory:
    """Stacks that a test may break."""
    return stack_factory


def connect(stack: RunningStack, host: str) -> paramiko.SSHClient:
    """An SSH session of root on a host whose key is known from `secrets.yml`."""
    address = stack.resolved["hosts"][host]["address"]
    kind, key = stack.secrets["hosts"][host]["ssh_host_key"].split()
    client = paramiko.SSHClient()
    client.get_host_keys().add(f"[{address}]:2222", kind, paramiko.PKey.from_type_string(kind, base64.b64decode(key)))
    client.connect(
        address, 2222, "root", stack.secrets["root_password"], allow_agent=False, look_for_keys=False, timeout=10
    )
    return client


@pytest.fixture(scope="module")
def ssh(stack: RunningStack) -> Iterator[paramiko.SSHClient]:
    with connect(stack, "pve1") as client:
        yield client


@pytest.fixture(scope="module")
def run(ssh: paramiko.SSHClient) -> Run:
    """Runs a command on pve1: exit status, stdout, stderr."""

    def run(line: str) -> tuple[int, str, str]:
        _, out, err = ssh.exec_command(line)
        return out.channel.recv_exit_status(), out.read().decode(), err.read().decode()

    return run


@pytest.fixture(scope="module")
def sftp(ssh: paramiko.SSHClient) -> Iterator[paramiko.SFTPClient]:
    with ssh.open_sftp() as client:
        yield client


# -- up, status, down -------------------------------------------------------------------------------------------


def test_status_tells_where_everything_is(stack: RunningStack) -> None:
    status = stack.status()
    net = status["net"]
    assert (status["stack"], status["up"], status["state_dir"]) == ("test", True, str(stack.dir))
    assert [host["name"] for host in status["hosts"]] == ["pve1", "pve2", "pve3"]
    assert [host["address"] for host in status["hosts"]] == [f"127.{net}.0.{number}" for number in (11, 12, 13)]
    assert all(host["power"] == "on" and host["ready"] for host in status["hosts"])
    assert status["hosts"][0]["api_url"] == f"https://127.{net}.0.11:8006"


def test_hosts_are_small(stack: RunningStack) -> None:
    assert all(host["pss_mb"] < 60 for host in stack.status()["hosts"])


def test_status_as_a_document(stack: RunningStack) -> None:
    done = stack.run("status", "--json")
    shown, asked = json.loads(done.stdout), stack.status()
    changing = {"pss_mb": None}
    assert [{**host, **changing} for host in shown["hosts"]] == [{**host, **changing} for host in asked["hosts"]]
    assert done.returncode == 0


def test_status_for_people(stack: RunningStack) -> None:
    done = stack.run("status")
    assert done.returncode == 0
    assert f"127.{stack.status()['net']}.0.12:8006" in done.stdout
    assert "pve 9.2.11" in done.stdout


def test_up_again_has_nothing_to_do(stack: RunningStack) -> None:
    before = stack.pids()
    assert "are up already" in stack.up().stdout
    assert stack.pids() == before


def test_another_stack_file_is_refused(stack: RunningStack, tmp_path: Path) -> None:
    other = tmp_path / "other.yml"
    other.write_text(yaml.safe_dump({**stack.definition, "hosts": {"pve1": {}, "pve2": {}, "pve3": {"cpus": 3}}}))
    done = stack.run("up", "--file", other)
    assert done.returncode == 1
    assert "host pve3 has changed" in done.stderr


def test_another_net_is_refused(stack: RunningStack) -> None:
    net = stack.status()["net"]
    done = stack.run("up", "--net", str(net - 1))
    assert (done.returncode, f"holds a stack on net {net}; it cannot be moved" in done.stderr) == (1, True)


def test_a_net_belongs_to_one_stack(stack: RunningStack, own: StackFactory) -> None:
    second = own(1, up=False, net=stack.status()["net"])
    done = second.run("up", "--file", second.file)
    assert done.returncode == 1
    assert f"belongs to another stack (process {stack.status()['pid']})" in done.stderr
    assert not second.dir.exists()


def test_a_stack_without_a_number_takes_the_first_free_one(own: StackFactory) -> None:
    stack = own(1, net=None)
    assert FIRST_NET <= stack.status()["net"] <= LAST_NET
    stack.down()


def test_the_secrets_stay_secret(stack: RunningStack) -> None:
    password = stack.secrets["root_password"]
    assert stat.S_IMODE(stack.dir.stat().st_mode) == 0o700
    assert stat.S_IMODE((stack.dir / "secrets.yml").stat().st_mode) == 0o600
    places = [*stack.dir.glob("*.log"), *stack.dir.glob("hosts/*/agent.log"), stack.dir / "stack.json"]
    places += [Path(f"/proc/{pid}/{name}") for pid in stack.pids() for name in ("cmdline", "environ")]
    assert [place for place in places if password.encode() in place.read_bytes()] == []


def test_logs(stack: RunningStack) -> None:
    assert "agentstack.host: shell started" in stack.run("logs", "pve2").stdout
    assert "pve3: on" in stack.run("logs").stdout
    refused = stack.run("logs", "pve9")
    assert (refused.returncode, "no host 'pve9'" in refused.stderr) == (1, True)


def test_down_ends_everything_and_up_brings_it_back(own: StackFactory) -> None:
    stack = own({"pve1": {"disks": [{"size": "1G"}]}, "w1": {"kind": "witness"}})
    pids, net, secrets = stack.pids(), stack.status()["net"], stack.secrets
    assert "is down" in stack.run("down").stdout
    assert ends_within(pids, 0) == []
    assert "is not up" in stack.run("down").stdout
    off = stack.run("status", "--json")
    assert off.returncode == 3
    assert '"power": "off"' in off.stdout

    stack.up()
    assert (stack.status()["net"], stack.secrets) == (net, secrets)
    stack.down()


# -- what goes wrong --------------------------------------------------------------------------------------------


def test_a_port_of_another_program(own: StackFactory) -> None:
    stack = own(3, up=False)
    address = stackfile.load(stack.file).hosts["pve2"].address
    with socket.create_server((address, 8006)):
        done = stack.run("up", "--file", stack.file)
    assert done.returncode == 1
    assert done.stderr.startswith(f"agentstack: pve2: {address} port 8006 is taken by ")
    assert f"(process {os.getpid()})" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not stack.dir.exists()


def test_a_port_taken_later_leaves_what_was_there(own: StackFactory) -> None:
    stack = own(1)
    address = stack.host("pve1")["address"]
    stack.down()
    with socket.create_server((address, 2222)):
        done = stack.run("up")
        assert done.returncode == 1
        assert f"{address} port 2222 is taken by" in done.stderr
    assert (stack.dir / "hosts/pve1/root/etc/hostname").exists()
    stack.up()
    stack.down()


def test_a_directory_with_something_else_is_left_alone(own: StackFactory, tmp_path: Path) -> None:
    stack = own(1, up=False)
    (tmp_path / "letter.txt").write_text("dear")
    stack.dir = tmp_path
    done = stack.run("up", "--file", stack.file)
    assert (done.returncode, "is not empty (letter.txt)" in done.stderr) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_the_lease_ends_with_the_state_directory(own: StackFactory) -> None:
    stack = own(2)
    pids = stack.pids()
    assert len(pids) == 4
    shutil.rmtree(stack.dir)
    assert ends_within(pids, 2.0) == []


def test_everything_ends_with_the_supervisor_and_comes_back(own: StackFactory) -> None:
    stack = own({"pve1": {"disks": [{"size": "1G"}]}})
    secrets = stack.secrets
    with (stack.dir / "hosts/pve1/disks/sda.img").open("r+b") as disk:
        disk.write(b"data of a guest")
    with connect(stack, "pve1") as client, client.open_sftp() as files:
        files.putfo(io.BytesIO(b"kept\n"), "/etc/pve/kept.txt")
    pids = stack.pids()
    os.kill(stack.status()["pid"], signal.SIGKILL)
    assert ends_within(pids, 2.0) == []

    assert "up in" in stack.up().stdout
    with (stack.dir / "hosts/pve1/disks/sda.img").open("rb") as disk:
        assert disk.read(15) == b"data of a guest"
    with connect(stack, "pve1") as client, client.open_sftp() as files, files.open("/etc/pve/kept.txt") as kept:
        assert kept.read() == b"kept\n"
    assert stack.secrets == secrets
    stack.down()


def test_sigterm_ends_the_stack_in_an_orderly_way(own: StackFactory) -> None:
    stack = own(1)
    pids = stack.pids()
    os.kill(stack.status()["pid"], signal.SIGTERM)
    assert ends_within(pids, 4.0) == []
    assert "exit status 0" in (stack.dir / "supervisor.log").read_text()
    assert not (stack.dir / "control.sock").exists()


# -- power ------------------------------------------------------------------------------------------------------


def test_power(own: StackFactory) -> None:
    stack = own(2)
    first = stack.host("pve1")["pid"]
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: stack.host("pve1")["power"] == "off")
    assert stack.host("pve2")["ready"]

    assert stack.run("power", "on", "pve1").returncode == 0
    assert stack.wait_ready("pve1")["pid"] != first

    stack.power("pause", "pve1")
    assert stack.host("pve1")["power"] == "paused"
    with pytest.raises(TimeoutError):
        _banner(stack.host("pve1")["address"], timeout=0.3)
    stack.power("resume", "pve1")
    assert _banner(stack.host("pve1")["address"]).startswith(b"SSH-2.0")

    before = stack.host("pve1")["pid"]
    stack.power("reset", "pve1")
    assert wait_until(lambda: stack.host("pve1")["pid"] not in (None, before))
    stack.wait_ready("pve1")

    stack.power("off", "pve1")
    wait_until(lambda: stack.host("pve1")["power"] == "off")
    with pytest.raises(ConnectionRefusedError):
        _banner(stack.host("pve1")["address"])
    refused = stack.run("power", "on", "pve9")
    assert (refused.returncode, "no host 'pve9'" in refused.stderr) == (1, True)
    stack.down()


def _banner(address: str, timeout: float = 10) -> bytes:
    with socket.create_connection((address, 2222), timeout=timeout) as connection:
        return connection.recv(64)


def test_a_host_that_reboots_itself(own: StackFactory) -> None:
    stack = own(1)
    before = stack.host("pve1")["pid"]
    with connect(stack, "pve1") as client:
        client.exec_command("reboot")
        assert ends_within([before], 5.0) == []
    assert stack.wait_ready("pve1")["pid"] != before
    with connect(stack, "pve1") as client:
        client.exec_command("poweroff")
        wait_until(lambda: stack.host("pve1")["power"] == "off")
    stack.down()


# -- shell ------------------------------------------------------------------------------------------------------


def test_commands(run: Run) -> None:
    assert run("hostname") == (0, "pve1\n", "")
    assert run("LC_ALL=C /usr/bin/hostname -f") == (0, "pve1.test.test\n", "")
    assert run("cat /etc/hostname '/no such'") == (1, "pve1\n", "cat: /no such: No such file or directory\n")
    assert run("ls /etc/network") == (0, "interfaces\n", "")
    assert run("test -e /etc/pve/pve-root-ca.pem")[0] == 0
    assert run("test -d /etc/nothing")[0] == 1
    assert run("systemctl is-active pveproxy corosync") == (0, "active\ninactive\n", "")
    assert run("pveversion") == (0, "pve-manager/9.2.11/14a22df35955d97d (running kernel: 6.17.4-2-pve)\n", "")
    assert run("date +%s")[1].strip().isdigit()


def test_unknown_commands(run: Run) -> None:
    assert run("frobnicate --all") == (127, "", "bash: frobnicate: command not found\n")
    assert run("/opt/tool") == (127, "", "bash: /opt/tool: No such file or directory\n")


@pytest.mark.parametrize("line", ["cat /etc/hosts | wc", "true; true", "echo x > /tmp/x", "echo $HOME", "echo `id`"])
def test_only_single_commands(run: Run, line: str) -> None:
    status, out, err = run(line)
    assert (status, out) == (2, "")
    assert "syntax error near unexpected token" in err


def test_operators_in_quotes_are_words(run: Run) -> None:
    assert run("echo 'a | b' \"c;d\" e\\>f")[:2] == (0, "a | b c;d e>f\n")


def test_wrong_passwords_and_other_users(stack: RunningStack) -> None:
    address = stack.resolved["hosts"]["pve1"]["address"]
    for user, password in (("root", "wrong"), ("admin", stack.secrets["root_password"])):
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.WarningPolicy())
        with client, pytest.warns(UserWarning, match="host key"), pytest.raises(paramiko.AuthenticationException):
            client.connect(address, 2222, user, password, allow_agent=False, look_for_keys=False, timeout=10)


def test_keys(stack: RunningStack, sftp: paramiko.SFTPClient) -> None:
    key = paramiko.ECDSAKey.generate()
    line = f"\n# those of the administrators\n{key.get_name()} {key.get_base64()} admin@desk\n"
    # as installed, the file is a link into the cluster's files
    assert sftp.readlink("/root/.ssh/authorized_keys") == "/etc/pve/priv/authorized_keys"
    sftp.putfo(io.BytesIO(line.encode()), "/root/.ssh/authorized_keys")
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.WarningPolicy())
    with client, pytest.warns(UserWarning, match="host key"):
        client.connect(stack.resolved["hosts"]["pve1"]["address"], 2222, "root", pkey=key, look_for_keys=False)
    sftp.remove("/root/.ssh/authorized_keys")


def test_openssh_is_content(stack: RunningStack, sftp: paramiko.SFTPClient, tmp_path: Path) -> None:
    if shutil.which("scp") is None:
        pytest.skip("this machine has no OpenSSH client")
    address = stack.resolved["hosts"]["pve1"]["address"]
    known, key = tmp_path / "known_hosts", tmp_path / "key"
    known.write_text(f"[{address}]:2222 {stack.secrets['hosts']['pve1']['ssh_host_key']}\n")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    sftp.put(key.with_suffix(".pub"), "/root/.ssh/authorized_keys")
    options = ["-q", "-i", key, "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={known}"]

    done = subprocess.run(
        ["ssh", *options, "-p", "2222", f"root@{address}", "hostname"], capture_output=True, check=True
    )
    assert done.stdout == b"pve1\n"
    typed = ["ssh", *options, "-p", "2222", f"root@{address}"]
    done = subprocess.run(typed, input=b"hostname\nfalse\n\n", capture_output=True, check=False)
    assert (done.stdout, done.returncode) == (b"pve1\n", 1)
    for mode in ([], ["-O"]):
        copy = ["scp", *mode, "-r", *options, "-P", "2222", f"root@{address}:/etc/network", tmp_path / f"copy{mode}"]
        subprocess.run(copy, check=True)
        assert (tmp_path / f"copy{mode}" / "interfaces").exists()
    sftp.remove("/root/.ssh/authorized_keys")


# -- files ------------------------------------------------------------------------------------------------------


def test_files_of_the_host(stack: RunningStack, sftp: paramiko.SFTPClient) -> None:
    sftp.mkdir("/var/lib/vz/dump/new")
    sftp.putfo(io.BytesIO(b"x" * 100_000), "/var/lib/vz/dump/new/a")
    assert sftp.stat("/var/lib/vz/dump/new/a").st_size == 100_000
    assert (stack.dir / "hosts/pve1/root/var/lib/vz/dump/new/a").stat().st_size == 100_000
    sftp.rename("/var/lib/vz/dump/new/a", "/var/lib/vz/dump/new/b")
    assert sftp.listdir("/var/lib/vz/dump/new") == ["b"]
    sftp.remove("/var/lib/vz/dump/new/b")
    sftp.rmdir("/var/lib/vz/dump/new")
    assert sftp.normalize(".") == "/root"


def test_no_path_leads_out(stack: RunningStack, sftp: paramiko.SFTPClient) -> None:
    secret = stack.dir / "secrets.yml"
    outside = os.path.relpath(secret, stack.dir / "hosts/pve1/root/tmp")
    sftp.symlink(outside, "/tmp/relative")
    sftp.symlink(str(secret), "/tmp/absolute")
    sftp.symlink("/..", "/tmp/up")
    sftp.symlink("/tmp/circle", "/tmp/circle")
    for path in (f"/tmp/{outside}", str(secret), "/tmp/relative", "/tmp/absolute", f"/tmp/up/{secret}", "/tmp/circle"):
        with pytest.raises(OSError):  # noqa: PT011  # the kernel's errors differ: not found, too many links
            sftp.stat(path)
    assert sorted(sftp.listdir("/tmp/up")) == sorted(sftp.listdir("/"))
    for name in ("relative", "absolute", "up", "circle"):
        sftp.remove(f"/tmp/{name}")


def test_the_cluster_file_system(run: Run, sftp: paramiko.SFTPClient) -> None:
    sftp.putfo(io.BytesIO(b"one\n"), "/etc/pve/test.cfg.new")
    sftp.putfo(io.BytesIO(b"old\n"), "/etc/pve/test.cfg")
    with pytest.raises(OSError, match="already exists"):
        sftp.rename("/etc/pve/test.cfg.new", "/etc/pve/test.cfg")
    sftp.posix_rename("/etc/pve/test.cfg.new", "/etc/pve/test.cfg")
    assert run("cat /etc/pve/test.cfg") == (0, "one\n", "")
    with sftp.open("/etc/pve/test.cfg", "a") as file:
        file.write(b"two\n")
    assert run("cat /etc/pve/local/../../test.cfg") == (0, "one\ntwo\n", "")
    assert "test.cfg" in sftp.listdir("/etc/pve")
    assert sftp.readlink("/etc/pve/qemu-server") == "nodes/pve1/qemu-server"
    with pytest.raises(PermissionError):
        sftp.remove("/etc/pve/local")
    sftp.mkdir("/etc/pve/folder")
    assert stat.S_ISDIR(sftp.stat("/etc/pve/folder").st_mode or 0)
    sftp.rmdir("/etc/pve/folder")
    with pytest.raises(OSError) as moved:  # noqa: PT011  # SFTP has no error of its own for it
        sftp.posix_rename("/etc/pve/test.cfg", "/root/test.cfg")
    assert moved.value.errno != errno.ENOENT
    sftp.remove("/etc/pve/test.cfg")
    assert run("cat /etc/pve/test.cfg")[0] == 1
