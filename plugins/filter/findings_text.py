# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.findings_text."""

from __future__ import annotations

DOCUMENTATION = r"""
name: findings_text
short_description: Findings to be read, one a line
version_added: 0.3.0
author: Quorate contributors (@quorate)
description:
  - Writes down what M(quorate.pve.preflight) or M(quorate.pve.ha_eligibility) found, but for what is only for
    information.
positional: variables
options:
  _input:
    description: Findings as the module returned them.
    type: list
    elements: dict
    required: true
  variables:
    description: What in the inventory the findings of a check speak of, by the check.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show what preflight found
  ansible.builtin.debug:
    msg: "{{ found.findings | quorate.pve.findings_text }}"
  vars:
    found:
      findings:
        - {severity: warning, check: clock, node: pve2, where: "", text: pve2 is 0.03 s ahead, fix: Start chrony there.}
"""

RETURN = r"""
_value:
  description: The lines, each with its end; nothing if there is nothing worth saying.
  type: str
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.utils.unsafe_proxy import wrap_var

OF_A_VARIABLE = re.compile(r"^(zfs_pools|ceph_osds|replication_jobs)")
"""Options of the module that stand for a variable of the inventory."""


def findings_text(findings: Iterable[Mapping[str, str]], variables: Mapping[str, str] | None = None) -> Any:
    """The findings as text that is not templated again, whatever servers have called things."""
    return wrap_var("".join(_line(one, (variables or {}).get(one["check"], "")) for one in findings if _told(one)))


def _told(finding: Mapping[str, str]) -> bool:
    return finding["severity"] != "info"


def _line(finding: Mapping[str, str], variables: str) -> str:
    where = OF_A_VARIABLE.sub(r"pve_\1", finding["where"])
    text = f"{where}: {finding['text']}" if where else finding["text"]
    concerns = f" [{variables}]" if variables else ""
    return f"{finding['severity']:<8} {finding['check']:<13} {text.removesuffix('.')}{concerns}. {finding['fix']}\n"


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"findings_text": findings_text}
