"""Starting a server program without root's privileges, and never without its parent.

PostgreSQL refuses to run as root. Instead of creating an account or opening up the folders above the checkout, the
program then runs as `nobody`; if the checkout lies where `nobody` can't go (`/root`, say), it keeps the one capability
that lets it pass and read (not write), and no other.
"""

import ctypes
import os
import pwd
import signal
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from execution.workers import die_with_parent

_PR_SET_SECUREBITS = 28
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


class PrivilegeError(Exception):
    """A server program can't be run as another user; the text says why."""


@dataclass(frozen=True)
class Account:
    """Who a server program runs as."""

    uid: int
    gid: int


def find_account(data: Path) -> Account | None:
    """Return who runs the server with this data folder: None means ourselves.

    Root runs it as the folder's owner, so that an ordinary user's data stay that user's, or as `nobody`.
    """
    if os.geteuid() != 0:
        return None
    owner = data.stat()
    if owner.st_uid != 0:
        return Account(uid=owner.st_uid, gid=owner.st_gid)
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError as error:
        raise PrivilegeError("PostgreSQL can't run as root, and this machine has no account `nobody`.") from error
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)


def give_to(account: Account | None, path: Path) -> None:
    """Make the account the owner of a file or folder."""
    if account is not None:
        os.chown(path, account.uid, account.gid)


def is_open_to_all(path: Path) -> bool:
    """Whether any account may reach the path and read (and enter or execute) what is there."""
    everyone = stat.S_IROTH | stat.S_IXOTH
    if path.stat().st_mode & everyone != everyone:
        return False
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents)


def prepare_child(*, account: Account | None, may_pass: bool, death_signal: signal.Signals) -> Callable[[], None]:
    """Return what a new process does before it becomes the server program.

    It becomes the account, with the capability to pass folders closed to it if `may_pass`, and asks the kernel for
    `death_signal` when its parent dies.
    """

    def become() -> None:
        if account is not None:
            _become(account, may_pass=may_pass and sys.platform == "linux")
        # Last: a change of user clears it.
        die_with_parent(death_signal)

    return become


def _become(account: Account, *, may_pass: bool) -> None:
    if may_pass:
        # Capabilities outlast the change of user, and count for access(2) too, by which PostgreSQL looks for its parts.
        _libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setgid(account.gid)
    os.setuid(account.uid)
    if may_pass:
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        bit = 1 << _CAP_DAC_READ_SEARCH
        sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)  # effective, permitted, inheritable; low words, high words
        if _libc.capset(header, sets) == 0:
            _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_READ_SEARCH, 0, 0)
