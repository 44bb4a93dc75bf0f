# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of a container a backup leaves out (the manual of vzdump, "File Exclusions")."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

Excludes = Callable[[str, bool], bool]
"""Whether a file is left out, by its path in the container (`/var/log`) and whether it is a directory."""

STANDARD = ("/tmp/?*", "/var/tmp/?*", "/var/run/?*pid")
"""What is left out unless `stdexcludes` is 0."""

_WILDCARDS = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
_TOKENS = re.compile(r"\*\*|[*?]|\[!?[^\]]+\]|\\.|.", re.DOTALL)


def _token(text: str) -> str:
    if text in _WILDCARDS:
        return _WILDCARDS[text]
    if text[0] == "[" and len(text) > 1:
        inside = text[1:-1]
        return f"[^{re.escape(inside[1:])}]".replace(r"\-", "-") if inside[0] == "!" else f"[{inside}]"
    return re.escape(text[-1])


def _pattern(text: str) -> re.Pattern[str]:
    """One that begins with `/` starts at the root, others match below every directory."""
    start = "/" if text.startswith("/") else "(?:.*/)"
    return re.compile(start + "".join(map(_token, _TOKENS.findall(text.strip("/")))), re.DOTALL)


def excluding(patterns: Sequence[str], *, tar: bool) -> Excludes:
    """What the patterns leave out. One that ends in `/` is for directories; `tar` knows none of these."""
    files = [_pattern(text) for text in patterns if not text.endswith("/")]
    directories = [_pattern(text) for text in patterns if text.endswith("/") and text.strip("/") and not tar]

    def excludes(path: str, is_directory: bool) -> bool:
        return any(one.fullmatch(path) for one in (files + directories if is_directory else files))

    return excludes
