"""Downloads reach public addresses only, whatever a URL, a name server or a redirect says; a local server answers."""

import asyncio
import gzip
import ipaddress
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from graphs.blocks import downloads, media
from graphs.blocks.contract import Media
from graphs.blocks.downloads import Address, download, is_public
from graphs.exceptions import BlockError

OTHER_LOOPBACK = "127.0.0.2"


class Handler(BaseHTTPRequestHandler):
    """Answers by the path; notes what it was asked."""

    asked: ClassVar[list[tuple[str, str]]] = []
    released = threading.Event()

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["Host"]))
        port = self.connection.getsockname()[1]
        match self.path.strip("/").split("/"):
            case ["redirect", "elsewhere"]:
                self._answer(302, location=f"http://{OTHER_LOOPBACK}:{port}/a.txt")
            case ["redirect", "scheme"]:
                self._answer(302, location="file:///etc/passwd")
            case ["redirect", count]:
                self._answer(302, location="/a.txt" if count == "1" else f"/redirect/{int(count) - 1}")
            case ["gzip"]:
                self._answer(200, gzip.compress(b"0" * 100_000), content_encoding="gzip")
            case ["slow"]:
                self.send_response(200)
                self.end_headers()
                self.released.wait(30)
            case ["missing"]:
                self._answer(404)
            case _:
                self._answer(200, b"hello", content_type="text/plain; charset=utf-8")

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    Handler.asked.clear()
    Handler.released.clear()
    with ThreadingHTTPServer(("0.0.0.0", 0), Handler) as server:  # noqa: S104 - two loopback addresses are needed
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        Handler.released.set()
        server.shutdown()
        thread.join()


def allow_first_loopback(address: Address) -> bool:
    return str(address) == "127.0.0.1"


def fetch(url: str) -> Media:
    return asyncio.run(download(url, is_allowed=allow_first_loopback))


def test_a_file_is_downloaded_with_its_name_and_type(port: int) -> None:
    fetched = fetch(f"http://127.0.0.1:{port}/dir/my%20letter.txt?x=1")

    assert fetched == Media(content=b"hello", name="my letter.txt", media_type="text/plain")


def test_the_server_is_told_the_name_it_was_asked_for(port: int) -> None:
    asyncio.run(download(f"http://localhost:{port}/a.txt", is_allowed=lambda address: address.is_loopback))

    assert Handler.asked == [("/a.txt", f"localhost:{port}")]


def test_redirects_are_followed_up_to_a_limit(port: int) -> None:
    assert fetch(f"http://127.0.0.1:{port}/redirect/5").content == b"hello"
    with pytest.raises(BlockError, match="more than 5 redirects"):
        fetch(f"http://127.0.0.1:{port}/redirect/6")


def test_a_redirect_to_another_address_is_refused(port: int) -> None:
    with pytest.raises(BlockError, match="not on the public internet"):
        fetch(f"http://127.0.0.1:{port}/redirect/elsewhere")

    assert [path for path, _ in Handler.asked] == ["/redirect/elsewhere"]


def test_a_redirect_to_another_scheme_is_refused(port: int) -> None:
    with pytest.raises(BlockError, match="Only http and https"):
        fetch(f"http://127.0.0.1:{port}/redirect/scheme")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"],  # noqa: S104
)
def test_this_machine_is_never_asked_however_it_is_written(port: int, host: str) -> None:
    with pytest.raises(BlockError, match="not on the public internet"):
        asyncio.run(download(f"http://{host}:{port}/a.txt"))

    assert Handler.asked == []


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "2002:a00:1::",
        "64:ff9b::a00:1",
        "2001:0:a00:1::",
    ],
)
def test_an_address_that_is_not_everybodys_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("url", ["ftp://a.example/", "file:///etc/passwd", "http://", "http:///a", "https://[::1"])
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(BlockError):
        fetch(url)


def test_a_host_that_is_nowhere_is_an_error() -> None:
    with pytest.raises(BlockError, match="can't be found"):
        fetch("http://nowhere.invalid/")


def test_an_answer_that_is_not_ok_is_an_error(port: int) -> None:
    with pytest.raises(BlockError, match="answered 404"):
        fetch(f"http://127.0.0.1:{port}/missing")


def test_a_server_that_is_not_there_is_an_error() -> None:
    with pytest.raises(BlockError, match="can't be downloaded"):
        fetch("http://127.0.0.1:1/")


def test_a_file_that_is_too_large_is_an_error(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "MAX_FILE_BYTES", 4)

    with pytest.raises(BlockError, match="larger than 4 bytes"):
        fetch(f"http://127.0.0.1:{port}/a.txt")


def test_a_compressed_answer_is_an_error(port: int) -> None:
    with pytest.raises(BlockError, match="compresses"):
        fetch(f"http://127.0.0.1:{port}/gzip")


def test_a_server_that_does_not_end_is_an_error(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "TIME_LIMIT", 0.2)

    with pytest.raises(BlockError, match=r"longer than 0\.2 seconds|can't be downloaded"):
        fetch(f"http://127.0.0.1:{port}/slow")
