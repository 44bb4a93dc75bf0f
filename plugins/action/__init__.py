# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads what the modules run on, once a run: this package is looked into before the workers are forked.

A worker would need 80 ms for it in every task.
"""

from __future__ import annotations

from contextlib import suppress

from ansible_collections.quorate.pve.plugins.module_utils import _client, _collection, _module

with suppress(ImportError):  # a task that needs it says what to install
    import requests  # noqa: F401

__all__ = ["_client", "_collection", "_module"]
