# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which links are changed: one at a time, never without one that stays as it is."""

from __future__ import annotations

import pytest
from ansible_collections.quorate.pve.plugins.module_utils._errors import QuorateError
from ansible_collections.quorate.pve.plugins.module_utils._link_steps import (
    Desired,
    Link,
    links_from_api,
    parse_link_status,
    plan_steps,
)
from ansible_collections.quorate.pve.plugins.module_utils._pure.corosync_change import problems
from ansible_collections.quorate.pve.plugins.module_utils._pure.corosync_conf import (
    CorosyncConf,
    Interface,
    Node,
    Totem,
    parse,
)
from hypothesis import given
from hypothesis import strategies as st

NODES = ("pve1", "pve2", "pve3")


def link(network: int, priority: int | None = None) -> Link:
    """A link in the network 10.<network>.0.0/24."""
    return Link({name: f"10.{network}.0.1{index}" for index, name in enumerate(NODES, 1)}, priority)


def conf_of(links: dict[int, Link]) -> CorosyncConf:
    nodes = tuple(
        Node(name, index, {number: each.addresses[name] for number, each in links.items()})
        for index, name in enumerate(NODES, 1)
    )
    return CorosyncConf(nodes, Totem("c", 7, {number: Interface(number, links[number].priority) for number in links}))


def of(conf: CorosyncConf) -> dict[int, Link]:
    return links_from_api([{**node.as_api(), "node": node.name} for node in conf.nodes], conf.totem.as_api())


def links(least: int) -> st.SearchStrategy[dict[int, Link]]:
    """Links with networks of their own; there is always a link 0."""

    def make(numbers: list[int], networks: list[int], priorities: list[int]) -> dict[int, Link]:
        chosen = list(dict.fromkeys([0, *numbers]))
        return {n: link(net, priority) for n, net, priority in zip(chosen, networks, priorities, strict=False)}

    numbers = st.lists(st.integers(1, 7), min_size=least, max_size=4, unique=True)
    networks = st.lists(st.integers(1, 9), min_size=5, max_size=5, unique=True)
    return st.builds(make, numbers, networks, st.lists(st.integers(0, 255), min_size=5, max_size=5))


@given(links(0), links(0))
def test_every_step_keeps_a_link_and_the_last_brings_what_is_wanted(
    current: dict[int, Link], wanted: dict[int, Link]
) -> None:
    impossible = None
    try:
        steps = plan_steps(current, Desired(wanted, purge=True))
    except QuorateError as error:
        impossible = str(error)
    if impossible is not None:
        # addresses that change places, or the only link with others
        assert any(word in impossible for word in ("while another link has it", "is the only one"))
        return
    conf = conf_of(current)
    for step in steps:
        after = step.apply(conf)
        assert after.totem.config_version == conf.totem.config_version + 1
        assert problems(after).errors == []
        assert parse(after.format()) == after
        before, now = of(conf), of(after)
        assert {n for n in {*before, *now} if before.get(n) != now.get(n)} == {step.number}
        untouched = [n for n in before if n in now and before[n].addresses == now[n].addresses]
        assert untouched
        conf = after
    assert of(conf) == wanted
    assert plan_steps(of(conf), Desired(wanted, purge=True)) == []


def refusal(current: dict[int, Link], wanted: Desired) -> str:
    with pytest.raises(QuorateError) as caught:
        plan_steps(current, wanted)
    return str(caught.value)


def test_refused() -> None:
    two = {0: link(0), 1: link(1)}
    assert "the cluster has link 1, which is not listed" in refusal(two, Desired({0: link(0)}))
    assert "link 0 cannot be removed" in refusal(two, Desired({1: link(1)}, absent={0}))
    assert "link 0 is the only one" in refusal({0: link(0)}, Desired({0: link(1)}))
    short = Link({"pve1": "10.1.0.11", "pve2": "10.1.0.12", "pve9": "10.1.0.19"})
    text = refusal({0: link(0)}, Desired({0: link(0), 1: short}))
    assert "link 1 has no address for pve3" in text
    assert "pve9 is no member of the cluster" in text
    assert "10.0.0.11 is that of pve1 on link 0" in refusal({0: link(0)}, Desired({0: link(0), 1: link(0)}))
    assert "while another link has it" in refusal(two, Desired({0: link(1), 1: link(0)}))


def test_the_only_link_may_change_if_that_is_allowed() -> None:
    (step,) = plan_steps({0: link(0)}, Desired({0: link(1)}, allow_interruption=True))
    assert (step.action, step.number) == ("update", 0)


def test_a_priority_that_is_not_given_stays() -> None:
    there = {0: link(0, 5), 1: link(1, 7)}
    assert plan_steps(there, Desired({0: link(0), 1: link(1)})) == []
    (step,) = plan_steps(there, Desired({0: link(0), 1: link(1, 9)}))
    assert step.describe().describe()["fields"] == {"priority": {"before": 7, "after": 9}}
    assert step.apply(conf_of(there)).totem.interfaces[1].priority == 9


def test_link_status() -> None:
    # observed: commands
    text = (
        "Local node ID 1, transport knet\nLINK ID 0 udp\n\taddr\t= 10.77.0.11\n\tstatus:\n"
        "\t\tnodeid:          1:\tlocalhost\n\t\tnodeid:          2:\tconnected\n"
        "\t\tnodeid:          3:\tdisconnected\n"
    )
    status = parse_link_status(text)
    assert status[0].address == "10.77.0.11"
    assert status[0].unconnected({2: "pve2", 3: "pve3", 4: "pve4"}) == ["pve3", "pve4"]
