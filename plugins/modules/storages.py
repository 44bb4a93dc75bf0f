#!/usr/bin/python
# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage storage definitions."""

from __future__ import annotations

DOCUMENTATION = r"""
module: storages
short_description: Manage storage definitions of a Proxmox VE cluster
version_added: 0.1.0
author: [Quorate contributors (@quorate)]
description:
  - Creates, changes and removes entries of C(/etc/pve/storage.cfg). The data behind a storage is never touched.
  - Settings that are not given, or V(null), are left alone; an empty string or list unsets them.
  - Which settings a type takes is the server's knowledge; it names those that do not fit.
extends_documentation_fragment:
  - quorate.pve.connection
  - quorate.pve.connection.writes
  - quorate.pve.connection.set
options:
  storages:
    description: The storages.
    type: list
    elements: dict
    required: true
    suboptions:
      storage:
        description: Name of the storage.
        type: str
        required: true
        aliases: [name]
      state:
        description: Whether it is there. With V(ignore) the element counts as not written, and a purge spares the
          object.
        type: str
        choices: [present, absent, ignore]
        default: present
      type:
        description: Type, such as V(dir), V(zfspool), V(rbd), V(cephfs), V(pbs), V(nfs), V(cifs), V(lvm), V(lvmthin).
          Fixed at creation.
        type: str
      content:
        description: What may be kept there, such as V(images), V(rootdir), V(backup), V(iso), V(vztmpl), V(snippets).
        type: list
        elements: str
      nodes:
        description: Nodes that have it. An empty list means all.
        type: list
        elements: str
      disable:
        description: Whether it is switched off.
        type: bool
      shared:
        description: Whether all nodes see the same data there.
        type: bool
      prune_backups:
        description: >-
          What is kept of backups, such as C({keep-last: 3, keep-daily: 7}).
        type: dict
      bwlimit:
        description: >-
          Limits in KiB/s, such as C({default: 102400, migration: 51200}).
        type: dict
      path:
        description: Directory (V(dir), V(btrfs)). Fixed at creation.
        type: str
      pool:
        description: Pool or dataset (V(zfspool); fixed at creation) or Ceph pool (V(rbd)).
        type: str
      server:
        description: Name or address of the server (V(pbs), V(nfs), V(cifs)). Fixed at creation.
        type: str
      datastore:
        description: Datastore of the backup server (V(pbs)). Fixed at creation.
        type: str
      namespace:
        description: Namespace in the datastore (V(pbs)) or pool (V(rbd)).
        type: str
      fingerprint:
        description: SHA-256 fingerprint of the backup server's certificate (V(pbs)).
        type: str
      port:
        description: Port of the backup server (V(pbs)).
        type: int
      export:
        description: Exported path (V(nfs)). Fixed at creation.
        type: str
      share:
        description: Share (V(cifs)). Fixed at creation.
        type: str
      domain:
        description: Domain of the user (V(cifs)).
        type: str
      smbversion:
        description: Protocol version (V(cifs)).
        type: str
      subdir:
        description: Directory below the share or file system.
        type: str
      options:
        description: Mount options.
        type: str
      vgname:
        description: Volume group (V(lvm), V(lvmthin)). Fixed at creation.
        type: str
      thinpool:
        description: Thin pool (V(lvmthin)). Fixed at creation.
        type: str
      portal:
        description: iSCSI portal. Fixed at creation.
        type: str
      target:
        description: iSCSI target. Fixed at creation.
        type: str
      monhost:
        description: Monitors of an external Ceph cluster.
        type: list
        elements: str
      data_pool:
        description: Ceph pool for data, with the metadata in O(storages[].pool) (V(rbd)).
        type: str
      fs_name:
        description: Name of the file system (V(cephfs)).
        type: str
      fuse:
        description: Whether it is mounted through FUSE (V(cephfs)).
        type: bool
      krbd:
        description: Whether disks are mapped by the kernel (V(rbd)).
        type: bool
      username:
        description: User on the other side.
        type: str
      password:
        description: Password, or token secret. Sent on creation, later only with O(update_secrets).
        type: str
      password_file:
        description: File with O(storages[].password) on the machine where the module runs, as M(quorate.pve.pbs_tokens)
          writes it.
        type: path
      keyring:
        description: Ceph keyring of an external cluster. Sent on creation, later only with O(update_secrets).
        type: str
      encryption_key:
        description:
          - V(autogen), or the JSON text of a key (V(pbs)). Sent on creation, later only with
            O(update_secrets). With V(autogen) a storage that has a key keeps it, since without it backups are lost.
        type: str
      encryption_key_file:
        description:
          - File on the machine where the module runs for the key with which backups are encrypted (V(pbs)), as its
            second place; who has neither loses all backups.
          - A key that is in it is used. Otherwise the server makes one on a storage that is switched off; once it is
            in the file, which only its owner can read, the storage is switched on.
          - A storage that uses a key that is not in the file is an error. One that is off is switched on, unless
            O(storages[].disable) is said.
        type: path
      master_pubkey:
        description: Master public key, PEM in base64 (V(pbs)). Sent on creation, later only with O(update_secrets).
        type: str
      blocksize:
        description: Block size of volumes (V(zfspool)).
        type: str
      sparse:
        description: Whether volumes take their space when they need it (V(zfspool)).
        type: bool
      mountpoint:
        description: Where the pool is mounted (V(zfspool)).
        type: str
      is_mountpoint:
        description: V(yes), V(no) or the path that must be a mount point before the directory is used.
        type: str
      create_base_path:
        description: Whether a missing directory is made.
        type: bool
      create_subdirs:
        description: Whether the directories of the content types are made.
        type: bool
      format:
        description: Default format of images.
        type: str
      preallocation:
        description: Preallocation of images.
        type: str
        choices: ["off", metadata, falloc, full]
      max_protected_backups:
        description: Number of protected backups a guest may have; -1 is without limit.
        type: int
  update_secrets:
    description: Whether secrets of storages that exist are sent again, which always counts as a change; the server
      never shows them.
    type: bool
    default: false
  allow_removal_in_use:
    description: Whether a storage may be removed although guests have disks on it or backup jobs write to it. What lies
      on it stays there, but those guests do not start any more.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: A directory on every node and one NFS share
  quorate.pve.storages:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    storages:
      - {storage: local, type: dir, content: [iso, vztmpl, backup, snippets]}
      - {storage: scratch, type: dir, path: /srv/scratch, content: [images], nodes: [pve1, pve2]}
      - storage: archive
        type: nfs
        server: 192.0.2.50
        export: /tank/archive
        content: [backup]
        prune_backups: {keep-daily: 7, keep-weekly: 4}

- name: What was tried last week goes
  quorate.pve.storages:
    api_hosts: [192.0.2.11]
    api_password: "{{ vault_root_password }}"
    storages: [{storage: trial, state: absent}]
"""

RETURN = r"""
plan:
  description: What was (in check mode, would be) done, as C(action), C(object) and C(fields), in this order.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, object: storage scratch, fields: {path: {before: null, after: /srv/scratch}}}]
done:
  description: Entries of RV(plan) that were carried out before a failure.
  returned: failure
  type: list
  elements: dict
not_done:
  description: Entries of RV(plan) that were not carried out because of a failure.
  returned: failure
  type: list
  elements: dict
unknown:
  description: What could not be checked in check mode, because something it depends on does not exist yet.
  returned: in check mode
  type: list
  elements: str
calls:
  description: Number of API calls made.
  returned: always
  type: int
"""

from collections.abc import Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quorate.pve.plugins.module_utils._errors import StateError
from ansible_collections.quorate.pve.plugins.module_utils._module import PURGE, arguments, finish
from ansible_collections.quorate.pve.plugins.module_utils._plan import DELETE, Change, raise_all
from ansible_collections.quorate.pve.plugins.module_utils._spec import Field, Spec
from ansible_collections.quorate.pve.plugins.module_utils._storage_keys import WithKeyFile
from ansible_collections.quorate.pve.plugins.module_utils._storage_use import users_of
from ansible_collections.quorate.pve.plugins.module_utils._values import (
    BOOLEAN,
    INTEGER,
    PROPERTIES,
    SET,
    Form,
    properties_form,
)

# yes, no or a path: YAML makes booleans of the first two
MOUNT_POINT = Form(lambda value: {"true": "yes", "false": "no"}.get(str(value).lower(), str(value)), str, "str")

# What is fixed for which type: facts §12
SPEC = Spec(
    kind="storage",
    option="storages",
    keys=("storage",),
    path="/storage",
    item_path="/storage/{storage}",
    # it always exists; removing its entry only resets it (facts §12)
    kept=frozenset({("local",)}),
    digest=True,
    fields=(
        Field("storage", required=True, aliases=("name",)),
        Field("type", fixed=True, needed=True),
        Field("content", SET),
        Field("nodes", SET, refers="node"),
        Field("disable", BOOLEAN, default=False),
        Field("shared", BOOLEAN, default=False),
        Field("prune_backups", properties_form(hyphens=True), "prune-backups"),
        Field("bwlimit", PROPERTIES),
        Field("path", fixed=True),
        Field("pool", fixed=lambda item: item.get("type") != "rbd"),
        Field("server", fixed=True),
        Field("datastore", fixed=True),
        Field("namespace"),
        Field("fingerprint"),
        Field("port", INTEGER),
        Field("export", fixed=True),
        Field("share", fixed=True),
        Field("domain"),
        Field("smbversion"),
        Field("subdir"),
        Field("options"),
        Field("vgname", fixed=True),
        Field("thinpool", fixed=True),
        Field("portal", fixed=True),
        Field("target", fixed=True),
        Field("monhost", SET),
        Field("data_pool", api="data-pool"),
        Field("fs_name", api="fs-name"),
        Field("fuse", BOOLEAN, default=False),
        Field("krbd", BOOLEAN, default=False),
        Field("username"),
        Field("password", secret=True),
        Field("password_file", Form(str, str, "path"), listed=False, sent=False),
        Field("keyring", secret=True),
        Field("encryption_key", api="encryption-key", secret=True),
        Field("encryption_key_file", Form(str, str, "path"), listed=False, sent=False),
        Field("master_pubkey", api="master-pubkey", secret=True),
        Field("blocksize"),
        Field("sparse", BOOLEAN, default=False),
        Field("mountpoint"),
        Field("is_mountpoint", MOUNT_POINT, default="no"),
        Field("create_base_path", BOOLEAN, "create-base-path", default=True),
        Field("create_subdirs", BOOLEAN, "create-subdirs", default=True),
        Field("format"),
        Field("preallocation", choices=("off", "metadata", "falloc", "full")),
        Field("max_protected_backups", INTEGER, "max-protected-backups"),
    ),
)


class Storages(WithKeyFile):
    """Entries of storage.cfg. They are written under a cluster-wide lock, so one after another."""

    spec = SPEC

    def check(self, changes: Sequence[Change]) -> None:
        """Nothing that guests or backup jobs use is removed."""
        super().check(changes)
        removed = {str(change.key[0]): change for change in changes if change.action == DELETE}
        if removed and not self.params["allow_removal_in_use"]:
            raise_all(
                [
                    StateError(
                        f"storage {storage} is in use: {users}",
                        where=removed[storage].where,
                        hint="Move them elsewhere first, or say allow_removal_in_use: true.",
                    )
                    for storage, users in users_of(self.api, sorted(removed)).items()
                ]
            )


ARGUMENT_SPEC = arguments(
    **SPEC.argument_spec(),
    **PURGE,
    update_secrets={"type": "bool", "default": False, "no_log": False},
    allow_removal_in_use={"type": "bool", "default": False},
)

run = Storages.run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
