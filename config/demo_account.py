"""The account and the examples that a first `make run` finds ready."""

import json
from dataclasses import dataclass
from pathlib import Path

from django.contrib.auth.models import User
from rest_framework.authtoken.models import Token

from config.local import BASE_DIR, read_secret
from graphs.exceptions import GraphsError
from graphs.models import GraphVersion
from graphs.services import import_graph

NAME = "demo"
EXAMPLES = BASE_DIR / "examples"


@dataclass(frozen=True)
class DemoAccount:
    """Somebody who may do everything on this machine."""

    user: User
    password: str
    token: str


def ensure_demo_account() -> DemoAccount:
    """Return the demo account with the password kept in `.local`, made or mended if need be."""
    password = read_demo_password()
    user, _made = User.objects.get_or_create(username=NAME, defaults={"is_staff": True, "is_superuser": True})
    if not (user.is_superuser and user.check_password(password)):
        user.is_staff = user.is_superuser = True
        user.set_password(password)
        user.save()
    token, _made = Token.objects.get_or_create(user=user)
    return DemoAccount(user=user, password=password, token=token.key)


def read_demo_password() -> str:
    """Return the demo account's password, generated at the first call."""
    return f"demo-{read_secret('demo_password', length=9)}"


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
