"""Fetches a file from the web for a block (as `context.files.fetch`), and from nowhere else.

A graph must not reach what only this machine can see. So every host is resolved here, every address it has must be
public, and the connection goes to the very address that was checked: a second look-up could give another one. Each
redirect is checked in the same way.
"""

import asyncio
import ipaddress
import mimetypes
import re
import socket
from collections.abc import Callable
from pathlib import PurePosixPath
from urllib.parse import unquote

import httpx

from graphs.blocks.contract import Media
from graphs.blocks.media import UNKNOWN_MEDIA_TYPE, check_file_size
from graphs.exceptions import BlockError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

TIME_LIMIT = 30.0
"""Seconds for one download, redirects included."""
MAX_REDIRECTS = 5
MAX_NAME_LENGTH = 100

# These carry an IPv4 address that a gateway would connect to (RFC 6052, RFC 8215).
TRANSLATED_NETWORKS = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))

_MEDIA_TYPE = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}", re.ASCII)


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet, also where it carries another address in itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    if any(address in network for network in TRANSLATED_NETWORKS):
        return False
    inner = address.ipv4_mapped or address.sixtofour
    return is_public(inner) if inner else address.is_global and not address.is_multicast


async def download(url: str, *, is_allowed: Callable[[Address], bool] = is_public) -> Media:
    """Return the file at an http(s) URL.

    Raises `BlockError` if an address is not allowed, the server doesn't answer 200 within `TIME_LIMIT` seconds, or the
    file is larger than `media.MAX_FILE_BYTES`.
    """
    try:
        async with asyncio.timeout(TIME_LIMIT), httpx.AsyncClient(trust_env=False, timeout=TIME_LIMIT) as client:
            return await _follow(client, httpx.URL(url), is_allowed)
    except TimeoutError:
        raise BlockError(f"The download took longer than {TIME_LIMIT:g} seconds.") from None
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise BlockError(f"The file can't be downloaded: {str(error) or type(error).__name__}") from error


async def _follow(client: httpx.AsyncClient, url: httpx.URL, is_allowed: Callable[[Address], bool]) -> Media:
    for _ in range(MAX_REDIRECTS + 1):
        request = await _prepare(client, url, is_allowed)
        response = await client.send(request, stream=True)
        try:
            if not response.has_redirect_location:
                return await _read(response, url)
            url = url.join(response.headers["location"])
        finally:
            await response.aclose()
    raise BlockError(f"The file can't be downloaded: more than {MAX_REDIRECTS} redirects.")


async def _prepare(client: httpx.AsyncClient, url: httpx.URL, is_allowed: Callable[[Address], bool]) -> httpx.Request:
    """Return a request to an address of the host that was checked; the server and its certificate see the name."""
    if url.scheme not in {"http", "https"} or not url.host:
        raise BlockError("Only http and https URLs can be downloaded.")
    address = await _resolve(url, is_allowed)
    # Without compression, a small answer can't turn into a large one.
    headers = {"Host": url.netloc.decode("ascii"), "Accept-Encoding": "identity"}
    sni = {"sni_hostname": url.raw_host.decode("ascii")}
    return client.build_request("GET", url.copy_with(host=str(address)), headers=headers, extensions=sni)


async def _resolve(url: httpx.URL, is_allowed: Callable[[Address], bool]) -> Address:
    host = url.raw_host.decode("ascii")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, url.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise BlockError(f"The host {host!r} can't be found.") from error
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    if not addresses or not all(map(is_allowed, addresses)):
        raise BlockError(f"The host {host!r} is not on the public internet; files are not downloaded from there.")
    return addresses[0]


async def _read(response: httpx.Response, url: httpx.URL) -> Media:
    if response.status_code != httpx.codes.OK:
        raise BlockError(f"The file can't be downloaded: the server answered {response.status_code}.")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise BlockError("The file can't be downloaded: the server compresses it although it was told not to.")
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        check_file_size(len(content))
    name = PurePosixPath(unquote(url.path)).name[-MAX_NAME_LENGTH:] or "download"
    declared = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    media_type = declared if _MEDIA_TYPE.fullmatch(declared) else mimetypes.guess_type(name)[0] or UNKNOWN_MEDIA_TYPE
    return Media(content=bytes(content), name=name, media_type=media_type)
