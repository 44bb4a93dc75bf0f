# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Named formats (facts §2)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentstack.api import formats

GOOD = {
    "pve-configid": ["ab", "a-1_b"],
    "pve-node": ["pve1", "a", "a-b"],
    "pve-vmid": ["100", "999999999"],
    "pve-storage-id": ["local", "a1", "a.b-c_d9"],
    "pve-iface": ["vmbr0", "eth0.100", "bond0:1"],
    "pve-userid": ["root@pam", "a b".replace(" ", "-") + "@pve", "ä@x-y"],
    "pve-tokenid": ["root@pam!ab"],
    "pve-poolid": ["a", "a/b/c"],
    "pve-ha-node-list": ["pve1", "pve1:2,pve2", ""],
    "pve-ha-resource-id-list": ["vm:100,ct:101"],
    "CIDR": ["10.0.0.1/8", "fe80::/64", "10.0.0.0/32"],
    "CIDRv4": ["10.0.0.1/24"],
    "ip": ["10.0.0.1", "::1"],
    "address": ["10.0.0.1", "host.example"],
    "ipv4mask": ["255.255.255.0"],
    "mac-addr": ["BC:24:11:00:00:01"],
    "email-opt": ["", "a@b.c", "root@localhost"],
    "pve-storage-content-list": ["images,rootdir", "import"],
    "pve-storage-path": ["/mnt/x"],
    "prune-backups": ["keep-last=3,keep-daily=7", "keep-all=1"],
    "storage-pair-list": ["local:other", "1", "local"],
    "disk-size": ["32G", "10", "1.5T"],
    "pve-vlan-id-or-range-list": ["2-4094", "10 20"],
    "pve-startup-order": ["order=1,up=30", "3"],
    "pve-calendar-event": ["*/15", "mon..fri 22:30"],
    "unheard-of": ["anything"],
}
BAD = {
    "pve-configid": ["z", "1a", "a b", "a.b"],
    "pve-node": ["-a", "a-", "a_b", ""],
    "pve-vmid": ["99", "0100", "1000000000"],
    "pve-storage-id": ["a", "1a", "a-", "x y"],
    "pve-iface": ["e", "0eth", "averyveryverylonginterface"],
    "pve-userid": ["root", "a:b@pve", "a/b@pve", "a@p", "x" * 62 + "@pve"],
    "pve-tokenid": ["root@pam", "root@pam!1"],
    "pve-poolid": ["a/b/c/d", "/a", ""],
    "pve-ha-node-list": ["pve1:x", "-a"],
    "CIDR": ["10.0.0.1", "10.0.0.1/7", "10.0.0.0/33", "x/24", "10.0.0.1/"],
    "CIDRv4": ["fe80::/64"],
    "ip": ["10.0.0.256", "host"],
    "address": ["a b", "-x"],
    "ipv4mask": ["255.0.255.0"],
    "mac-addr": ["01:00:5E:00:00:01", "x"],
    "email-opt": ["a"],
    "pve-storage-content-list": ["images,bogus"],
    "pve-storage-path": ["mnt", "/a;b", "/a(b)"],
    "prune-backups": ["keep-last=-1", "keep=3", "3"],
    "disk-size": ["G", "1X"],
    "pve-vlan-id-or-range-list": ["1", "10-5", "4095"],
    "pve-startup-order": ["soon"],
    "pve-calendar-event": ["sometimes"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in GOOD.items() for text in texts])
def test_fits(name: str, text: str) -> None:
    formats.check(name, text)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BAD.items() for text in texts])
def test_does_not_fit(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        formats.check(name, text)


@given(st.sampled_from(sorted({*formats.PATTERNS, *formats.CHECKERS, *formats.PROPERTY_STRINGS})), st.text())
def test_every_format_copes_with_any_text(name: str, text: str) -> None:
    for form in (name, f"{name}-list", f"{name}-opt"):
        with contextlib.suppress(ValueError):
            formats.check(form, text)
