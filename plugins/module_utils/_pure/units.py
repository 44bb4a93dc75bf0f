# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes and durations with units: Proxmox VE disk sizes, Proxmox Backup Server byte counts, plain durations."""

from __future__ import annotations

import re
from fractions import Fraction

_DISK_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)", re.ASCII)
_DISK_UNITS = ("", "K", "M", "G", "T")

_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMGTPE])(i?)(B?)|B)?", re.ASCII)
_PREFIXES = "KMGTPE"

_DURATION_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(us|ms|s|min|m|h|d|w)\s*", re.ASCII)
_DURATION_UNITS = {
    "us": Fraction(1, 1_000_000),
    "ms": Fraction(1, 1_000),
    "s": Fraction(1),
    "m": Fraction(60),
    "min": Fraction(60),
    "h": Fraction(3_600),
    "d": Fraction(86_400),
    "w": Fraction(604_800),
}
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


def parse_size(text: str | int) -> int:
    """Parse a Proxmox VE disk size (``32G``, ``1.5T``, ``4096``) into bytes.

    Units are powers of 1024, upper case (facts §2, format ``disk-size``); an int is taken for bytes. A fraction of a
    byte is cut off. Raises ``ValueError`` for anything else.
    """
    if isinstance(text, int):
        return text
    match = _DISK_SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"invalid size '{text}': a number with an optional K, M, G or T is wanted")
    return int(Fraction(match[1]) * 1024 ** _DISK_UNITS.index(match[2]))


def format_size(size: int) -> str:
    """Write bytes as a disk size in the largest unit that loses nothing: 34359738368 → ``32G``, 1500 → ``1500``.

    Raises ``ValueError`` for a negative size.
    """
    if size < 0:
        raise ValueError(f"a size cannot be negative: {size}")
    unit = 0
    while size and size % 1024 == 0 and unit < len(_DISK_UNITS) - 1:
        size //= 1024
        unit += 1
    return f"{size}{_DISK_UNITS[unit]}"


def parse_bytes(text: str | int) -> int:
    """Parse a byte count as Proxmox Backup Server takes it (``10 MB``, ``1 GiB``, ``512``) into bytes.

    ``KB`` and ``K`` are 1000, ``KiB`` and ``Ki`` are 1024 (facts §20.4); an int is taken for bytes.
    Raises ``ValueError`` for anything else.
    """
    if isinstance(text, int):
        return text
    match = _BYTES.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"invalid byte count '{text}': a number with an optional unit (KB, MiB, ...) is wanted")
    exponent = _PREFIXES.index(match[2]) + 1 if match[2] else 0
    return int(Fraction(match[1]) * (1024 if match[3] else 1000) ** exponent)


def format_bytes(size: int, *, decimal: bool = False) -> str:
    """Write bytes for people: ``1.5 GiB`` or, with ``decimal``, ``1.61 GB``; at most two digits after the point."""
    base, infix = (1000, "") if decimal else (1024, "i")
    exponent, value = 0, float(size)
    # what would be rounded up to a whole next unit belongs into that unit
    while abs(value) >= base - 0.005 and exponent < len(_PREFIXES):
        value /= base
        exponent += 1
    number = f"{value:.2f}".rstrip("0").rstrip(".")
    return f"{number} {_PREFIXES[exponent - 1]}{infix}B" if exponent else f"{number} B"


def parse_duration(text: str | float) -> float:
    """Parse a duration (``180s``, ``5m``, ``1h 30m``, ``0.3ms``, ``45``) into seconds.

    Units us, ms, s, m (or min), h, d, w; parts add up; a bare number is seconds. Raises ``ValueError`` for anything
    else. For the spans of Proxmox Backup Server see :func:`.time_span.parse_time_span`.
    """
    if isinstance(text, (int, float)):
        return float(text)
    stripped = text.strip()
    if _NUMBER.fullmatch(stripped):
        return float(stripped)
    total, position = Fraction(0), 0
    while match := _DURATION_PART.match(stripped, position):
        total += Fraction(match[1]) * _DURATION_UNITS[match[2]]
        position = match.end()
    if position < len(stripped) or not stripped:
        raise ValueError(f"invalid duration '{text}': numbers with us, ms, s, m, h, d or w are wanted")
    return float(total)


def format_duration(seconds: float) -> str:
    """Write seconds for people: ``0.3 ms``, ``42 s``, ``2 min 16 s``, ``3 h 5 min``, ``2 d 4 h``; two units at most."""
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    if 0 < seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    for size, name, smaller_size, smaller_name in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {name}" + (f" {rest} {smaller_name}" if rest else "")
    return f"{whole} s"
