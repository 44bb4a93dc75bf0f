# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentstack._shared import corosync_change as change
from agentstack._shared.corosync_conf import (
    CorosyncConf,
    CorosyncConfError,
    Node,
    QDevice,
    Tree,
    format_tree,
    parse,
    parse_tree,
    read_config_version,
)

CREATED = """\
logging {
  debug: off
  to_syslog: yes
}

nodelist {
  node {
    name: pve1
    nodeid: 1
    quorum_votes: 1
    ring0_addr: 10.0.0.11
    ring1_addr: 10.1.0.11
  }
}

quorum {
  provider: corosync_votequorum
}

totem {
  cluster_name: ha-lab
  config_version: 1
  interface {
    knet_link_priority: 10
    linknumber: 0
  }
  interface {
    linknumber: 1
  }
  ip_version: ipv4-6
  link_mode: passive
  secauth: on
  token_coefficient: 125
  version: 2
}

"""

FOREIGN = """\
# kept by hand
totem {
    version: 2
    cluster_name: old
    config_version: 17
    transport: knet
    interface {
        ringnumber: 0
        mcastport: 5405
    }
}
nodelist {
  node { 
    ring0_addr: hostb
    nodeid: 7
    custom: yes
  }
}
quorum {
  provider: corosync_votequorum
  device {
    model: net
    votes: 1
    net { 
      host: 10.9.9.9
      algorithm: ffsplit
      tls: on
      keep_active_partition_tie_breaker: yes
    }
    heuristics {
      mode: on
    }
  }
}
logging {
  logger_subsys {
    subsys: QUORUM
  }
  logger_subsys {
    subsys: KNET
  }
}
"""  # noqa: W291


def created() -> CorosyncConf:
    node = Node("pve1", 1, {0: "10.0.0.11", 1: "10.1.0.11"})
    return change.new_cluster("ha-lab", node, priorities={0: 10})


def three() -> CorosyncConf:
    conf = created()
    for number in (2, 3):
        conf = change.add_node(conf, f"pve{number}", {0: f"10.0.0.1{number}", 1: f"10.1.0.1{number}"})
    return conf


class TestFile:
    def test_created_file(self) -> None:
        assert created().format() == CREATED
        assert parse(CREATED) == created()

    def test_recorded_file_comes_back_exactly(self, observed_files: dict[str, str]) -> None:
        text = observed_files["/etc/pve/corosync.conf"]
        conf = parse(text)
        assert conf.format() == text
        assert [node.name for node in conf.nodes] == ["pve1", "pve2", "pve3"]
        assert conf.totem.as_api() == {
            "cluster_name": "hatest",
            "config_version": "5",
            "interface": {"0": {"linknumber": "0"}},
            "ip_version": "ipv4-6",
            "link_mode": "passive",
            "secauth": "on",
            "token_coefficient": "125",
            "version": "2",
        }
        assert conf.nodes[0].as_api() == {
            "name": "pve1",
            "nodeid": "1",
            "quorum_votes": "1",
            "ring0_addr": "10.77.0.11",
        }

    def test_what_has_no_name_in_the_model_is_kept(self) -> None:
        conf = parse(FOREIGN)
        assert conf.nodes[0].name == "hostb"
        assert conf.device == QDevice(
            "10.9.9.9",
            net_other={"keep_active_partition_tie_breaker": "yes"},
            other={"heuristics": [{"mode": "on"}]},
        )
        text = conf.format()
        for line in ("transport: knet", "mcastport: 5405", "custom: yes", "mode: on", "subsys: KNET"):
            assert f"{line}\n" in text
        assert parse(text).format() == text

    def test_nodes_are_written_by_name(self) -> None:
        conf = replace(three(), nodes=tuple(reversed(three().nodes)))
        assert conf.format() == three().format()

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("}\n", "line 1: closing brace without a section"),
            ("totem {\n", "unexpected end of file: a section is not closed"),
            ("totem {\n  version: 2\n  version: 3\n}\n", "line 3: 'version' is set twice"),
            ("version: 2\n", "line 1: neither section nor key: 'version: 2'"),
            ("totem {\n  nonsense\n}\n", "line 2: neither section nor key: 'nonsense'"),
            ("totem {\n  a: 1\n  a {\n  }\n}\n", "line 3: 'a' is a key already"),
            ("totem {\n}\n", "section 'nodelist' is missing"),
            (CREATED.replace("nodeid: 1", "nodeid: one"), "node 'pve1': 'nodeid' is no number: 'one'"),
            (CREATED.replace("config_version: 1", "config_version: x"), "totem: 'config_version' is no number: 'x'"),
            (CREATED.replace("linknumber: 1", "linknumber: 0"), "totem: interface 0 is there twice"),
            (CREATED + "totem {\n}\n", "section 'totem' is there twice"),
        ],
    )
    def test_unreadable(self, text: str, message: str) -> None:
        with pytest.raises(CorosyncConfError) as caught:
            parse(text)
        assert str(caught.value) == message

    def test_config_version_alone(self) -> None:
        assert read_config_version(FOREIGN) == 17
        for text in ("", "totem {\n config_version: x\n}", "config_version: 0"):
            with pytest.raises(CorosyncConfError, match="unable to parse cluster config_version"):
                read_config_version(text)


class TestNodes:
    def test_add_takes_the_lowest_free_id(self) -> None:
        conf = three()
        assert [(node.name, node.nodeid) for node in conf.nodes] == [("pve1", 1), ("pve2", 2), ("pve3", 3)]
        assert conf.totem.config_version == 3
        conf = change.remove_node(conf, "pve2")
        assert conf.totem.config_version == 4
        again = change.add_node(conf, "pve9", {0: "10.0.0.19", 1: "10.1.0.19"}, votes=2)
        assert again.node("pve9").nodeid == 2
        assert (again.expected_votes, again.quorum) == (4, 3)

    def test_fallback_address_on_a_single_link(self) -> None:
        conf = change.remove_link(created(), 0)
        assert change.add_node(conf, "pve2", {}, fallback_address="10.1.0.12").node("pve2").addresses == {
            1: "10.1.0.12"
        }

    def test_force_lets_the_same_node_come_again(self) -> None:
        conf = change.add_node(three(), "pve2", {0: "10.0.0.22", 1: "10.1.0.22"}, force=True)
        assert len(conf.nodes) == 3
        assert conf.node("pve2") == Node("pve2", 2, {0: "10.0.0.22", 1: "10.1.0.22"})
        for nodeid, votes in ((5, 1), (2, 2)):
            with pytest.raises(CorosyncConfError, match="can't add existing node 'pve2'"):
                change.add_node(three(), "pve2", two_links, force=True, nodeid=nodeid, votes=votes)

    @pytest.mark.parametrize("name", ["pve3", "10.0.0.13", "10.1.0.13"])
    def test_remove_by_name_or_address(self, name: str) -> None:
        assert [node.name for node in change.remove_node(three(), name).nodes] == ["pve1", "pve2"]


class TestLinks:
    def test_add_and_remove(self) -> None:
        addresses = {f"pve{number}": f"10.2.0.1{number}" for number in (1, 2, 3)}
        conf = change.add_link(three(), 2, addresses, priority=5)
        assert conf.links == (0, 1, 2)
        assert conf.node("pve3").addresses[2] == "10.2.0.13"
        assert conf.totem.interfaces[2].priority == 5
        assert conf.totem.config_version == 4
        assert change.problems(conf) == change.Problems()
        back = change.remove_link(conf, 2)
        assert replace(back, totem=three().totem) == three()

    def test_a_first_priority_gives_every_link_its_interface(self) -> None:
        plain = replace(three(), totem=replace(three().totem, interfaces={}))
        addresses = {f"pve{number}": f"10.2.0.1{number}" for number in (1, 2, 3)}
        assert set(change.add_link(plain, 2, addresses).totem.interfaces) == set()
        assert set(change.add_link(plain, 2, addresses, priority=1).totem.interfaces) == {0, 1, 2}
        assert set(change.set_link_priority(plain, 1, 9).totem.interfaces) == {0, 1}

    def test_priority(self) -> None:
        conf = change.set_link_priority(three(), 1, 20)
        assert (conf.totem.interfaces[0].priority, conf.totem.interfaces[1].priority) == (10, 20)
        assert change.set_link_priority(conf, 1, None).totem.interfaces[1].priority is None

    def test_change_address(self) -> None:
        assert change.change_address(three(), "pve2", 1, "10.1.0.99").node("pve2").addresses == {
            0: "10.0.0.12",
            1: "10.1.0.99",
        }


class TestQDevice:
    def test_even_count(self) -> None:
        conf = change.add_qdevice(change.remove_node(three(), "pve3"), "10.9.9.9")
        assert (conf.expected_votes, conf.quorum) == (3, 2)
        block = (
            "quorum {\n  device {\n    model: net\n    net {\n      algorithm: ffsplit\n      host: 10.9.9.9\n"
            "      tls: on\n    }\n    votes: 1\n  }\n  provider: corosync_votequorum\n}\n"
        )
        assert block in conf.format()
        assert parse(conf.format()) == conf
        assert change.remove_qdevice(conf).device is None

    def test_odd_count(self) -> None:
        conf = change.add_qdevice(three(), "10.9.9.9", force=True)
        assert conf.device == QDevice("10.9.9.9", algorithm="lms", votes=None)
        assert (conf.expected_votes, conf.quorum) == (5, 3)
        assert parse(conf.format()) == conf


two_links = {0: "10.0.0.14", 1: "10.1.0.14"}


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda conf: change.add_node(conf, "pve4", {0: "10.0.0.14"}),
         "corosync: link 1 exists in cluster config but wasn't specified for new node"),
        (lambda conf: change.add_node(conf, "pve4", {**two_links, 2: "10.2.0.14"}),
         "corosync: link 2 specified for new node doesn't exist in cluster config"),
        (lambda conf: change.add_node(conf, "pve4", {0: "10.0.0.14", 1: "10.1.0.12"}),
         "corosync: address '10.1.0.12' already used on link ring1_addr by node 'pve2'"),
        (lambda conf: change.add_node(conf, "pve2", two_links), "can't add existing node 'pve2'"),
        (lambda conf: change.add_node(conf, "pve4", two_links, nodeid=3), "node id 3 is already used by node 'pve3'"),
        (lambda conf: change.add_node(conf, "pve_4", two_links), "'pve_4' is not a valid node name"),
        (lambda conf: change.add_node(conf, "pve4", {}, fallback_address="10.0.0.14"),
         "no links given but multiple links found on other nodes, fallback only supported on single-link clusters"),
        (lambda conf: change.remove_node(conf, "pve7"), "Node/IP: pve7 is not a known host of the cluster."),
        (lambda _: change.remove_node(created(), "pve1"), "Cannot delete myself from cluster!"),
        (lambda conf: conf.node("pve7"), "Node/IP: pve7 is not a known host of the cluster."),
        (lambda conf: change.add_link(conf, 1, {}), "link 1 exists already"),
        (lambda conf: change.add_link(conf, 8, {}), "link number 8 is not in 0…7"),
        (lambda conf: change.add_link(conf, 2, {"pve1": "a"}), "link 2 has no address for pve2, pve3"),
        (lambda conf: change.add_link(conf, 2, {"pve1": "a", "pve2": "b", "pve3": "c", "x": "d"}),
         "link 2 has an address for x, not in the cluster"),
        (lambda conf: change.add_link(conf, 2, {"pve1": "a", "pve2": "a", "pve3": "c"}),
         "link 2 has the address a for more than one node"),
        (lambda conf: change.remove_link(conf, 5), "there is no link 5"),
        (lambda conf: change.remove_link(change.remove_link(conf, 1), 0), "link 0 is the only one"),
        (lambda conf: change.set_link_priority(conf, 1, 256), "link 1: priority 256 is not in 0…255"),
        (lambda conf: change.set_link_priority(conf, 4, 1), "there is no link 4"),
        (lambda conf: change.change_address(conf, "pve1", 4, "a"), "node 'pve1' has no link 4"),
        (lambda conf: change.add_qdevice(conf, "q"), "Clusters with an odd node count are not officially supported!"),
        (lambda conf: change.add_qdevice(change.add_qdevice(conf, "q", force=True), "q"),
         "QDevice already configured!"),
        (change.remove_qdevice, "No QDevice configured!"),
        (lambda _: change.new_cluster("a" * 16, Node("a", 1, {0: "b"})), f"invalid cluster name '{'a' * 16}'"),
        (lambda _: change.new_cluster("a_b", Node("a", 1, {0: "b"})), "invalid cluster name 'a_b'"),
        (lambda _: change.new_cluster("a", Node("a", 1, {})), "a cluster needs at least one link"),
    ],
)  # fmt: skip
def test_refused(attempt: Callable[[CorosyncConf], object], message: str) -> None:
    conf = three()
    with pytest.raises(CorosyncConfError) as caught:
        attempt(conf)
    assert str(caught.value) == message
    assert conf == three()


def test_problems() -> None:
    assert change.problems(three()) == change.Problems()
    conf = three()
    odd = Node("pve3", 2, {0: "10.0.0.12", 2: "pve3.example"})
    found = change.problems(replace(conf, nodes=(*conf.nodes[:2], odd)))
    assert found.errors == [
        "node id '2' is used twice",
        "address '10.0.0.12' is used twice",
        "node 'pve1': no ring2_addr, but other nodes have link 2",
        "node 'pve2': no ring2_addr, but other nodes have link 2",
        "node 'pve3': no ring1_addr, but other nodes have link 1",
        "link 2: no interface section",
    ]
    assert found.warnings == ["node 'pve3': ring2_addr 'pve3.example' is a name, not an address"]
    assert found.as_api()["error0"] == "node id '2' is used twice"
    assert found.as_api()["warning0"] == found.warnings[0]
    assert change.problems(replace(conf, nodes=())).errors == [
        "no nodes found",
        "link 0: an interface section but no address",
        "link 1: an interface section but no address",
    ]


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
TEXTS = st.from_regex(r"[!-~]([ -~]{0,8}[!-~])?", fullmatch=True)
TREES: st.SearchStrategy[Tree] = st.recursive(
    st.dictionaries(NAMES, TEXTS, max_size=4),
    lambda inner: st.dictionaries(NAMES, TEXTS | st.lists(inner, min_size=1, max_size=3), max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(NAMES, st.lists(TREES, min_size=1, max_size=2), max_size=3))
def test_any_tree_comes_back(tree: dict[str, str | list[Tree]]) -> None:
    text = format_tree(tree)
    assert parse_tree(text) == tree
    assert format_tree(parse_tree(text)) == text
