"""Secrets inside texts: credentials in addresses, header lines, and what can be nothing but a key."""

import re
from typing import Final
from urllib.parse import unquote_plus

from graphs.exchange.secret_names import is_secret_name

_CREDENTIAL: Final = re.compile(
    r"""(?:(?:Bearer|Basic|Token)\s+)?(?:
        (?:sk|pk|rk)[-_](?=[A-Za-z_-]*\d)[\w-]{16,} | gh[pousr]_\w{20,} | github_pat_\w{20,} | glpat-[\w-]{16,}
        | xox[abeoprs]-[\w-]{10,} | AKIA[A-Z0-9]{16} | AIza[\w-]{30,} | hf_\w{20,} | r8_\w{20,} | SG\.[\w-]{16,}\.[\w-]+
        | eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*
    )""",
    re.VERBOSE,
)
_PRIVATE_KEY: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_PLACEHOLDER: Final = re.compile(r"\s*(?:(?:Bearer|Basic|Token)\s+)?(?:\{\{?[^{}]*\}?\}|<[^<>]*>|\$\{?\w+\}?)\s*")
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s\"'<>\\]+")
_USER: Final = re.compile(r"(?<=://)([^/?#@:]{0,256}:)?([^/?#]*)@")
_PARAMETER: Final = re.compile(r"(?<=[?&;#])([^=&;#?]+)=([^&;#]*)")
_HEADER_LINE: Final = re.compile(r"^([ \t]*[\w-]+[ \t]*:)[^\n]*$", re.MULTILINE)
_SIGNATURES: Final = frozenset({"key", "sig", "signature", "x-amz-signature", "x-amz-security-token"})
_MIN_CREDENTIAL: Final = 16
_MAX_CREDENTIAL: Final = 8_192


def is_credential(text: str) -> bool:
    """Whether the whole text is a key or token of a well-known form, or holds a private key."""
    is_short = len(text) <= _MAX_CREDENTIAL
    return (is_short and _CREDENTIAL.fullmatch(text.strip()) is not None) or _PRIVATE_KEY.search(text) is not None


def is_placeholder(text: str) -> bool:
    """Whether the text only says where a secret will be put in: `{{ token }}`, `Bearer {key}`, `$TOKEN`, `<key>`."""
    return _PLACEHOLDER.fullmatch(text) is not None


def clean_urls(text: str) -> str:
    """Drop passwords, and values of parameters with a secret's name, from every address in the text."""
    return _URL.sub(lambda found: _clean_url(found.group()), text) if "://" in text else text


def clean_header_lines(text: str) -> str:
    """Drop what stands behind the colon of headers with a secret's name."""
    return _HEADER_LINE.sub(lambda line: line[1] if is_secret_name(line[1].strip(" \t:")) else line[0], text)


def _clean_url(url: str) -> str:
    return _PARAMETER.sub(_clean_parameter, _USER.sub(_clean_user, url, count=1))


def _clean_user(found: "re.Match[str]") -> str:
    user, password = found[1], found[2]
    if user is None:  # `git@` is a name, `ghp_…@` is a token
        return found[0] if len(password) < _MIN_CREDENTIAL or is_placeholder(password) else ""
    return found[0] if is_placeholder(password) else ""


def _clean_parameter(found: "re.Match[str]") -> str:
    name, value = unquote_plus(found[1]), unquote_plus(found[2])
    is_signature = name.lower() in _SIGNATURES and len(value) >= _MIN_CREDENTIAL
    is_secret = is_signature or is_secret_name(name) or is_credential(value)
    return f"{found[1]}=" if is_secret and not is_placeholder(value) else found[0]
