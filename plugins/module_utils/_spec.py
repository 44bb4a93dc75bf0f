# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kind of object is: its fields and its place in the API. Private to this collection.

From one :class:`Spec` come the module's options, the comparison, what is sent, and the diff.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ._errors import InputError
from ._values import TEXT, Form

Item = dict[str, Any]
Key = tuple[Any, ...]

PRESENT, ABSENT, IGNORE = "present", "absent", "ignore"


@dataclass(frozen=True)
class Field:
    """One setting of an object.

    ``default`` is the server's: it does not say values that are not set (facts §22.10). ``fixed`` settings can only be
    given on creation, ``needed`` ones must be. What is not ``listed`` the server does not show in its list, what is not
    ``sent`` is no parameter of its calls. ``refers`` names what the values must be: ``node`` or ``guest``. A ``secret``
    is compared only if it is one that the server tells (``told``).
    """

    name: str
    form: Form = TEXT
    api: str = ""
    default: Any = None
    required: bool = False
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    initial: Any = None
    fixed: bool | Callable[[Mapping[str, Any]], bool] = False
    secret: bool = False
    told: bool = False
    needed: bool | Callable[[Mapping[str, Any]], bool] = False
    listed: bool = True
    sent: bool = True
    refers: str = ""

    @property
    def api_name(self) -> str:
        """The name that the API has for it."""
        return self.api or self.name

    def is_fixed(self, item: Mapping[str, Any]) -> bool:
        """Whether it can no longer be changed on this object."""
        return self.fixed(item) if callable(self.fixed) else self.fixed

    def is_needed(self, item: Mapping[str, Any]) -> bool:
        """Whether this object cannot be created without it."""
        return self.needed(item) if callable(self.needed) else self.needed

    def normalise(self, value: Any, where: str = "") -> Any:
        """Bring a value to the form in which it is compared. Raises :class:`InputError`."""
        if value is None:
            return None
        try:
            return self.form.normalise(value)
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(f"{self.name}: {error}", where=where) from error

    def option(self) -> dict[str, Any]:
        """This field as a suboption of the module."""
        option: dict[str, Any] = {"type": self.form.type, "no_log": self.secret}
        if self.form.elements:
            option["elements"] = self.form.elements
        if self.required:
            option["required"] = True
        if self.choices:
            option["choices"] = list(self.choices)
        if self.aliases:
            option["aliases"] = list(self.aliases)
        if self.initial is not None:
            option["default"] = self.initial
        return option


@dataclass(frozen=True)
class Spec:
    """One kind of object.

    ``path`` lists and creates, ``item_path`` changes and removes; the latter is filled with the API's names of the
    fields. ``on_update`` names fields that the API wants with every change. ``kept`` are objects that a purge spares.
    With ``digest`` what is read names that of the file that they all stand in, and changes take it (facts §2); with
    ``item_digest`` the list does not, and an object is read once more before it is changed.
    """

    kind: str
    option: str
    keys: tuple[str, ...]
    fields: tuple[Field, ...]
    path: str
    item_path: str
    states: tuple[str, ...] = (PRESENT, ABSENT, IGNORE)
    label_format: str = ""
    on_update: tuple[str, ...] = ()
    kept: frozenset[Key] = frozenset()
    digest: bool = False
    item_digest: bool = False

    @cached_property
    def _by_name(self) -> dict[str, Field]:
        return {field.name: field for field in self.fields}

    def field(self, name: str) -> Field:
        """The field of that name."""
        return self._by_name[name]

    def key(self, item: Mapping[str, Any]) -> Key:
        """What an object is known by."""
        return tuple(item.get(name) for name in self.keys)

    def label(self, item: Mapping[str, Any]) -> str:
        """What an object is called in messages."""
        if self.label_format:
            return self.label_format.format_map({field.name: item.get(field.name) for field in self.fields})
        return "/".join(str(item.get(name)) for name in self.keys)

    def where(self, index: int, item: Mapping[str, Any]) -> str:
        """The path of an element in the module's parameters."""
        return f"{self.option}[{index}] ({self.label(item)})"

    def argument_spec(self) -> dict[str, Any]:
        """The module's option that takes the list of these objects."""
        options = {field.name: field.option() for field in self.fields}
        if self.states:
            options["state"] = {"type": "str", "choices": list(self.states), "default": PRESENT}
        # said in so many words: by their names some lists look like secrets (tokens), which are marked one by one
        return {
            self.option: {"type": "list", "elements": "dict", "required": True, "no_log": False, "options": options}
        }

    def given(self, element: Mapping[str, Any], where: str) -> Item:
        """The settings that an element gives, normalised. A setting of None in the result is to be unset."""
        return {
            field.name: field.normalise(element[field.name], where)
            for field in self.fields
            if element.get(field.name) is not None
        }

    def seen(self, answer: Mapping[str, Any]) -> Item:
        """The settings of an object as the server lists it, normalised."""
        return {
            field.name: field.normalise(answer[field.api_name])
            for field in self.fields
            if field.listed and (field.told or not field.secret) and answer.get(field.api_name) is not None
        }

    def payload(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Settings in the API's names and forms."""
        return {
            field.api_name: field.form.encode(item[field.name])
            for field in self.fields
            if field.sent and item.get(field.name) is not None
        }

    def fill(self, path: str, item: Mapping[str, Any]) -> str:
        """A path with this object's values in it."""
        return path.format(**{field.api_name.replace("-", "_"): item.get(field.name) for field in self.fields})
