"""Where a request comes from.

Behind proxies every connection is the proxy's, and who asks stands in `X-Forwarded-For`: to the right what the nearest
proxy saw, to the left of it whatever the client liked to say. So as many entries count, from the right, as there are
proxies of ours (TRUSTED_PROXIES); with none, the header means nothing.
"""

from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final

from django.conf import settings
from django.http import HttpRequest

# Whoever has one IPv6 address mostly has all of its network.
_SITE_BITS: Final = 64


def find_address(request: HttpRequest) -> str:
    """Return the address of who asks, for counting: an IPv4 address or an IPv6 network; maybe empty."""
    connected = str(request.META.get("REMOTE_ADDR", ""))
    if settings.TRUSTED_PROXIES > 0:
        forwarded = [each.strip() for each in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
        seen = _read(forwarded[-settings.TRUSTED_PROXIES :][0])
        if seen:
            return seen
    return _read(connected) or connected


def _read(text: str) -> str:
    """Return the address in a normal form; empty if it is none."""
    try:
        address = ip_address(text.strip("[]"))
    except ValueError:
        return ""
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or IPv6Network((address.packed, _SITE_BITS), strict=False))
