# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dances of the modules about access and about what is told to others, on one node."""

from __future__ import annotations

from .dances import GONE, MAKE_TANK, Dance, Parameters, guest, guests

HOSTS = 1

FILE = "{directory}/zabbix"
DIRECTORY: Parameters = {
    "realm": "example",
    "type": "ldap",
    "server1": "192.0.2.1",
    "server2": "192.0.2.2",
    "port": 636,
    "mode": "ldaps",
    "verify": True,
    "capath": "/etc/ssl/certs/example.pem",
    "cert": "/etc/pve/priv/ldap.pem",
    "certkey": "/etc/pve/priv/ldap.key",
    "sslversion": "tlsv1_3",
    "base_dn": "ou=people,dc=example,dc=com",
    "user_attr": "uid",
    "user_classes": ["person"],
    "filter": "(active=1)",
    "bind_dn": "cn=pve,dc=example,dc=com",
    "password": "not-yet-known",
    "group_dn": "ou=groups,dc=example,dc=com",
    "group_filter": "(gid=*)",
    "group_name_attr": "cn",
    "group_classes": ["group"],
    "sync_attributes": {"email": "mail", "firstname": "givenName"},
    "sync_defaults": {"scope": "both", "enable_new": True, "remove-vanished": "acl;entry"},
    "comment": "hello",
    "check_connection": False,
}
PROVIDER: Parameters = {
    "realm": "sso",
    "type": "openid",
    "issuer_url": "https://sso.example.com/",
    "client_id": "pve",
    "client_key": "not-yet-known",
    "username_claim": "email",
    "autocreate": True,
    "scopes": ["email"],
    "prompt": "login",
    "acr_values": "gold",
    "query_userinfo": False,
    "groups_claim": "groups",
    "groups_autocreate": True,
    "groups_overwrite": True,
}
WEBHOOK: Parameters = {
    "name": "tickets",
    "type": "webhook",
    "url": "http://192.0.2.1/new",
    "method": "post",
    "headers": {"Content-Type": "application/json", "X-Site": "one=two"},
    "body": "severity, and all the rest\n",
    "secrets": {"key": "not-yet-known"},
}
MAIL: Parameters = {
    "name": "mail",
    "type": "smtp",
    "server": "192.0.2.1",
    "port": 2525,
    "mode": "starttls",
    "username": "pve",
    "password": "not-yet-known",
    "from_address": "pve@example.com",
    "author": "the cluster",
    "mailto": ["b@example.com", "a@example.com"],
    "mailto_user": ["root@pam"],
    "comment": "hello",
}
GRAPHITE: Parameters = {
    "id": "graphite",
    "type": "graphite",
    "server": "127.0.0.1",
    "port": 2003,
    "proto": "udp",
    "path": "pve.site",
    "mtu": 1400,
    "timeout": 3,
}
INFLUX: Parameters = {
    "id": "influx",
    "type": "influxdb",
    "server": "influx.example.com",
    "port": 8086,
    "influxdbproto": "https",
    "organization": "example",
    "bucket": "pve",
    "token": "not-yet-known",
    "api_path_prefix": "metrics",
    "max_body_size": 1000000,
    "verify_certificate": False,
    "disable": True,
}
OTEL: Parameters = {
    "id": "otel",
    "type": "opentelemetry",
    "server": "otel.example.com",
    "port": 4318,
    "otel_protocol": "http",
    "otel_path": "/v1/m",
    "otel_timeout": 2,
    "otel_headers": "e30=",
    "otel_resource_attributes": "e30=",
    "otel_compression": "none",
    "otel_max_body_size": 100000,
    "otel_verify_ssl": False,
    "disable": True,
}


def rules(role: str, **more: object) -> list[Parameters]:
    return [
        {"path": "/vms", "auth_id": who, "role": role, **more}
        for who in ("ann@pve", "ann@pve!zabbix", "@watchers", "bob@pve")
    ]


JOB: Parameters = {"id": "nightly", "realm": "example", "schedule": "daily", "scope": "both"}

DANCES: dict[str, Dance] = {
    "roles": Dance(
        (
            {
                "roles": [
                    {"roleid": "Operator", "privs": ["VM.PowerMgmt", "VM.Audit"]},
                    {"roleid": "Nothing", "privs": []},
                    {"roleid": "Trial", "privs": ["VM.Audit"]},
                ]
            },
            {
                "roles": [
                    {"roleid": "Operator", "privs": ["VM.Audit", "VM.Console"]},
                    {"roleid": "Trial", "state": "absent"},
                ]
            },
            {"roles": [{"roleid": "Operator", "privs": []}], "purge": True, "purge_limit": "100%"},
            {"roles": [{"roleid": "Operator", "privs": ["VM.Audit"]}], "purge": False},
        )
    ),
    "groups": Dance(
        (
            {"groups": [{"groupid": "watchers", "comment": "hello"}, {"groupid": "trial"}]},
            {"groups": [{"groupid": "watchers", "comment": ""}, {"groupid": "trial", "comment": "bye"}]},
            {"groups": [{"groupid": "trial", "state": "absent"}]},
            {
                "groups": [{"groupid": "watchers", "comment": "who look"}, {"groupid": "more"}],
                "purge": True,
                "purge_limit": "100%",
            },
        )
    ),
    "users": Dance(
        (
            {
                "users": [
                    {
                        "userid": "ann@pve",
                        "comment": "hello",
                        "email": "ann@example.com",
                        "groups": ["watchers", "more"],
                        "password": "not-yet-known",
                    },
                    {"userid": "bob@pve", "firstname": "Bob", "lastname": "Bee", "expire": 4000000000},
                    {"userid": "root@pam", "email": "root@example.com"},
                ]
            },
            {
                "users": [
                    {"userid": "ann@pve", "comment": "", "email": "", "groups": []},
                    {"userid": "bob@pve", "enable": False, "expire": 0, "firstname": "", "groups": ["watchers"]},
                ]
            },
            {"users": [{"userid": "bob@pve", "state": "absent"}]},
            {"users": [{"userid": "ann@pve", "groups": ["watchers"]}, {"userid": "bob@pve"}, {"userid": "c@pam"}]},
            {
                "users": [{"userid": "ann@pve", "comment": "Ann"}, {"userid": "bob@pve"}],
                "purge": True,
                "purge_limit": "100%",
                "update_secrets": False,
            },
        ),
        after=(("users", {"users": [{"userid": "ann@pve", "password": "not-yet-known"}], "update_secrets": True}),),
    ),
    "realms": Dance(
        (
            {
                "realms": [
                    DIRECTORY,
                    PROVIDER,
                    {"realm": "trial", "type": "ad", "server1": "h", "domain": "example.com"},
                ]
            },
            {
                "realms": [
                    {
                        "realm": "example",
                        "server2": "",
                        "port": 3890,
                        "mode": "ldap+starttls",
                        "sync_attributes": {},
                        "sync_defaults": {"scope": "users"},
                        "group_classes": [],
                        "filter": "",
                        "default": True,
                    },
                    {
                        "realm": "sso",
                        "scopes": ["email", "profile"],
                        "autocreate": False,
                        "prompt": "",
                        "audiences": ["other"],
                    },
                    {"realm": "trial", "case_sensitive": False, "comment": "hello"},
                    {"realm": "pve", "comment": "ours", "tfa": {"type": "oath", "digits": 6}},
                ]
            },
            {"realms": [{"realm": "pve", "tfa": {}}, {"realm": "trial", "state": "absent"}]},
            {"realms": [{"realm": "example"}], "purge": True, "purge_limit": "100%", "update_secrets": False},
            {"realms": [], "purge": True, "purge_limit": "100%"},
        ),
        after=(
            ("realms", {"realms": [DIRECTORY]}),
            ("realms", {"realms": [{**DIRECTORY, "password": "other"}], "update_secrets": True}),
            ("realms", {"realms": [], "purge": True, "purge_limit": "100%"}),
        ),
    ),
    "realm_sync_jobs": Dance(
        (
            {
                "jobs": [
                    {**JOB, "comment": "hello", "remove_vanished": ["entry", "acl"], "enable_new": False},
                    {**JOB, "id": "other", "enabled": False},
                    {"id": "none", "state": "ignore"},
                ],
                "timeout": 60,
            },
            {
                "jobs": [
                    {
                        "id": "nightly",
                        "initial_sync": False,
                        "schedule": "mon..fri 06:00",
                        "remove_vanished": [],
                        "comment": "",
                    }
                ]
            },
            {"jobs": [{"id": "other", "scope": "users", "enabled": True}]},
            {"jobs": [{"id": "other", "state": "absent"}]},
            {"jobs": [], "purge": True, "purge_limit": "100%"},
        ),
        before=(("realms", {"realms": [DIRECTORY]}),),
        after=(("realms", {"realms": [{"realm": "example", "state": "absent"}]}),),
    ),
    "api_tokens": Dance(
        (
            {
                "tokens": [
                    {"tokenid": "ann@pve!zabbix", "secret_file": FILE, "comment": "hello"},
                    {"tokenid": "ann@pve!gone", "secret_file": "{directory}/gone", "expire": 4000000000},
                    {"tokenid": "root@pam!all", "secret_file": "{directory}/all", "privsep": False},
                ]
            },
            {
                "tokens": [
                    {"tokenid": "ann@pve!zabbix", "secret_file": FILE, "comment": ""},
                    {
                        "tokenid": "ann@pve!gone",
                        "secret_file": "{directory}/elsewhere",
                        "regenerate": True,
                        "privsep": False,
                    },
                ]
            },
            {"tokens": [{"tokenid": "ann@pve!gone", "state": "absent"}]},
            {
                "tokens": [{"tokenid": "ann@pve!zabbix", "secret_file": FILE, "comment": "x"}],
                "purge": True,
                "purge_limit": "100%",
            },
        )
    ),
    "acls": Dance(
        (
            {"acls": rules("Operator")},
            {"acls": [*rules("Operator", propagate=False)[:2], {**rules("Operator")[2], "state": "absent"}]},
            {"acls": rules("PVEAuditor")[1:], "purge": True, "purge_limit": "100%"},
            {
                "acls": [{"path": "/pool/web", "auth_id": "watchers", "role": "PVEPoolUser"}],
                "purge": True,
                "purge_limit": "100%",
            },
        )
    ),
    "pools": Dance(
        (
            {
                "pools": [
                    {"poolid": "web", "comment": "hello", "guests": [101, 102], "storages": ["tank"]},
                    {"poolid": "mail", "guests": [103]},
                    {"poolid": "web/inner"},
                ]
            },
            {
                "pools": [
                    {"poolid": "web", "comment": "", "guests": [101, 103], "storages": ["local"]},
                    {"poolid": "mail", "guests": [102]},
                ]
            },
            {"pools": [{"poolid": "new", "guests": [103], "allow_move": True}]},
            {"pools": [{"poolid": "web", "storages": []}, {"poolid": "mail", "state": "absent"}]},
            {"pools": [{"poolid": "new"}], "purge": True, "purge_limit": "100%"},
            {"pools": [{"poolid": "new", "guests": []}]},
        ),
        before=(MAKE_TANK, guests(*(guest(vmid, node="pve1") for vmid in (101, 102, 103)))),
        after=(guests(*({"vmid": vmid, **GONE} for vmid in (101, 102, 103))),),
    ),
    "notification_endpoints": Dance(
        (
            {
                "endpoints": [
                    WEBHOOK,
                    MAIL,
                    {"name": "push", "type": "gotify", "server": "http://192.0.2.1", "token": "not-yet-known"},
                    {"name": "local", "type": "sendmail", "mailto": ["a@example.com"]},
                    {"name": "mail-to-root", "comment": "ours", "disable": True},
                ]
            },
            {
                "endpoints": [
                    {**WEBHOOK, "headers": {"X-Site": "x"}, "body": "", "secrets": {"key": "k", "more": "m"}},
                    {"name": "mail", "mailto": ["a@example.com"], "username": "", "mode": "tls", "comment": ""},
                    {"name": "push", "server": "http://192.0.2.2", "disable": True},
                    {"name": "local", "from_address": "a@example.com", "author": "pve"},
                ]
            },
            {"endpoints": [{**WEBHOOK, "method": "put", "secrets": {}}, {"name": "local", "state": "absent"}]},
            {"endpoints": [{"name": "mail-to-root", "state": "absent"}]},
            {
                "endpoints": [{"name": "mail"}, {"name": "push"}],
                "purge": True,
                "purge_limit": "100%",
                "update_secrets": False,
            },
        ),
        after=(("notification_endpoints", {"endpoints": [{"name": "push", "token": "new"}], "update_secrets": True}),),
    ),
    "notification_matchers": Dance(
        (
            {
                "matchers": [
                    {
                        "name": "errors",
                        "targets": ["mail", "push"],
                        "match_severity": ["warning,error"],
                        "match_field": ["exact:type=vzdump,replication"],
                        "match_calendar": ["mon..fri 8-17"],
                        "mode": "any",
                        "invert_match": True,
                        "comment": "hello",
                    },
                    {"name": "trial", "targets": ["mail"]},
                    {"name": "default-matcher", "disable": True},
                ]
            },
            {
                "matchers": [
                    {
                        "name": "errors",
                        "targets": ["mail"],
                        "match_severity": ["error, unknown"],
                        "match_field": [],
                        "match_calendar": [],
                        "mode": "all",
                        "invert_match": False,
                        "comment": "",
                    },
                    {"name": "trial", "state": "absent"},
                ]
            },
            {"matchers": [{"name": "default-matcher", "state": "absent"}]},
            {"matchers": [{"name": "other", "targets": ["push"]}], "purge": True, "purge_limit": "100%"},
        ),
        after=(("notification_matchers", {"matchers": [], "purge": True, "purge_limit": "100%"}),),
    ),
    "metric_servers": Dance(
        (
            {"servers": [GRAPHITE, INFLUX, OTEL]},
            {
                "servers": [
                    {"id": "graphite", "port": 2004, "path": "", "disable": True},
                    {"id": "influx", "bucket": "other", "influxdbproto": "http"},
                    {"id": "otel", "otel_timeout": 5, "otel_headers": "e30="},
                ]
            },
            {"servers": [{"id": "otel", "state": "absent"}]},
            {"servers": [{"id": "graphite"}], "purge": True, "purge_limit": "100%", "update_secrets": False},
        ),
        after=(
            ("metric_servers", {"servers": [INFLUX]}),
            ("metric_servers", {"servers": [{"id": "influx", "token": "other"}], "update_secrets": True}),
        ),
    ),
}
