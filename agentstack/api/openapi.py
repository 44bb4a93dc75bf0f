# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API of a host as an OpenAPI 3 document, generated from the tables: what is declared *and* behaves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from agentstack.api.dispatch import Dispatcher
from agentstack.api.tables import Method, Param

Json = dict[str, Any]

_PLACEHOLDER = re.compile(r"\{([^}]+)\}")
KEPT = ("minimum", "maximum", "minLength", "maxLength", "pattern", "enum", "default")
IN_BODY = ("POST", "PUT")
FORM = "application/x-www-form-urlencoded"

ERRORS = {
    "400": "A parameter is missing, unknown or wrong; `errors` says which and why.",
    "401": "No ticket or token, or one that is not valid.",
    "403": "The caller lacks a privilege.",
    "500": "The call failed; the reason phrase says why.",
    "501": "There is no such method.",
    "595": "The node that had to execute the call could not be reached.",
}


def document(dispatcher: Dispatcher) -> Json:
    """The document for what a host answers."""
    dialect, host = dispatcher.dialect, dispatcher.host
    paths: dict[str, Json] = {}
    for template, verbs in dispatcher.table.items():
        for verb, method in verbs.items():
            if method.index is not None or (verb, template) in dialect.registry.handlers:
                paths.setdefault(template, {})[verb.lower()] = _operation(method)
    token = {"type": "apiKey", "in": "header", "name": "Authorization", "description": f"{dialect.token_scheme}=…"}
    ticket = {"type": "apiKey", "in": "cookie", "name": dialect.cookies[-1]}
    csrf = {"type": "apiKey", "in": "header", "name": "CSRFPreventionToken"}
    return {
        "openapi": "3.0.3",
        "info": {"title": f"{host.name} ({host.kind})", "version": host.version},
        "servers": [{"url": f"https://{host.address}:{dialect.port}/api2/json"}],
        "paths": paths,
        "security": [{"token": []}, {"ticket": [], "csrf": []}],
        "components": {"securitySchemes": {"token": token, "ticket": ticket, "csrf": csrf}},
    }


def _operation(method: Method) -> Json:
    in_path = set(_PLACEHOLDER.findall(method.path))
    named = {name: param for name, param in method.params.items() if name not in in_path}
    # a numbered parameter stands for many; the first is as good as any
    named |= {f"{stem}0": {**param, "optional": 1} for stem, param in method.indexed.items()}
    operation: Json = {
        "operationId": f"{method.verb} {method.path}",
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": schema(method.params.get(name, {}))}
            for name in _PLACEHOLDER.findall(method.path)
        ],
        "responses": {
            "200": {
                "description": "The result.",
                "content": {"application/json": {"schema": _envelope(method)}},
            },
            **{status: {"description": text} for status, text in ERRORS.items()},
        },
    }
    if method.user == "world":
        operation["security"] = []
    if method.verb in IN_BODY:
        if named:
            body = _body(named)
            operation["requestBody"] = {"content": {FORM: {"schema": body}, "application/json": {"schema": body}}}
    else:
        operation["parameters"] += [
            {"name": name, "in": "query", "required": not param.get("optional"), "schema": schema(param)}
            for name, param in named.items()
        ]
    return operation


def _body(named: Mapping[str, Param]) -> Json:
    body: Json = {
        "type": "object",
        "properties": {name: schema(param) for name, param in named.items()},
        "additionalProperties": False,
    }
    required = [name for name, param in named.items() if not param.get("optional") and "instance-types" not in param]
    return {**body, "required": required} if required else body


def _envelope(method: Method) -> Json:
    kinds: dict[str, Json] = {
        "array": {"type": "array", "items": {}},
        "object": {"type": "object"},
        "string": {"type": "string"},
    }
    # some calls answer null where there is nothing to tell
    data = {**kinds.get(method.returns or "", {}), "nullable": True} if method.returns in kinds else {}
    return {"type": "object", "properties": {"data": data}, "required": ["data"]}


def schema(param: Param) -> Json:
    """One parameter. A named format becomes a plain one: OpenAPI has no words for what it asks."""
    variants = param.get("oneOf")
    if variants:
        return {"anyOf": [schema(variant) for variant in variants]}
    kind = param.get("type", "string")
    if kind == "array":
        return {"type": "array", "items": schema(param.get("items", {}))}
    found: Json = {name: param[name] for name in KEPT if name in param}
    if kind == "boolean":
        # 0 and 1 outside, whatever the declaration's own words
        return {"type": "integer", "enum": [0, 1]}
    if "pattern" in found:
        found["pattern"] = f"^(?:{found['pattern']})$"
    if kind not in ("integer", "number", "string"):
        kind = "string"
    if "default" in found and kind != "string" and not isinstance(found["default"], (int, float)):
        del found["default"]
    return {"type": kind, **found}
