# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads what the workers run on, once a run: this package is looked into before the workers are forked.

A worker would need 80 ms for the libraries in every task, and as much for the filters of all directories, which Ansible
loads together as soon as a template uses one.
"""

from __future__ import annotations

from contextlib import suppress

from ansible.plugins.loader import filter_loader, test_loader
from ansible_collections.quorate.pve.plugins.module_utils import _client, _collection, _module

with suppress(ImportError):  # a task that needs it says what to install
    import proxmoxer.core  # noqa: F401
    import requests  # noqa: F401

filter_loader.get("ansible.builtin.default")
test_loader.get("ansible.builtin.defined")

__all__ = ["_client", "_collection", "_module"]
