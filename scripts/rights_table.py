#!/usr/bin/env python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write docs/rights.md from docs/rights.yml and from what the playbooks use; `--check` only compares."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
TARGET = DOCS / "rights.md"
PREFIX = "quorate.pve."
KINDS = ("needs", "unnamed", "sees")
PARTS = {"compare.yml", "converge.yml", "end.yml", "lab_up.yml", "rehearse.yml"}
"""Playbooks that others import, and those that need the bundled agents only."""

PLACES = (
    (r"/vms/\d+", "/vms"),
    (r"/storage/\w+", "/storage"),
    (r"/sdn/zones/\w+/\w+", "/sdn/zones"),
    (r"/nodes/\w+", "/nodes"),
    (r"/pool/\w+", "/pool"),
    (r"/access/realm/\w+", "/access/realm"),
    (r"/datastore/\w+", "/datastore"),
    (r"/remote/\w+", "/remote"),
)
"""What the objects that rights were tried with stand for: all of their kind."""

HEAD = """\
<!-- SPDX-FileCopyrightText: Quorate contributors -->
<!-- SPDX-License-Identifier: GPL-3.0-or-later -->
<!-- Written by scripts/rights_table.py from docs/rights.yml and playbooks/: change it there, then `make docs`. -->
# The least rights

What a login needs for each playbook, and for each module. Every row of the modules is tried against the bundled agents
with a user that has just these rights, and again with each of them taken away: the server refuses, and the module says
so in the server's words, or shows less (`tests/integration/test_rights*.py`). The rights of a playbook are those of the
modules that its roles use.

What is done to whole nodes and clusters (`apt_upgrade`, `cluster_shutdown`, `cluster_startup`, `drill`,
`node_maintenance`, `restore_test`) must not break off in its middle: these modules ask the server first what the login
may do, and do nothing if something is missing. They need `VM.Audit` for all guests: one that may not be seen is in no
list, and would be switched off with its node.

An API token with `privsep` needs the same rules as its user. What only `root@pam` may do takes its password: no API
token, no other user. Nodes that are in no cluster yet know only `root@pam`; so do joins.

## By playbook

What a playbook needs depends on the variables that are given: an area without variables is left alone, and needs
nothing. The table is for all of them. `--check` needs what `plan.yml` does.

"""
MODULES_HEAD = """
## By module

* **needs**: without it, the server refuses and says so; privileges in *italics* it does not name then.
* **sees**: without it, the server leaves things out of its lists, and what is there looks as if it were not.
* On a backup server, which has no roles of one's own, roles stand in the place of privileges.

Names such as `trial`, `100`, `local` and `vmbr0` stand for your own pool, guest, storage and bridge; a path above them
will do as well.

| module | needs | sees |
|---|---|---|
"""
VARIABLES_HEAD = """
## Logins with just these rights

Variables of [the role access](access.md), and of `backup_server`, that make a user, its token, and the rights. Run once
with `root@pam`, `ansible-playbook site.yml --tags access,backup_server`; from then on the token will do for what is not
marked as `root@pam`'s. A role below `/` is for all objects of a kind: name a pool or single guests in its place.
"""
Rights = dict[str, set[str]]


@dataclass
class Use:
    """What a playbook calls: module to whether it may write, in the order of the names."""

    modules: dict[str, bool] = field(default_factory=dict)

    def add(self, name: str, writing: bool) -> None:
        self.modules[name] = self.modules.get(name, False) or writing


def table() -> dict[str, dict[str, Any]]:
    """docs/rights.yml."""
    found: dict[str, dict[str, Any]] = yaml.safe_load((DOCS / "rights.yml").read_text(encoding="utf-8"))
    return found


def used_by(playbook: Path, *, writing: bool = True, use: Use | None = None) -> Use:
    """The modules of a playbook with those that it imports and the roles that it plays."""
    use = use or Use()
    for play in yaml.safe_load(playbook.read_text(encoding="utf-8")):
        imported = play.get("ansible.builtin.import_playbook")
        if imported:
            planning = bool((play.get("vars") or {}).get("_pve_planning"))
            for name in re.findall(r"[\w-]+\.yml", imported):
                used_by(playbook.parent / name, writing=writing and not planning and name != "compare.yml", use=use)
            continue
        for role in play.get("roles") or ():
            name = role if isinstance(role, str) else role["role"]
            _role(name.removeprefix(PREFIX), "main", writing, use, set())
        for part in ("pre_tasks", "tasks", "post_tasks", "handlers"):
            _tasks(play.get(part) or (), None, writing, use, set())
    return use


def _role(role: str, file: str, writing: bool, use: Use, seen: set[tuple[str, str]]) -> None:
    directory = ROOT / "roles" / role / "tasks"
    # a name that is known only in the run may be any of them
    names = [path.stem for path in sorted(directory.glob("*.yml"))] if "{{" in file else [file.removesuffix(".yml")]
    for name in names:
        if (role, name) not in seen:
            seen.add((role, name))
            path = directory / f"{name}.yml"
            _tasks(yaml.safe_load(path.read_text(encoding="utf-8")), role, writing, use, seen)


def _tasks(
    tasks: Iterable[Mapping[str, Any]], role: str | None, writing: bool, use: Use, seen: set[tuple[str, str]]
) -> None:
    for task in tasks:
        for key, value in task.items():
            if key in ("block", "rescue", "always"):
                _tasks(value, role, writing, use, seen)
            elif key.endswith(("include_role", "import_role")):
                _role(value["name"].removeprefix(PREFIX), value.get("tasks_from", "main"), writing, use, seen)
            elif key.endswith(("include_tasks", "import_tasks")) and role is not None:
                _role(role, value if isinstance(value, str) else value["file"], writing, use, seen)
            elif key.startswith(PREFIX):
                use.add(key.removeprefix(PREFIX), writing)


def rights_of(use: Use, rows: Mapping[str, Mapping[str, Any]], server: str) -> Rights:
    """Path → privileges (roles on a backup server) of all the modules together."""
    found: Rights = {}
    for name, writing in use.modules.items():
        row = rows[name]
        if row.get("server", "pve") != server:
            continue
        for path, privileges in _needed(row, writing):
            found.setdefault(_general(path), set()).update(privileges)
    return {path: privileges for path, privileges in sorted(found.items()) if privileges}


def _needed(row: Mapping[str, Any], writing: bool) -> Iterator[tuple[str, list[str]]]:
    if "looks" in row and not writing:
        yield from row["looks"].items()
        return
    for kind in KINDS:
        for path, privileges in row.get(kind, {}).items():
            looking = row.get("server") == "pbs" or row.get("reads")
            yield path, privileges if writing or looking else [each for each in privileges if each.endswith("Audit")]
    if writing:
        yield from row.get("looks", {}).items()


def _general(path: str) -> str:
    return next((place for pattern, place in PLACES if re.fullmatch(pattern, path)), path)


def over_ssh(use: Use) -> list[str]:
    """The modules that log in to the hosts."""
    return [
        name
        for name in sorted(use.modules)
        if f"{PREFIX}ssh\n" in (ROOT / "plugins" / "modules" / f"{name}.py").read_text(encoding="utf-8")
    ]


def by_playbook(rows: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
    """The table of the playbooks, and the variables for each."""
    lines = ["| playbook | the cluster's API | backup servers' API | `root@pam` with its password | SSH as root |\n"]
    lines.append("|---|---|---|---|---|\n")
    variables = []
    for path in sorted((ROOT / "playbooks").glob("*.yml")):
        if path.name in PARTS:
            continue
        use = used_by(path)
        cluster, server = (rights_of(use, rows, kind) for kind in ("pve", "pbs"))
        root = [name for name, writing in sorted(use.modules.items()) if writing and "root" in rows[name]]
        cells = ["<br>".join(cell(each)) for each in (cluster, server)]
        cells += [", ".join(f"`{name}`" for name in each) for each in (root, over_ssh(use))]
        lines.append(f"| `{path.name}` | {' | '.join(cells)} |\n")
        made = login_on_cluster(path.stem, cluster) | (login_on_backup_server(path.stem, server) if server else {})
        variables.append(f"\n### {path.name}\n\n```yaml\n{_yaml(made)}```\n")
    return "".join(lines), "".join(variables)


def login_on_cluster(playbook: str, rights: Rights) -> dict[str, Any]:
    """The variables that make a user, its token and what it may do on a cluster."""
    short = playbook.replace("_", "-")
    user = f"quorate-{short}@pve"
    roles = {path: f"Quorate-{short}{path.replace('/', '-').rstrip('-')}" for path in rights}
    return {
        "pve_users": [{"userid": user}],
        "pve_api_tokens": [{"tokenid": f"{user}!ansible", "privsep": False, "secret_file": f"secrets/quorate-{short}"}],
        "pve_roles": [{"roleid": role, "privs": sorted(rights[path])} for path, role in roles.items()],
        "pve_acls": [
            {"path": path, "auth_id": user, "role": role, **({"propagate": False} if path == "/" else {})}
            for path, role in roles.items()
        ],
    }


def login_on_backup_server(playbook: str, rights: Rights) -> dict[str, Any]:
    """Likewise of a backup server, whose tokens have rules of their own, as far as their users have them too."""
    user = f"quorate-{playbook.replace('_', '-')}@pbs"
    token = f"{user}!ansible"
    return {
        "pbs_users": [{"userid": user}],
        "pbs_tokens": [{"tokenid": token, "secret_file": f"secrets/{user.replace('@', '-')}"}],
        "pbs_acls": [
            {"path": path, "auth_id": who, "role": role, **({"propagate": False} if path == "/" else {})}
            for path in rights
            for role in sorted(rights[path])
            for who in (user, token)
        ],
    }


def _yaml(made: Mapping[str, list[dict[str, Any]]]) -> str:
    lines = []
    for name, elements in made.items():
        lines.append(f"{name}:\n")
        for element in elements:
            flow = yaml.safe_dump(element, default_flow_style=True, sort_keys=False, width=10_000).strip()
            lines.append(f"  - {flow}\n")
    return "".join(lines)


def cell(paths: Mapping[str, Iterable[str]], mark: str = "") -> list[str]:
    """`privileges` on `path`, for each path."""
    return [
        f"{', '.join(f'{mark}{privilege}{mark}' for privilege in sorted(privileges))} on `{path}`"
        for path, privileges in paths.items()
    ]


def row_of(name: str, rights: Mapping[str, Any]) -> str:
    """One line of the modules' table."""
    if "nothing" in rights:
        return f"| `{name}` | asks no server: {rights['nothing']} | |"
    needs = [f"`root@pam`: {rights['root']}"] if "root" in rights else []
    needs += [*cell(rights.get("needs", {})), *cell(rights.get("unnamed", {}), "*")]
    if "remark" in rights:
        needs.append(rights["remark"])
    return f"| `{name}` | {'<br>'.join(needs)} | {'<br>'.join(cell(rights.get('sees', {})))} |"


def page() -> str:
    """The whole of docs/rights.md."""
    rows = table()
    playbooks, variables = by_playbook(rows)
    modules = "".join(f"{row_of(name, rows[name])}\n" for name in sorted(rows))
    return f"{HEAD}{playbooks}{MODULES_HEAD}{modules}{VARIABLES_HEAD}{variables}"


def main() -> int:
    """Write or check the page; 1 if it is not what it should be."""
    text = page()
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text, encoding="utf-8")
    elif not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
        print("docs/rights.md is not what docs/rights.yml and the playbooks say; run `make docs`")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
