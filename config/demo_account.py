"""The account and the examples that a first `make run` finds ready."""

import json
from dataclasses import dataclass
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import User

from config import embedded
from config.accounts.keys import PREFIX, digest, make_key
from config.local import BASE_DIR, read_secret
from config.models import ApiKey, Scope
from credits.money import grant
from graphs.exceptions import GraphsError
from graphs.models import GraphVersion
from graphs.services import import_graph

NAME = "demo"
PLAY_MONEY = 1_000_000
"""Credits that the demo account of the embedded database is given, once."""
EXAMPLES = BASE_DIR / "examples"


@dataclass(frozen=True)
class DemoAccount:
    """Somebody who may do everything on this machine."""

    user: User
    password: str
    api_key: str


def ensure_demo_account() -> DemoAccount | None:
    """Return the demo account with the password kept in `.local`; None if the accounts are none of our business.

    In the embedded database it is made, or mended, if need be. In a database that somebody named by its URL no account
    is ever changed: the demo account is made if there is nobody yet, and found again by its password.
    """
    password = read_demo_password()
    if embedded.POSTGRES in settings.EMBEDDED_SERVERS:
        return _make_or_mend(password)
    if not User.objects.exists():
        return _describe(User.objects.create_superuser(NAME, password=password), password)
    return _find(password)


def _make_or_mend(password: str) -> DemoAccount:
    user, _made = User.objects.get_or_create(username=NAME, defaults={"is_staff": True, "is_superuser": True})
    if not (user.is_superuser and user.check_password(password)):
        user.is_staff = user.is_superuser = True
        user.set_password(password)
        user.save()
    grant(user_id=user.pk, amount=PLAY_MONEY, reason="To play with", key=uuid5(NAMESPACE_OID, f"demo {user.pk}"))
    return _describe(user, password)


def _find(password: str) -> DemoAccount | None:
    """Only reads: not even an outdated hash is renewed, as `User.check_password` would."""
    user = User.objects.filter(username=NAME, api_keys__digest=digest(read_demo_key())).first()
    return _describe(user, password) if user and check_password(password, user.password) else None


def _describe(user: User, password: str) -> DemoAccount:
    secret = read_demo_key()
    if not ApiKey.objects.filter(digest=digest(secret)).exists():
        make_key(user=user, name="make run", scopes=list(Scope), secret=secret)
    return DemoAccount(user=user, password=password, api_key=secret)


def read_demo_password() -> str:
    """Return the demo account's password, generated at the first call."""
    return f"demo-{read_secret('demo_password', length=9)}"


def read_demo_key() -> str:
    """Return the demo account's API key, generated at the first call."""
    return f"{PREFIX}{read_secret('demo_api_key')}"


def load_examples(owner: User) -> list[str]:
    """Import the example graphs that the user doesn't have yet; return a sentence for each that can't be."""
    problems = []
    for path in sorted(EXAMPLES.glob("*.json")):
        try:
            if not _has_graph(owner, named=_read_name(path)):
                import_graph(owner=owner, document=path.read_bytes())
        except (GraphsError, OSError, ValueError) as error:
            problems.append(f"{path.name} can't be imported: {error}")
    return problems


def _read_name(path: Path) -> str:
    return str(json.loads(path.read_bytes())["name"])


def _has_graph(owner: User, *, named: str) -> bool:
    return GraphVersion.objects.filter(graph__owner=owner, name=named).exists()
