# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two data centres of two nodes, a witness in a third place, an array and a backup server, to hold drills on."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.quorate.pve.plugins.module_utils._module import outcome
from ansible_collections.quorate.pve.plugins.modules import drill

from agentstack import control
from agentstack.guests.check_disks import check

from .. import backups
from ..api_client import Refused, Root
from ..stacks import RunningStack, StackFactory, wait_until
from .conftest import Run
from .inventories import Site

SITES = {"pve1": "dc1", "pve2": "dc1", "pve3": "dc2", "pve4": "dc2"}
NODES = tuple(SITES)
PLACES = {101: "pve1", 102: "pve2", 103: "pve3"}
"""Where guests belong: 101 on its own disk with a replica on pve3, the others on the array."""
SCALE = 10
PATIENCE = 120.0
BOOT = 60
"""Seconds, as machines take: one that its watchdog has reset is back after the manager has begun to fence it."""
DISKS = [{"size": "32G"}, {"size": "64G", "model": "SSD-A", "count": 2}]


def make_stack(factory: StackFactory) -> RunningStack:
    """Without anything on it."""
    hosts: dict[str, Any] = {name: {"disks": DISKS, "site": site, "memory": "8G"} for name, site in SITES.items()}
    hosts |= {"witness1": {"kind": "witness"}, "pbs1": {"kind": "pbs", "disks": [{"size": "32G"}, {"size": "64G"}]}}
    return factory(
        hosts,
        scale=SCALE,
        boot_time=BOOT,
        networks={"mgmt": {}, "ring1": {}, "san": {}},
        arrays={"nas1": {"network": "san", "exports": {"/export/vm": "100G"}}},
        start={"clustered": {"name": "test", "links": ["mgmt", "ring1"]}},
    )


def commands(state: Path) -> dict[str, dict[str, list[str]]]:
    """How the agents are broken, as an operator would say it."""
    stack = [sys.executable, "-m", "agentstack"]

    def pair(off: list[str], on: list[str]) -> dict[str, list[str]]:
        return {"break": [*stack, *off, "--dir", str(state)], "mend": [*stack, *on, "--dir", str(state)]}

    return {
        "power": pair(["power", "off", "{node}"], ["power", "on", "{node}"]),
        "ports": pair(["fault", "host", "{node}", "cut"], ["fault", "host", "{node}", "restore"]),
        "link": pair(["fault", "link", "{node}", "ring1", "cut"], ["fault", "link", "{node}", "ring1", "restore"]),
        "network": pair(["fault", "network", "{network}", "cut"], ["fault", "network", "{network}", "restore"]),
    }


class Range:
    """The stack, the inventory of it, and drills on it: by the playbook, or by its module in this process."""

    def __init__(self, stack: RunningStack, directory: Path) -> None:
        self.stack, self.directory = stack, directory
        self.records = directory / "drills"
        resolved, secrets = stack.resolved, stack.secrets
        networks = {name: network["cidr"] for name, network in resolved["networks"].items()}
        guest = {"memory": 64, "started": True}
        variables: dict[str, Any] = {
            "pve_records": str(directory / "records"),
            "pve_links": [{"number": 0, "network": networks["mgmt"]}, {"number": 1, "network": networks["ring1"]}],
            "pve_witness": {
                "address": resolved["hosts"]["witness1"]["address"],
                "host_key": secrets["hosts"]["witness1"]["ssh_host_key"],
            },
            "pve_zfs_pools": [
                {"node": "*", "name": "tank", "raidlevel": "mirror", "devices": {"model": "SSD-A", "count": 2}}
            ],
            "pve_storages": [
                {"storage": "tank", "type": "zfspool", "pool": "tank", "content": ["images"]},
                {
                    **{"storage": "vm", "type": "nfs", "server": resolved["arrays"]["nas1"]["address"]},
                    **{"export": "/export/vm", "content": ["images"]},
                },
            ],
            "pve_guests": [
                {**guest, "vmid": 101, "name": "own", "node": "pve1", "disks": {"scsi0": "tank:1"}},
                {**guest, "vmid": 102, "name": "web", "node": "pve2", "disks": {"scsi0": "vm:1"}},
                {**guest, "vmid": 103, "name": "mail", "node": "pve3", "disks": {"scsi0": "vm:1"}},
            ],
            "pve_replication_jobs": [{"guest": 101, "target": "pve3", "schedule": "*/1"}],
            "pve_ha_resources": [{"sid": f"vm:{vmid}", "state": "started"} for vmid in PLACES],
            "pve_ha_affinity": [
                {
                    **{"name": "own", "nodes": {"pve1": 2, "pve3": 1}, "strict": True, "failback": False},
                    "resources": ["vm:101"],
                },
                {"name": "web", "nodes": {"pve2": 1}, "resources": ["vm:102"], "failback": True},
            ],
            "drill_fault_command": commands(stack.dir),
            "drill_guests": [{"vmid": vmid, "record": f"{stack.dir}/ledger/{{vmid}}"} for vmid in PLACES],
            # less than an outage takes, and as much as a busy machine may keep a guest from writing
            "drill_record_age": 5,
            "drill_scale": SCALE,
            "drill_directory": str(self.records),
            "drill_max_backup_age": 0,
            "drill_timeout": 180,
            # who manages HA is left to chance, and its own node takes longer; so does everything on a busy machine
            "drill_promise_recovery": 480,
            "drill_promise_service": 600,
        }
        self.site = Site(stack, directory, variables, SITES)

    def build(self) -> None:
        """The site, and a storage on the backup server."""
        built = self.site.run("witness", "zfs", "storage", "guests", "replication", "ha")
        assert built.status == 0, built.output
        server = backups.root(self.stack, "pbs1")
        server.run("POST", "/config/datastore", name="main", path="/srv/main")
        Root(self.stack, "pve1")(
            "POST",
            "/storage",
            storage="backup",
            type="pbs",
            server=self.stack.resolved["hosts"]["pbs1"]["address"],
            datastore="main",
            username="root@pam",
            password=self.stack.secrets["root_password"],
            fingerprint=backups.fingerprint(self.stack, "pbs1"),
            content="backup",
        )
        self.wait_whole()

    def play(self, **more: Any) -> Run:
        """The playbook."""
        return self.site.run(playbook="playbooks/drill.yml", **more)

    def parameters(self, scenario: str, **more: Any) -> dict[str, Any]:
        """The module's, as the role hands them over."""
        own = {
            name.removeprefix("drill_"): value
            for name, value in self.site.variables.items()
            if name.startswith("drill_") and name != "drill_fault_command"
        }
        hosts = self.stack.resolved["hosts"]
        nodes = [
            {
                **{"node": name, "address": hosts[name]["address"], "site": site},
                "host_key": self.stack.secrets["hosts"][name]["ssh_host_key"],
                "links": {str(number): hosts[name]["addresses"][net] for number, net in enumerate(("mgmt", "ring1"))},
            }
            for name, site in SITES.items()
        ]
        return {
            "api_hosts": [hosts[name]["address"] for name in NODES],
            "api_password": self.stack.secrets["root_password"],
            "api_fingerprints": [self.stack.secrets["hosts"][name]["fingerprint"] for name in NODES],
            "api_trust_file": str(self.directory / "trust.json"),
            **{"ssh_port": 2222, "cluster": "test", "nodes": [*nodes, {"node": "witness1"}, {"node": "pbs1"}]},
            **{"faults": self.site.variables["drill_fault_command"], "confirm": True, "scenario": scenario},
            **own,
            **more,
        }

    def hold(self, scenario: str, *, check_mode: bool = False, **more: Any) -> dict[str, Any]:
        """The module, in this process; what it returns, also if it failed."""
        checked = ArgumentSpecValidator(drill.ARGUMENT_SPEC).validate(self.parameters(scenario, **more))
        assert not checked.error_messages, checked.error_messages
        result = outcome(drill.run, checked.validated_parameters, check_mode, diff=False)
        print("\n".join(result.get("timeline") or [str(result.get("msg"))]))
        return result

    def places(self) -> dict[int, str]:
        """Where HA has the guests that run."""
        for name in NODES:
            try:
                found = Root(self.stack, name)("GET", "/cluster/ha/status/current")
            except (OSError, Refused, KeyError):
                continue
            rows = [row["status"] for row in found if row["type"] == "service"]
            return {
                int(text.split(" ")[0].partition(":")[2]): text.partition("(")[2].partition(",")[0]
                for text in rows
                if text.endswith(", started)")
            }
        return {}

    def wait_whole(self) -> None:
        """Nothing is broken, and every guest runs where it belongs."""
        assert self.faults() == []
        assert not list(self.records.glob("running-*"))
        wait_until(lambda: all(host["ready"] for host in self.stack.status()["hosts"]), PATIENCE)
        wait_until(lambda: self.places() == PLACES, PATIENCE)

    def faults(self) -> list[dict[str, Any]]:
        """What is broken at present, beside power."""
        return list(control.request(self.stack.dir, {"do": "faults"})["faults"])

    def newest(self) -> dict[str, Any]:
        """The newest record."""
        path = max(self.records.glob("test-*.json"), key=lambda path: path.stat().st_mtime)
        return dict(json.loads(path.read_text()))

    def findings(self, *expected: str) -> None:
        """No guest ran twice; only `expected` kinds of loss are on the disks."""
        kinds = {finding.kind for finding in check(self.stack.dir).findings}
        assert kinds <= {*expected}


def make_range(factory: StackFactory, temporary: pytest.TempPathFactory) -> Range:
    """The whole site, ready for drills."""
    made = Range(make_stack(factory), temporary.mktemp("drills"))
    made.build()
    return made
