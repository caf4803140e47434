"""What blocks are given as a file: a reference to one of the run, a `data:` URI, or an http(s) URL.

A reference is opaque; its end may tell the kind of the file.
"""

import base64
import mimetypes
import re

from graphs.blocks.contract import Files, Media
from graphs.exceptions import BlockError

MAX_FILE_BYTES = 10 * 1024 * 1024
UNKNOWN_MEDIA_TYPE = "application/octet-stream"

_DATA_URI_MEDIA_TYPE = re.compile(r"data:([\w.+-]{1,100}/[\w.+-]{1,100})[;,]", re.ASCII | re.IGNORECASE)


def is_url(file: str) -> bool:
    """Whether the file has to be fetched from the web."""
    return file[:8].lower().startswith(("http://", "https://"))


def is_data_uri(file: str) -> bool:
    """Whether the text is the file itself."""
    return file[:5].lower() == "data:"


def load_media(file: str, *, files: Files) -> Media:
    """Return the file behind a reference or in a `data:` URI.

    Raises `BlockError` if it is neither, or larger than `MAX_FILE_BYTES`.
    """
    if is_data_uri(file):
        # Four characters of base64 are three bytes: a URI that is too long need not be decoded.
        check_file_size((len(file) - file.find(",") - 1) * 3 // 4 - 2)
    content = files.load(file)
    check_file_size(len(content))
    media_type = _read_media_type(file)
    return Media(content=content, name=f"file{mimetypes.guess_extension(media_type) or '.bin'}", media_type=media_type)


def check_file_size(size: int) -> None:
    """Raise `BlockError` if a file of `size` bytes is too large."""
    if size > MAX_FILE_BYTES:
        raise BlockError(f"The file is larger than {MAX_FILE_BYTES:,} bytes.")


def write_data_uri(media: Media) -> str:
    """Return the file as a `data:` URI."""
    return f"data:{media.media_type};base64,{base64.b64encode(media.content).decode('ascii')}"


def decode_text(content: bytes) -> str:
    """Return the text of a file: UTF-8, or else Latin-1; every line ends with a line feed alone."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _read_media_type(file: str) -> str:
    if is_data_uri(file):
        declared = _DATA_URI_MEDIA_TYPE.match(file)
        return declared.group(1).lower() if declared else UNKNOWN_MEDIA_TYPE
    return mimetypes.guess_type(file[-200:])[0] or UNKNOWN_MEDIA_TYPE
