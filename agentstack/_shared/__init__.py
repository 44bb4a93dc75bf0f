# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts that the collection and the agents share: file formats, calendar events, retention, lists and units.

The modules are relative links into the collection's ``plugins/module_utils/_pure``; a built distribution holds copies.
"""
