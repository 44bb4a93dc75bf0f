# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cross-checks of the variables about what is told to others. Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ._site_elements import listed, names_in, present
from ._site_nodes import Node

BROUGHT = "mail-to-root"
SEVERITIES = ("info", "notice", "warning", "error", "unknown")
FIELD = re.compile(r"(exact|regex):[A-Za-z0-9_][A-Za-z0-9._-]*=.*")


def notification_problems(variables: Mapping[str, Any], nodes: list[Node]) -> Iterator[str]:
    """Targets that are nowhere, and conditions that no server takes or that can never hold."""
    for product in ("pve", "pbs"):
        yield from _of(variables, f"{product}_notification_endpoints", f"{product}_notification_matchers")


def _of(variables: Mapping[str, Any], targets: str, matchers: str) -> Iterator[str]:
    endpoints = names_in(variables, targets, "name")
    for where, endpoint in present(variables, targets):
        mail = endpoint.get("type") in ("sendmail", "smtp")
        if mail and not (endpoint.get("mailto") or endpoint.get("mailto_user")):
            yield f"{where}: nobody would get the mails. Give mailto or mailto_user."
    for where, matcher in present(variables, matchers):
        if endpoints is not None and matcher["name"] in endpoints:
            yield f"{where}: an endpoint has the same name. Names are unique over both."
        for target in matcher.get("targets") or []:
            if endpoints is not None and target not in endpoints | {BROUGHT}:
                yield (
                    f"{where}: the target {target} is not in {targets} ({listed(endpoints)}). "
                    "If others look after it, list it with state: ignore."
                )
        yield from _conditions(where, matcher)


def _conditions(where: str, matcher: Mapping[str, Any]) -> Iterator[str]:
    for rule in matcher.get("match_field") or []:
        if not FIELD.fullmatch(str(rule)):
            yield f"{where}: match_field must be like exact:type=vzdump or regex:hostname=^pve, is {rule}."
    severities = [{part.strip() for part in str(each).split(",")} for each in matcher.get("match_severity") or []]
    for severity in sorted(set().union(*severities) - set(SEVERITIES)):
        yield f"{where}: there is no severity {severity}. There are: {', '.join(SEVERITIES)}."
    if severities and matcher.get("mode") != "any" and not set.intersection(*severities):
        joined = ",".join(sorted(set().union(*severities)))
        yield (
            f"{where}: the elements of match_severity cannot all hold at once. "
            f'For any of them, write one element: ["{joined}"].'
        )
