# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The witness: corosync-qnetd on a host that is no node, and corosync-qdevice on the nodes (facts §6.6).

Every node's qdevice has a TLS connection to qnetd and tells it which nodes it hears. qnetd gives its vote to one part
of the cluster. The protocol is not corosync's own: only agents speak to each other here.
"""
