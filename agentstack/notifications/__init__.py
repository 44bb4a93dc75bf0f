# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notifications as both products send them: endpoints, matchers, delivery (facts §15)."""
