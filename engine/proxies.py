"""The proxy that stands between this machine and an address, so that its faults are not taken for others'.

Who is asked through a proxy gets the proxy's refusals, and a connection that fails is one to the proxy.
"""

import ipaddress
import re
from contextlib import suppress
from urllib.parse import urlsplit


def proxy_for(address: str) -> str | None:
    """The proxy that the environment names for an address; None for one of this machine."""
    from requests.utils import get_environ_proxies, select_proxy

    with suppress(ValueError):
        if is_here(address):
            return None
        proxy = select_proxy(address, get_environ_proxies(address))
        return proxy if proxy is None or "://" in proxy else f"http://{proxy}"
    return None


def is_here(address: str) -> bool:
    """Whether an address is one of this machine, which no proxy reaches. Raises ValueError if it is none."""
    host = urlsplit(address).hostname or ""
    with suppress(ValueError):  # of a name
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def or_its_proxy(proxy: str | None) -> str:
    """What follows the name of a server in a sentence on a fault that may be its proxy's as well."""
    return f", or the proxy {without_credentials(proxy)} on the way to it," if proxy else ""


def without_credentials(address: str) -> str:
    """The address without user and password."""
    return re.sub(r"(?s)^(\w+://)?.*@", r"\1", address)
