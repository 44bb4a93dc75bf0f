# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentstack._shared.section_config import (
    Section,
    SectionConfigError,
    config_digest,
    decode_text,
    encode_text,
    format_section_config,
    parse_section_config,
)

STORAGE = """\
dir: local
	path /var/lib/vz
	content backup,iso
	prune-backups keep-all=1

pbs: far
	disable
	datastore store1
	server 10.0.0.9
	content backup
	username u@pbs!t

"""


def test_round_trip_of_a_storage_file() -> None:
    sections = parse_section_config(STORAGE)
    assert list(sections) == ["local", "far"]
    assert sections["far"].type == "pbs"
    assert sections["far"].properties["disable"] == ""
    assert format_section_config(sections) == STORAGE


@pytest.mark.parametrize("name", ["storage.cfg", "jobs.cfg", "ha/resources.cfg", "ha/rules.cfg", "status.cfg"])
def test_recorded_files_come_back_exactly(observed_files: dict[str, str], name: str) -> None:
    text = observed_files[f"/etc/pve/{name}"]
    sections = parse_section_config(text)
    assert sections
    # the keys are shuffled, the order is the writer's
    for section in sections.values():
        section.properties = dict(sorted(section.properties.items(), reverse=True))
    assert format_section_config(sections) == text


def test_order_is_a_parameter() -> None:
    sections = {"x": Section("plug", {"b": "2", "comment": "hi", "a": "1", "z": "3"})}
    assert format_section_config(sections, {"plug": ("z",)}) == "plug: x\n\tcomment hi\n\tz 3\n\ta 1\n\tb 2\n\n"


def test_comments_and_missing_empty_lines_are_tolerated() -> None:
    text = (
        "# head\nresource-affinity: a\n\tresources vm:1,vm:2\n\t# inner\n\taffinity positive\n"
        "node-affinity: b\n  strict 1\n"
    )
    assert parse_section_config(text) == {
        "a": Section("resource-affinity", {"resources": "vm:1,vm:2", "affinity": "positive"}),
        "b": Section("node-affinity", {"strict": "1"}),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dir: a\n\tpath x\n\ndir: a\n\tpath y\n", "line 4: section 'a' is already defined"),
        ("dir: a\n\tpath x\n\tpath y\n", "line 3: property 'path' is already defined"),
        ("\tpath x\n", "line 1: neither a section nor a property of one: 'path x'"),
        ("dir: a\nnonsense\n", "line 2: neither a section nor a property of one: 'nonsense'"),
    ],
)
def test_unreadable(text: str, message: str) -> None:
    with pytest.raises(SectionConfigError) as caught:
        parse_section_config(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("identifier", "key", "value"),
    [("a b", "k", "v"), ("", "k", "v"), ("a", "k", "v\nw"), ("a", "k", " v"), ("a", "k k", "v")],
)
def test_unwritable(identifier: str, key: str, value: str) -> None:
    with pytest.raises(SectionConfigError):
        format_section_config({identifier: Section("dir", {key: value})})


def test_digest_is_sha1_of_the_file() -> None:
    assert config_digest(STORAGE) == hashlib.sha1(STORAGE.encode()).hexdigest() == config_digest(STORAGE.encode())
    assert config_digest("") == "da39a3ee5e6b4b0d3255bfef95601890afd80709"


NAME = st.from_regex(r"[a-z][a-z0-9_-]{0,6}", fullmatch=True)
VALUE = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=10)
SECTIONS = st.dictionaries(NAME, st.builds(Section, NAME, st.dictionaries(NAME, VALUE, max_size=5)), max_size=5)


@given(SECTIONS)
def test_round_trip(sections: dict[str, Section]) -> None:
    text = format_section_config(sections)
    again = parse_section_config(text)
    assert again == sections
    assert list(again) == list(sections)
    assert format_section_config(again) == text


def test_encoded_comment() -> None:
    assert encode_text("Büro: 100 %") == "B%C3%BCro%3A 100 %25"


@given(st.text())
def test_encoding_round_trip(text: str) -> None:
    encoded = encode_text(text)
    assert encoded.isascii()
    assert ":" not in encoded
    assert "\n" not in encoded
    assert decode_text(encoded) == text
