# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""High availability on a host: the engine of `agentstack.ha` as CRM and LRM over replicated files and locks."""

from agentstack.manager.service import Manager

__all__ = ["Manager"]
