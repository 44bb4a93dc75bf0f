# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup server's storage: blobs, indexes, chunks, snapshots."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentstack.errors import AgentError
from agentstack.pbs.blob import COMPRESSED, PLAIN, DamagedBlob, decode, encode
from agentstack.pbs.chunks import GRACE, MissingChunk
from agentstack.pbs.datastore import Datastore
from agentstack.pbs.index import CHUNK_SIZE, DamagedIndex, FixedIndex
from agentstack.pbs.snapshots import Group

NOW = 1_790_000_000.0
VM = Group("", "vm", "104")


@pytest.fixture
def store(tmp_path: Path) -> Datastore:
    store = Datastore("main", tmp_path / "main")
    store.create()
    return store


def back_up(store: Datastore, time: int, *chunks: bytes, group: Group = VM, owner: str = "backup@pbs!ha-lab") -> None:
    with store.backup(group, time, owner, NOW) as writer:
        digests = [writer.chunk(data) for data in chunks]
        writer.image("drive-scsi0.img.fidx", FixedIndex(CHUNK_SIZE * len(chunks), digests, time))
        writer.blob("qemu-server.conf.blob", b"name: web\n")


@given(st.binary(max_size=4096))
def test_a_blob_gives_back_its_data(data: bytes) -> None:
    assert decode(encode(data)) == data


def test_a_blob_is_compressed_only_where_that_helps() -> None:
    assert encode(bytes(4096))[:8] == COMPRESSED
    assert encode(hashlib.sha256(b"noise").digest())[:8] == PLAIN


@given(st.binary(min_size=64, max_size=512), st.data())
def test_every_flipped_bit_of_a_blob_is_noticed(data: bytes, choice: st.DataObject) -> None:
    blob = bytearray(encode(data))
    blob[choice.draw(st.integers(0, len(blob) - 1))] ^= 1 << choice.draw(st.integers(0, 7))
    with pytest.raises(DamagedBlob):
        decode(bytes(blob))


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=20), st.integers(1, CHUNK_SIZE))
def test_an_index_gives_back_its_digests(digests: list[bytes], last: int) -> None:
    index = FixedIndex((len(digests) - 1) * CHUNK_SIZE + last, digests, 1_790_000_000)
    assert FixedIndex.decode(index.encode()) == index


def test_a_changed_digest_breaks_the_index() -> None:
    content = bytearray(FixedIndex(CHUNK_SIZE, [bytes(32)], 0).encode())
    content[-1] ^= 1
    with pytest.raises(DamagedIndex, match="checksum"):
        FixedIndex.decode(bytes(content))


def test_equal_data_is_stored_once(store: Datastore) -> None:
    back_up(store, 1000, b"a" * 100, b"b" * 100)
    back_up(store, 2000, b"a" * 100, b"c" * 100)
    assert len(list(store.chunks.files())) == 3
    assert [snapshot.time for snapshot in store.snapshots(VM)] == [1000, 2000]


def test_a_failed_backup_leaves_no_snapshot(store: Datastore) -> None:
    def lose_the_connection() -> None:
        with store.backup(VM, 1000, "root@pam", NOW) as writer:
            writer.chunk(b"half")
            raise ConnectionError

    with pytest.raises(ConnectionError):
        lose_the_connection()
    assert store.snapshots(VM) == []
    back_up(store, 1000, b"whole", owner="root@pam")
    assert len(store.snapshots(VM)) == 1


def test_a_group_belongs_to_its_owner_and_has_one_writer(store: Datastore) -> None:
    back_up(store, 1000, b"a")
    with pytest.raises(AgentError, match=r"backup owner check failed \(other@pbs != backup@pbs!ha-lab\)"):
        back_up(store, 2000, b"a", owner="other@pbs")
    with store.backup(VM, 2000, "backup@pbs!ha-lab", NOW), pytest.raises(AgentError, match="another backup is running"):
        back_up(store, 3000, b"a")
    with pytest.raises(AgentError, match="older than last backup"):
        back_up(store, 1500, b"a")


def test_an_index_cannot_name_chunks_that_are_not_there(store: Datastore) -> None:
    with pytest.raises(MissingChunk), store.backup(VM, 1000, "root@pam", NOW) as writer:
        writer.image("drive-scsi0.img.fidx", FixedIndex(CHUNK_SIZE, [bytes(32)], 1000))
    assert store.snapshots(VM) == []


def test_garbage_goes_only_after_the_grace_period(store: Datastore) -> None:
    back_up(store, 1000, b"kept", b"dropped")
    back_up(store, 2000, b"kept", b"new")
    store.forget(store.snapshots(VM)[0])
    early = store.collect_garbage(NOW + GRACE - 1)
    assert (early.removed_chunks, early.pending_chunks, early.disk_chunks) == (0, 1, 2)
    late = store.collect_garbage(NOW + GRACE + 1)
    assert (late.removed_chunks, late.pending_chunks, late.disk_chunks) == (1, 0, 2)
    assert store.garbage == late
    index = store.index(store.snapshots(VM)[0], "drive-scsi0.img.fidx")
    assert [store.chunks.read(digest) for digest in index.digests] == [b"kept", b"new"]


def test_a_running_backup_keeps_its_chunks(store: Datastore) -> None:
    late = NOW + 10 * GRACE
    with store.backup(VM, 1000, "root@pam", NOW) as writer:
        digest = writer.chunk(b"not in an index yet")
        assert store.collect_garbage(late).removed_chunks == 0
        writer.image("drive-scsi0.img.fidx", FixedIndex(CHUNK_SIZE, [digest], 1000))
    assert store.chunks.read(digest) == b"not in an index yet"


def test_a_protected_snapshot_cannot_be_forgotten(store: Datastore) -> None:
    back_up(store, 1000, b"a")
    snapshot = store.snapshots(VM)[0]
    store.protect(snapshot, True)
    with pytest.raises(AgentError, match="cannot remove protected snapshot vm/104/1970-01-01T00:16:40Z"):
        store.forget(snapshot)
    store.protect(snapshot, False)
    store.forget(snapshot)
    assert list(store.groups()) == []


def test_damaged_chunks_are_found_and_set_aside(store: Datastore) -> None:
    back_up(store, 1000, b"x" * 1000)
    digest = store.index(store.snapshots(VM)[0], "drive-scsi0.img.fidx").digests[0]
    path = store.chunks.path(digest)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(DamagedBlob):
        store.chunks.read(digest)
    assert store.chunks.set_aside(digest).name.endswith(".0.bad")
    back_up(store, 2000, b"x" * 1000)
    assert store.chunks.read(digest) == b"x" * 1000


def test_namespaces_nest(store: Datastore) -> None:
    store.create_namespace("prod")
    store.create_namespace("prod/web")
    back_up(store, 1000, b"a", group=Group("prod/web", "ct", "7"))
    assert list(store.namespaces()) == ["", "prod", "prod/web"]
    assert [str(snapshot.group) for snapshot in store.all_snapshots()] == ["ct/7"]
    with pytest.raises(AgentError, match="already exists"):
        store.create_namespace("prod")
    with pytest.raises(AgentError, match="parent nope"):
        store.create_namespace("nope/web")


def test_the_manifest_keeps_notes_apart_from_what_is_fixed(store: Datastore) -> None:
    back_up(store, 1000, b"a")
    manifest = store.manifest(store.snapshots(VM)[0])
    store.write_manifest(manifest.noting(notes="before the upgrade"))
    again = store.manifest(store.snapshots(VM)[0])
    assert again.unprotected == {"notes": "before the upgrade"}
    assert again.files == manifest.files
