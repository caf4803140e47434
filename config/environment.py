"""Reading settings from environment variables."""

import math
import os
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"", "0", "false", "no", "off"}


def read_bool(name: str, *, default: bool) -> bool:
    """Return a yes-or-no variable."""
    text = os.environ.get(name)
    if text is None:
        return default
    if text.lower() not in _TRUE | _FALSE:
        raise ImproperlyConfigured(f"{name} must be true or false, not {text!r}.")
    return text.lower() in _TRUE


def read_int(name: str, *, default: int, least: int | None = None) -> int:
    """Return a whole number, at least `least`."""
    text = os.environ.get(name)
    try:
        number = default if text is None else int(text)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {text!r}.") from error
    if least is not None and number < least:
        raise ImproperlyConfigured(f"{name} must be {least} or more, not {number}.")
    return number


def read_float(name: str, *, default: float, least: float = -math.inf, most: float = math.inf) -> float:
    """Return a number from `least` to `most`."""
    text = os.environ.get(name)
    try:
        number = default if text is None else float(text)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a number, not {text!r}.") from error
    if not least <= number <= most:
        raise ImproperlyConfigured(f"{name} must be from {least:g} to {most:g}, not {text!r}.")
    return number


def read_list(name: str, *, default: tuple[str, ...] = ()) -> list[str]:
    """Return a comma-separated variable's parts."""
    text = os.environ.get(name)
    return list(default) if text is None else [part.strip() for part in text.split(",") if part.strip()]


def parse_database_url(url: str) -> dict[str, Any]:
    """Return Django's connection settings for `postgres://user:password@host:port/name?option=value`.

    A host that begins with `/` (in the query, or percent-encoded in its place) is a Unix socket's folder.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ImproperlyConfigured(f"DATABASE_URL can't be read: {error}.") from error
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured("DATABASE_URL must begin with postgres:// (PostgreSQL is the only database).")
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise ImproperlyConfigured("DATABASE_URL names no database: postgres://user:password@host:port/NAME.")
    options = dict(parse_qsl(parts.query))
    return {
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", unquote(parts.hostname or "")),
        "PORT": options.pop("port", str(port or "")),
        "OPTIONS": options,
    }


def check_broker_url(name: str, url: str, *, schemes: tuple[str, ...]) -> str:
    """Return the URL if it is one of a server we can use."""
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} can't be read: {error}.") from error
    if scheme not in schemes:
        raise ImproperlyConfigured(f"{name} must begin with one of {', '.join(f'{scheme}://' for scheme in schemes)}.")
    return url


def broker_url_of(redis_url: str) -> str:
    """Return Celery's form of a redis-py URL."""
    if not redis_url.startswith("unix://"):
        return redis_url
    parts = urlsplit(redis_url)
    database = dict(parse_qsl(parts.query)).get("db", "0")
    return f"redis+socket://{parts.path}?virtual_host={database}"


def with_database(redis_url: str, database: str) -> str:
    """Return the redis-py URL with another database number."""
    parts = urlsplit(redis_url)
    if parts.scheme == "unix":
        return f"unix://{parts.path}?db={database}"
    return parts._replace(path=f"/{database}").geturl()
