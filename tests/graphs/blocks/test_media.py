"""Files come as references, data: URIs or URLs, and never too large."""

import pytest

from graphs.blocks import media
from graphs.blocks.contract import Media
from graphs.blocks.media import decode_text, is_data_uri, is_url, load_media, write_data_uri
from graphs.exceptions import BlockError
from tests.graphs.blocks.context import FilesInMemory


@pytest.mark.parametrize("file", ["http://a.example", "HTTPS://a.example/b", "https://"])
def test_a_url_has_to_be_fetched(file: str) -> None:
    assert is_url(file)
    assert not is_data_uri(file)


@pytest.mark.parametrize("file", ["", "file:1/a.txt", "ftp://a.example", "httpx", "DATA:,x", "data:text/plain,x"])
def test_anything_else_does_not(file: str) -> None:
    assert not is_url(file)
    assert is_data_uri(file) == file.lower().startswith("data:")


@pytest.mark.parametrize(
    ("head", "media_type", "name"),
    [
        ("data:image/png;base64", "image/png", "file.png"),
        ("data:Text/Plain;charset=utf-8;base64", "text/plain", "file.txt"),
        ("data:;base64", "application/octet-stream", "file.bin"),
        ("data:image/../x\n;base64", "application/octet-stream", "file.bin"),
    ],
)
def test_a_data_uri_tells_its_media_type(head: str, media_type: str, name: str) -> None:
    loaded = load_media(f"{head},aGk=", files=FilesInMemory())

    assert loaded == Media(content=b"hi", name=name, media_type=media_type)


def test_the_end_of_a_reference_tells_its_media_type() -> None:
    files = FilesInMemory()
    reference = files.save(b"%PDF", name="letter.pdf", media_type="application/pdf")

    assert load_media(reference, files=files).media_type == "application/pdf"


def test_a_file_written_as_a_data_uri_can_be_read_again() -> None:
    written = write_data_uri(Media(content=bytes(range(256)), name="file.bin", media_type="image/png"))

    assert load_media(written, files=FilesInMemory()).content == bytes(range(256))


def test_a_file_of_the_allowed_size_is_loaded_and_a_larger_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "MAX_FILE_BYTES", 4)
    files = FilesInMemory()

    for content in (b"abcd", b"abcde"):
        reference = files.save(content, name="a", media_type="text/plain")
        uri = write_data_uri(Media(content=content, name="a", media_type="text/plain"))
        for file in (reference, uri):
            if len(content) == 4:
                assert load_media(file, files=files).content == content
            else:
                with pytest.raises(BlockError, match="larger than 4 bytes"):
                    load_media(file, files=files)


@pytest.mark.parametrize(
    ("content", "text"),
    [("ä\r\nb\rc".encode(), "ä\nb\nc"), (b"\xef\xbb\xbfa", "a"), (b"\xe4", "ä"), (b"", "")],
)
def test_a_text_is_decoded(content: bytes, text: str) -> None:
    assert decode_text(content) == text
