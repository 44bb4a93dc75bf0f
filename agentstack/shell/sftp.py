# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""SFTP into a host's file system; below /etc/pve reads and writes go to the store, with its quorum and its order."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import AsyncIterator
from typing import BinaryIO, cast

import asyncssh
from asyncssh import SFTPAttrs, SFTPName
from asyncssh.constants import FXF_APPEND, FXF_CREAT, FXF_EXCL, FXF_READ, FXF_TRUNC, FXF_WRITE

from agentstack.errors import AgentError
from agentstack.shell.rootfs import Place, RootFs


class ClusterFile:
    """An open file below /etc/pve. What was written goes to the store in one piece, when the file is closed."""

    def __init__(self, path: str, content: bytes, *, changed: bool) -> None:
        self.path = path
        self.content = bytearray(content)
        self.changed = changed

    def write(self, offset: int, data: bytes) -> int:
        """Replace `data`'s length at `offset`; a gap before it is filled with zeros."""
        if len(self.content) < offset:
            self.content += bytes(offset - len(self.content))
        self.content[offset : offset + len(data)] = data
        self.changed = True
        return len(data)


class RootSftp(asyncssh.SFTPServer):
    """One SFTP session of root."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], fs: RootFs) -> None:
        super().__init__(channel)
        self.fs = fs
        self.files = fs.host.files if fs.host.kind == "pve" else None

    def _place(self, path: bytes, *, follow: bool = True) -> Place:
        return self.fs.resolve(os.fsdecode(path), follow=follow)

    def exit(self) -> None:
        # without an exit status, OpenSSH's scp takes the transfer for failed
        self.channel.exit(0)

    # -- files --------------------------------------------------------------------------------------------------

    def open(self, path: bytes, pflags: int, attrs: SFTPAttrs) -> object:
        place = self._place(path)
        if place.cluster is not None:
            return self._open_cluster_file(place.cluster, pflags)
        both = pflags & FXF_READ and pflags & FXF_WRITE
        flags = os.O_RDWR if both else os.O_WRONLY if pflags & FXF_WRITE else os.O_RDONLY
        for wanted, flag in (
            (FXF_APPEND, os.O_APPEND),
            (FXF_CREAT, os.O_CREAT),
            (FXF_TRUNC, os.O_TRUNC),
            (FXF_EXCL, os.O_EXCL),
        ):
            flags |= flag if pflags & wanted else 0
        mode = 0o644 if attrs.permissions is None else attrs.permissions
        descriptor = os.open(place.local, flags | os.O_NOFOLLOW, stat.S_IMODE(mode))
        return os.fdopen(descriptor, "r+b" if both else "wb" if pflags & FXF_WRITE else "rb", buffering=0)

    def _open_cluster_file(self, path: str, pflags: int) -> ClusterFile:
        assert self.files is not None
        exists = self.files.exists(path)
        if self.files.is_directory(path):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not pflags & FXF_WRITE:
            return ClusterFile(path, self.files.read(path), changed=False)
        if not exists and not pflags & FXF_CREAT:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if exists and pflags & FXF_EXCL:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        # without quorum the file system is read-only, which shows when a file is opened (facts §6.6)
        if not self.files.quorate:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        keep = exists and not pflags & FXF_TRUNC
        return ClusterFile(path, self.files.read(path) if keep else b"", changed=not keep)

    async def close(self, file_obj: object) -> None:
        if not isinstance(file_obj, ClusterFile):
            cast(BinaryIO, file_obj).close()
        elif file_obj.changed:
            await self._save(file_obj)

    async def fsync(self, file_obj: object) -> None:
        if not isinstance(file_obj, ClusterFile):
            os.fsync(cast(BinaryIO, file_obj).fileno())
        elif file_obj.changed:
            await self._save(file_obj)

    async def _save(self, file: ClusterFile) -> None:
        assert self.files is not None
        try:
            await self.files.write(file.path, bytes(file.content))
        except AgentError as error:
            raise asyncssh.SFTPFailure(error.message) from error
        file.changed = False

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        if isinstance(file_obj, ClusterFile):
            return bytes(file_obj.content[offset : offset + size])
        return os.pread(cast(BinaryIO, file_obj).fileno(), size, offset)

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        if isinstance(file_obj, ClusterFile):
            return file_obj.write(offset, data)
        return os.pwrite(cast(BinaryIO, file_obj).fileno(), data, offset)

    # -- attributes ---------------------------------------------------------------------------------------------

    def stat(self, path: bytes) -> SFTPAttrs:
        place = self._place(path)
        return self._cluster_attributes(place.cluster) if place.cluster is not None else _attributes(place.local.stat())

    def lstat(self, path: bytes) -> SFTPAttrs:
        place = self._place(path, follow=False)
        if place.cluster is None:
            return _attributes(place.local.lstat())
        if (target := self.fs.link(place.path)) is not None:
            return SFTPAttrs(size=len(target), uid=0, gid=0, permissions=stat.S_IFLNK | 0o777)
        return self._cluster_attributes(place.cluster)

    def fstat(self, file_obj: object) -> SFTPAttrs:
        if isinstance(file_obj, ClusterFile):
            return SFTPAttrs(size=len(file_obj.content), uid=0, gid=0, permissions=stat.S_IFREG | 0o640)
        return _attributes(os.fstat(cast(BinaryIO, file_obj).fileno()))

    def setstat(self, path: bytes, attrs: SFTPAttrs) -> None:
        place = self._place(path)
        # owners, modes and times of the cluster's files are what the file system says
        if place.cluster is None:
            _set_attributes(os.fsencode(place.local), attrs)

    def lsetstat(self, path: bytes, attrs: SFTPAttrs) -> None:
        self.setstat(path, attrs)

    def fsetstat(self, file_obj: object, attrs: SFTPAttrs) -> None:
        if not isinstance(file_obj, ClusterFile):
            _set_attributes(cast(BinaryIO, file_obj).fileno(), attrs)
        elif attrs.size is not None:
            file_obj.write(0, bytes(file_obj.content[: attrs.size]))
            del file_obj.content[attrs.size :]

    def _cluster_attributes(self, path: str) -> SFTPAttrs:
        assert self.files is not None
        private = path.split("/")[0] == "priv" or "/priv/" in f"/{path}/"
        if self.files.is_directory(path):
            return SFTPAttrs(size=0, uid=0, gid=33, permissions=stat.S_IFDIR | (0o700 if private else 0o755))
        changed = self.files.mtime(path) if self.files.version(path) else int(self.fs.host.boot_time)
        return SFTPAttrs(
            size=len(self.files.read(path)),
            uid=0,
            gid=33,
            permissions=stat.S_IFREG | (0o600 if private else 0o640),
            atime=changed,
            mtime=changed,
        )

    # -- names --------------------------------------------------------------------------------------------------

    async def scandir(self, path: bytes) -> AsyncIterator[SFTPName]:
        for name in (".", "..", *self.fs.listdir(os.fsdecode(path))):
            entry = os.path.join(path, os.fsencode(name))
            yield SFTPName(os.fsencode(name), attrs=self.lstat(entry))

    def realpath(self, path: bytes) -> bytes:
        return os.fsencode(self._place(path).path)

    def readlink(self, path: bytes) -> bytes:
        target = self.fs.link(self._place(path, follow=False).path)
        if target is None:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return os.fsencode(target)

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        os.symlink(oldpath, self._local(newpath))

    def link(self, oldpath: bytes, newpath: bytes) -> None:
        os.link(self._local(oldpath), self._local(newpath))

    async def remove(self, path: bytes) -> None:
        place = self._place(path, follow=False)
        if place.cluster is None:
            place.local.unlink()
        else:
            await self._in_store("delete", self._changeable(place))

    async def mkdir(self, path: bytes, attrs: SFTPAttrs) -> None:
        place = self._place(path)
        if place.cluster is None:
            place.local.mkdir(0o755)
        else:
            await self._in_store("mkdir", place.cluster)

    async def rmdir(self, path: bytes) -> None:
        place = self._place(path, follow=False)
        if place.cluster is None:
            place.local.rmdir()
        else:
            await self._in_store("delete", self._changeable(place))

    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        if self.fs.exists(os.fsdecode(newpath)):
            raise asyncssh.SFTPFailure("File already exists")
        await self.posix_rename(oldpath, newpath)

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        old, new = self._place(oldpath, follow=False), self._place(newpath, follow=False)
        if (old.cluster is None) != (new.cluster is None):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        if old.cluster is not None and new.cluster is not None:
            await self._in_store("rename", self._changeable(old), self._changeable(new))
        else:
            old.local.replace(new.local)

    def statvfs(self, path: bytes) -> os.statvfs_result:
        return os.statvfs(self._place(path).local)

    def fstatvfs(self, file_obj: object) -> os.statvfs_result:
        return os.statvfs(self.fs.host.root)

    def _changeable(self, place: Place) -> str:
        # the links in /etc/pve belong to the file system itself
        if self.fs.link(place.path) is not None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return place.cluster or ""

    def _local(self, path: bytes) -> str:
        place = self._place(path, follow=False)
        if place.cluster is not None:
            # the cluster file system knows no links but its own
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        return str(place.local)

    async def _in_store(self, operation: str, *paths: str) -> None:
        try:
            await getattr(self.files, operation)(*paths)
        except AgentError as error:
            raise asyncssh.SFTPFailure(error.message) from error


def _attributes(status: os.stat_result) -> SFTPAttrs:
    """As on the host, where everything belongs to root."""
    attributes = SFTPAttrs.from_local(status)
    attributes.uid = attributes.gid = 0
    return attributes


def _set_attributes(target: bytes | int, attributes: SFTPAttrs) -> None:
    if attributes.size is not None:
        os.truncate(target, attributes.size)
    if attributes.permissions is not None:
        os.chmod(target, stat.S_IMODE(attributes.permissions))
    if attributes.atime is not None and attributes.mtime is not None:
        os.utime(target, (attributes.atime, attributes.mtime))
