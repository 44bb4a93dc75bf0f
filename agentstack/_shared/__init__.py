# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts that the collection and the agents share: formats, calendar events, retention, HA arithmetic, lists, units.

The modules are relative links into the collection's ``plugins/module_utils/_pure``; a built distribution holds copies.
"""
