# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate authority that speaks ACME (RFC 8555), for the hosts of a stack and for any other client.

`process` runs it, `service` answers, `register` remembers, `validation` looks at proofs, `ca` issues certificates.
"""
