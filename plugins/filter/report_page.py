# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter quorate.pve.report_page."""

from __future__ import annotations

DOCUMENTATION = r"""
name: report_page
short_description: The report on a cluster as one HTML page
version_added: 0.3.0
author: Quorate contributors (@quorate)
description:
  - Draws what the module M(quorate.pve.report_data) returned, with the templates of a directory, as one file that needs
    nothing from elsewhere. All that comes from the cluster is escaped.
positional: templates
options:
  _input:
    description: The report as the module returned it.
    type: dict
    required: true
  templates:
    description: The directory with C(page.html.j2) and what it includes.
    type: path
    required: true
"""

EXAMPLES = r"""
# The page
page: "{{ data.report | quorate.pve.report_page(role_path ~ '/templates') }}"
"""

RETURN = r"""
_value:
  description: The page.
  type: str
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.quorate.pve.plugins.module_utils._libraries import later

render = later("_report_page", "render")


def report_page(report: Mapping[str, Any], templates: str) -> Any:
    """The page as text that is not templated again, whatever the names in it look like."""
    return wrap_var(render(report, templates))


class FilterModule:
    """Ansible's way to name filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"report_page": report_page}
