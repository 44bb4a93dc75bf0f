# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks and network cards of guests: what was asked for against what the configuration says.

Pure. Private to this collection.

Asked for: ``tank:4,discard=on`` (4 GiB on tank). In the configuration: ``tank:vm-101-disk-0,discard=on,size=4G``.
"""

from __future__ import annotations

from typing import Any

from ._errors import InputError, StateError
from ._pure.units import format_size, parse_size
from ._values import join_properties, split_properties

VOLUME = "file"
_MODELS = ("e1000", "e1000e", "ne2k_pci", "pcnet", "rtl8139", "virtio", "vmxnet3")
_GROW = "grow to "
GIB = 1024**3


def new_size(value: Any) -> str | None:
    """The size to grow to, if that is what a difference found by :func:`disk_difference` says."""
    return value.removeprefix(_GROW) if isinstance(value, str) and value.startswith(_GROW) else None


def disk_difference(name: str, wanted: Any, has: Any, where: str) -> tuple[Any] | None:
    """What to set a disk to (in a tuple), or None if it is as asked for.

    A disk that is not there is made; one that is there may grow. Raises :class:`StateError` for what would lose data.
    """
    if wanted in ("", None):
        if has is None:
            return None
        raise StateError(f"{name}: a disk is not removed here", where=where, hint="Detach and remove it yourself.")
    want = split_properties(str(wanted), VOLUME)
    if VOLUME not in want:
        raise InputError(f"{name}: '{wanted}' names no storage", where=where, hint="Such as tank:4 for 4 GiB on tank.")
    if has is None:
        return (wanted,)
    there = split_properties(str(has), VOLUME)
    want_storage, amount = _volume(want[VOLUME])
    storage, volume = _volume(there[VOLUME])
    if storage != want_storage:
        raise StateError(
            f"{name} is on the storage {storage or there[VOLUME]} and is not moved to {want_storage}",
            where=where,
            hint=f"Take over {storage}, or move the disk yourself.",
        )
    differing = {key: value for key, value in want.items() if key not in (VOLUME, "size") and there.get(key) != value}
    grow = _growth(name, amount, there.get("size"), where) if amount.replace(".", "", 1).isdigit() else None
    if amount and grow is None and not amount.replace(".", "", 1).isdigit() and amount != volume:
        raise StateError(f"{name} is {there[VOLUME]} and not {want[VOLUME]}", where=where)
    if grow and not differing:
        return (f"{_GROW}{grow}",)
    if grow:
        raise StateError(
            f"{name} would have to grow and to change its options at once", where=where, hint="Do one after the other."
        )
    return (join_properties({**there, **differing, VOLUME: None, "": there[VOLUME]}),) if differing else None


def _volume(text: str) -> tuple[str, str]:
    """The storage, and what is wanted of it or lies there."""
    storage, colon, rest = text.partition(":")
    return storage, rest if colon else ""


def _growth(name: str, amount: str, size: str | None, where: str) -> str | None:
    if size is None:
        return None
    want, has = int(float(amount) * GIB), parse_size(size)
    if want < has:
        raise StateError(
            f"{name} has {size} and cannot shrink to {amount}G", where=where, hint=f"Take over {format_size(has)}."
        )
    return format_size(want) if want > has else None


def net_difference(name: str, wanted: Any, has: Any, where: str) -> tuple[Any] | None:
    """What to set a network card to (in a tuple), or None if it is as asked for. Its MAC address is kept."""
    if wanted in ("", None):
        return None if has is None else (None,)
    if has is None:
        return (wanted,)
    want, there = _card(str(wanted)), _card(str(has))
    if all(there.get(key) == value for key, value in want.items()):
        return None
    # options that are no longer asked for go; the address stays
    merged = {**want, "macaddr": want.get("macaddr") or there.get("macaddr")}
    model, address = merged.pop("model"), merged.pop("macaddr")
    head = f"{model}={address}" if address else str(model)
    rest = join_properties(merged)
    return (f"{head},{rest}" if rest else head,)


def _card(text: str) -> dict[str, Any]:
    card: dict[str, Any] = split_properties(text, "model")
    for model in _MODELS:
        if model in card:
            card["model"], card["macaddr"] = model, str(card.pop(model)).upper()
    return card
