"""Host names and addresses: who can reach them, how they are written in a URL."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"


def is_address(host: str) -> bool:
    """Whether it is an IP address and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def host_name(header: str) -> str:
    """The name or address in a Host header, without port and brackets, in small letters."""
    name = header.strip().casefold()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0].removesuffix(".")


def url_of(host: str, port: int, scheme: str = "http") -> str:
    """An address to open here: what listens everywhere is reached on loopback, too."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104 - compared, not bound
    shown = everywhere.get(host) or (f"[{host}]" if ":" in host else host)
    return f"{scheme}://{shown}:{port}"
