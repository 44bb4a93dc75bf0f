# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of storage that storage.cfg knows, as one table (facts §12)."""

from __future__ import annotations

from dataclasses import dataclass, field

from agentstack.sections import Kind, SectionFile, SectionType

_COMMON = frozenset({"nodes", "disable", "content", "bwlimit"})
_FILES = frozenset(
    {
        *("shared", "format", "preallocation", "prune-backups", "max-protected-backups", "content-dirs"),
        *("mkdir", "create-base-path", "create-subdirs"),
    }
)
_ALL = ("images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import", "none")
_MOUNTED = tuple(content for content in _ALL if content != "none")


@dataclass(frozen=True)
class StorageType:
    """One kind of storage.

    `default` and `allowed` are content types, `formats` those of guests' images (the default first). `auto_path`:
    mounted at /mnt/pve/ID unless a path is given. `secrets` are taken and never given back.
    """

    required: tuple[str, ...] = ()
    fixed: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    allowed: tuple[str, ...] = ("images", "rootdir")
    default: tuple[str, ...] = ("images",)
    shared: bool = False
    auto_path: bool = False
    secrets: frozenset[str] = frozenset()
    formats: tuple[str, ...] = ("raw",)
    section: SectionType = field(init=False, repr=False)

    def __post_init__(self) -> None:
        optional = (self.optional | _COMMON) - self.fixed
        object.__setattr__(self, "section", SectionType(self.required, self.fixed, optional))


STORAGE_TYPES: dict[str, StorageType] = {
    "dir": StorageType(
        required=("path",),
        fixed=frozenset({"path", "snapshot-as-volume-chain"}),
        optional=_FILES | {"is_mountpoint"},
        allowed=_ALL,
        default=("images", "rootdir"),
        formats=("raw", "qcow2", "vmdk", "subvol"),
    ),
    "btrfs": StorageType(
        required=("path",),
        fixed=frozenset({"path"}),
        optional=_FILES | {"is_mountpoint", "nocow"},
        allowed=_ALL,
        default=("images", "rootdir"),
        formats=("raw", "subvol"),
    ),
    "zfspool": StorageType(
        required=("pool",),
        fixed=frozenset({"pool"}),
        optional=frozenset({"blocksize", "sparse", "mountpoint"}),
        default=("images", "rootdir"),
        formats=("raw", "subvol"),
    ),
    "rbd": StorageType(
        optional=frozenset(
            {"monhost", "pool", "data-pool", "namespace", "username", "krbd", "keyring", "authsupported"}
        ),
        shared=True,
        secrets=frozenset({"keyring"}),
    ),
    "cephfs": StorageType(
        required=("path",),
        fixed=frozenset({"path"}),
        optional=frozenset({"monhost", "subdir", "username", "fuse", "fs-name", "options", "keyring"})
        | (_FILES - {"shared", "format", "preallocation"}),
        allowed=("vztmpl", "iso", "backup", "snippets", "import"),
        default=("backup",),
        shared=True,
        auto_path=True,
        secrets=frozenset({"keyring"}),
    ),
    "pbs": StorageType(
        required=("server", "datastore"),
        fixed=frozenset({"server", "datastore"}),
        optional=frozenset(
            {
                *("username", "password", "fingerprint", "namespace", "port", "encryption-key", "master-pubkey"),
                *("prune-backups", "max-protected-backups", "skip-cert-verification"),
            }
        ),
        allowed=("backup", "none"),
        default=("backup",),
        shared=True,
        secrets=frozenset({"password", "encryption-key", "master-pubkey"}),
    ),
    "nfs": StorageType(
        required=("server", "export", "path"),
        fixed=frozenset({"server", "export", "path", "snapshot-as-volume-chain"}),
        optional=(_FILES - {"shared"}) | {"options"},
        allowed=_MOUNTED,
        shared=True,
        auto_path=True,
        formats=("raw", "qcow2", "vmdk"),
    ),
    "cifs": StorageType(
        required=("server", "share", "path"),
        fixed=frozenset({"server", "share", "path", "snapshot-as-volume-chain"}),
        optional=(_FILES - {"shared"}) | {"username", "password", "domain", "smbversion", "subdir", "options"},
        allowed=_MOUNTED,
        shared=True,
        auto_path=True,
        secrets=frozenset({"password"}),
        formats=("raw", "qcow2", "vmdk"),
    ),
    "lvm": StorageType(
        required=("vgname",),
        fixed=frozenset({"vgname", "base", "snapshot-as-volume-chain"}),
        optional=frozenset({"shared", "saferemove", "saferemove_throughput", "saferemove-stepsize", "tagged_only"}),
    ),
    "lvmthin": StorageType(
        required=("vgname", "thinpool"),
        fixed=frozenset({"vgname", "thinpool"}),
        default=("images", "rootdir"),
    ),
    "iscsi": StorageType(
        required=("portal", "target"),
        fixed=frozenset({"portal", "target"}),
        allowed=("images", "none"),
        shared=True,
    ),
    "iscsidirect": StorageType(
        required=("portal", "target"),
        fixed=frozenset({"portal", "target"}),
        allowed=("images", "none"),
        shared=True,
    ),
    "zfs": StorageType(
        required=("pool", "portal", "target", "iscsiprovider"),
        fixed=frozenset({"portal", "target", "pool", "blocksize", "iscsiprovider"}),
        optional=frozenset({"nowritecache", "sparse", "comstar_hg", "comstar_tg", "lio_tpg", "zfs-base-path"}),
        allowed=("images",),
        shared=True,
    ),
    "esxi": StorageType(
        required=("server", "username"),
        fixed=frozenset({"server"}),
        optional=frozenset({"username", "password", "port", "skip-cert-verification"}),
        allowed=("import",),
        default=("import",),
        secrets=frozenset({"password"}),
    ),
}

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("shared", "krbd", "sparse", "fuse", "mkdir", "create-base-path", "create-subdirs"), "boolean"),
    **dict.fromkeys(("saferemove", "tagged_only", "nocow", "nowritecache", "snapshot-as-volume-chain"), "boolean"),
    **dict.fromkeys(("skip-cert-verification",), "boolean"),
    **dict.fromkeys(("port", "max-protected-backups", "saferemove-stepsize"), "integer"),
}

STORAGE_CFG = SectionFile(
    "storage.cfg", "file-storage_cfg", {name: kind.section for name, kind in STORAGE_TYPES.items()}, _KINDS
)
