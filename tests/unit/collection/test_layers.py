# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables that are given for all, for a group and for a host."""

from __future__ import annotations

import pytest
from ansible_collections.quorate.pve.plugins.module_utils._errors import InputError
from ansible_collections.quorate.pve.plugins.module_utils._layers import layers_of, merge


def test_the_layers_in_their_order() -> None:
    names = [
        "pve_storages__host",
        "pve_storages",
        "pve_storages_x",
        "pve_storages__dc1",
        "pve_storages__a",
        "pve_guests",
    ]
    assert layers_of("pve_storages", names) == [
        "pve_storages",
        "pve_storages__a",
        "pve_storages__dc1",
        "pve_storages__host",
    ]
    assert layers_of("pve_options", ["pve_options__dc1"]) == ["pve_options__dc1"]


def test_elements_are_merged_by_what_they_are_known_by() -> None:
    layers = {
        "pve_replication_jobs": [{"guest": 1, "target": "a", "rate": 5}, {"guest": 1, "target": "b"}],
        "pve_replication_jobs__dc1": [{"guest": "1", "target": "b", "state": "absent"}, {"guest": 2, "target": "a"}],
        "pve_replication_jobs__host": [{"guest": 2, "target": "a", "state": "ignore"}],
    }
    merged = merge("pve_replication_jobs", layers)
    assert merged == [
        {"guest": 1, "target": "a", "rate": 5},
        {"guest": "1", "target": "b", "state": "absent"},
        {"guest": 2, "target": "a", "state": "ignore"},
    ]
    # a run that goes through everything twice merges twice
    assert merge("pve_replication_jobs", {**layers, "pve_replication_jobs": merged}) == merged


def test_an_alias_is_the_same_name() -> None:
    layers = {"pve_storages": [{"name": "a", "type": "dir"}], "pve_storages__host": [{"storage": "a", "path": "/a"}]}
    assert merge("pve_storages", layers) == [{"storage": "a", "type": "dir", "path": "/a"}]


def test_mappings_and_plain_lists() -> None:
    options = {"a": {"ha": {"x": 1}, "y": 1}, "b": None, "c": {"ha": {"z": 2}, "y": 3}}
    assert merge("pve_options", options) == {"ha": {"x": 1, "z": 2}, "y": 3}
    assert merge("pve_ceph_monitors", {"a": ["pve1"], "b": ["pve1", "pve2"]}) == ["pve1", "pve2"]
    assert merge("pve_options", {"a": None}) is None


def test_what_cannot_be_merged() -> None:
    with pytest.raises(InputError, match="b: the layers of a variable are all lists, or all mappings"):
        merge("pve_storages", {"a": [], "b": {}})
    osds = [{"node": "*", "devices": {"type": "nvme"}}, {"node": "*", "devices": {"type": "ssd"}}]
    with pytest.raises(InputError, match="which of the 2 elements"):
        merge("pve_ceph_osds", {"a": osds, "b": [{"node": "*", "encrypted": True}]})
