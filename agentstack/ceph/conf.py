# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/etc/pve/ceph.conf: sections with tab-indented `key = value` lines (facts §11.2, §11.3)."""

from __future__ import annotations

import configparser
import io
from dataclasses import dataclass, field

FILE = "ceph.conf"
LOCK = "file-ceph_conf"


@dataclass
class CephConf:
    """The file's sections, in their order, and their keys (blanks in keys as underscores)."""

    sections: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> CephConf:
        """Read a file's text. Raises configparser.Error."""
        parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
        parser.read_string(text)
        return cls(
            {
                name: {key.strip().replace(" ", "_"): value for key, value in parser.items(name)}
                for name in parser.sections()
            }
        )

    def format(self) -> str:
        """The file's text."""
        out = io.StringIO()
        for name, values in self.sections.items():
            out.write(f"[{name}]\n")
            out.writelines(f"\t{key} = {values[key]}\n" for key in sorted(values))
            out.write("\n")
        return out.getvalue()

    @property
    def settings(self) -> dict[str, str]:
        """The section `global`."""
        return self.sections.setdefault("global", {})

    @property
    def fsid(self) -> str | None:
        return self.settings.get("fsid")

    @property
    def monitors(self) -> list[str]:
        """Addresses of the monitors."""
        return self.settings.get("mon_host", "").replace(",", " ").split()

    @monitors.setter
    def monitors(self, addresses: list[str]) -> None:
        if addresses:
            self.settings["mon_host"] = " ".join(addresses)
        else:
            self.settings.pop("mon_host", None)


def fresh(fsid: str, network: str | None, cluster_network: str | None, size: int, min_size: int, auth: str) -> CephConf:
    """What `pveceph init` writes; `auth` is cephx or none."""
    values = {
        **{f"auth_{part}_required": auth for part in ("client", "cluster", "service")},
        "fsid": fsid,
        "mon_allow_pool_delete": "true",
        "ms_bind_ipv4": "true",
        "ms_bind_ipv6": "false",
        "osd_pool_default_min_size": str(min_size),
        "osd_pool_default_size": str(size),
    }
    conf = CephConf({"global": values})
    set_networks(conf, network, cluster_network)
    if auth == "cephx":
        conf.sections["client"] = {"keyring": "/etc/pve/priv/$cluster.$name.keyring"}
        conf.sections["client.crash"] = {"keyring": "/etc/pve/ceph/$cluster.$name.keyring"}
    return conf


def set_networks(conf: CephConf, network: str | None, cluster_network: str | None) -> None:
    """Enter the networks that are given; the cluster network is the public one unless said."""
    if network:
        conf.settings["public_network"] = network
        conf.settings["cluster_network"] = cluster_network or network
