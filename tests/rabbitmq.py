"""A virtual host of RabbitMQ for one test run: its queues and broadcasts are nobody else's."""

import base64
import json
import shutil
import subprocess
from typing import Final
from urllib.error import URLError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import Request, urlopen

MANAGEMENT_PORT: Final = 15672
SECONDS: Final = 30.0
PREFIX: Final = "test-"
DEFAULT_HOST: Final = ("", "/", "//", "/%2F", "/%2f")


def with_own_host(url: str, *, number: str) -> str:
    """Return the URL with the virtual host `test-<number>`, which is made if it is not there yet.

    Where the URL names another one, that is used as it is. Raises RuntimeError if none can be made: neither the
    management API answers nor is there a `rabbitmqctl` that may.
    """
    parts = urlsplit(url)
    if parts.path not in DEFAULT_HOST and not parts.path.startswith(f"/{PREFIX}"):
        return url
    name, user, password = f"{PREFIX}{number}", unquote(parts.username or "guest"), unquote(parts.password or "guest")
    if not _make_by_api(parts.hostname or "127.0.0.1", name, user, password) and not _make_by_command(name, user):
        raise RuntimeError(
            f"Tests need a virtual host of RabbitMQ, and none could be made: neither its management API (port"
            f" {MANAGEMENT_PORT}) nor rabbitmqctl let us. Make one, and put its name at the end of BROKER_URL."
        )
    return parts._replace(path=f"/{name}").geturl()


def _make_by_api(address: str, name: str, user: str, password: str) -> bool:
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    try:
        _put(f"http://{address}:{MANAGEMENT_PORT}/api/vhosts/{name}", {}, user, password)
        _put(f"http://{address}:{MANAGEMENT_PORT}/api/permissions/{name}/{quote(user)}", everything, user, password)
    except (URLError, OSError):
        return False
    return True


def _put(address: str, content: dict[str, str], user: str, password: str) -> None:
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
    request = Request(address, data=json.dumps(content).encode(), headers=headers, method="PUT")
    with urlopen(request, timeout=SECONDS):
        pass


def _make_by_command(name: str, user: str) -> bool:
    command = shutil.which("rabbitmqctl")
    if command is None:
        return False
    try:
        known = _tell(command, "list_vhosts", "--silent").split()
        if name not in known:
            _tell(command, "add_vhost", name)
        _tell(command, "set_permissions", "-p", name, user, ".*", ".*", ".*")
    except (subprocess.SubprocessError, OSError):
        return False
    return True


def _tell(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=SECONDS).stdout
