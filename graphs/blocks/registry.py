"""Finds the blocks that graphs may use. The only module of this package that reads the settings.

`settings.BLOCK_MODULES` names packages and modules; every concrete `Block` subclass defined in one of them, or in
any module below a package, is a block. They are loaded once, when somebody first asks.
"""

import importlib
import inspect
import pkgutil
import threading
import uuid
from abc import ABC
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType, ModuleType
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from graphs.blocks.aliases import resolve
from graphs.blocks.catalogue import read_catalogue
from graphs.blocks.contract import Block, BlockInputs, BlockOutputs
from graphs.blocks.interfaces import Interface
from graphs.blocks.schemas import describe_block
from graphs.exceptions import UnknownBlockError

_loading = threading.RLock()


class BlockModulesError(ImproperlyConfigured):
    """`settings.BLOCK_MODULES` can't be loaded; the text names the module and the class."""


def all_blocks() -> tuple[Block[Any], ...]:
    """Return every block that can run, by name."""
    return tuple(_blocks().values())


def find_block(block_id: str) -> Block[Any] | None:
    """Return the block with this id (or this old id); None if we can't run it."""
    return _blocks().get(resolve(block_id))


def get_block(block_id: str) -> Block[Any]:
    """Return the block with this id (or this old id); raises `UnknownBlockError` if we can't run it."""
    block = find_block(block_id)
    if block is None:
        raise UnknownBlockError(f"There is no block with the id {block_id!r}.")
    return block


def find_interface(block_id: str) -> Interface | None:
    """Return the pins of a block of ours or of one we only know the shape of; None if nobody knows it."""
    block = find_block(block_id)
    if block is not None:
        return describe_block(type(block))
    return read_catalogue().get(resolve(block_id))


def all_interfaces() -> tuple[Interface, ...]:
    """Return the interfaces of all blocks: those that can run by name, then those that can't by name."""
    blocks = _blocks()
    unavailable = [interface for interface in read_catalogue().values() if interface.id not in blocks]
    return (*(describe_block(type(block)) for block in blocks.values()), *unavailable)


def _blocks() -> Mapping[str, Block[Any]]:
    with _loading:
        return _load_blocks(tuple(settings.BLOCK_MODULES))


@cache
def _load_blocks(module_names: tuple[str, ...]) -> Mapping[str, Block[Any]]:
    """Return the blocks of these modules by id, in the order of their names."""
    found: dict[str, type[Block[Any]]] = {}
    for module_name in module_names:
        for module in _import_modules(module_name):
            for candidate in _find_classes(module):
                _check_class(candidate)
                other = found.setdefault(candidate.id, candidate)
                if other is not candidate:
                    raise BlockModulesError(f"{_say(other)} and {_say(candidate)} have the same id, {candidate.id}.")
    ordered = sorted(found.values(), key=lambda block: (block.name, block.id))
    return MappingProxyType({block.id: block() for block in ordered})


def _import_modules(name: str) -> Iterator[ModuleType]:
    """Import a module and, if it is a package, everything below it."""
    try:
        module = importlib.import_module(name)
    except Exception as error:
        raise BlockModulesError(
            f"The block module {name!r} (see BLOCK_MODULES) can't be imported: {type(error).__name__}: {error}"
        ) from error
    yield module
    for below in pkgutil.iter_modules(getattr(module, "__path__", ()), f"{name}."):
        yield from _import_modules(below.name)


def _find_classes(module: ModuleType) -> list[type[Block[Any]]]:
    return [
        member
        for member in vars(module).values()
        if inspect.isclass(member)
        and issubclass(member, Block)
        and member.__module__ == module.__name__
        and not _is_abstract(member)
    ]


def _is_abstract(candidate: type) -> bool:
    """Whether a class only serves others to inherit from: it lacks `run`, or names `ABC` among its bases."""
    return inspect.isabstract(candidate) or ABC in candidate.__bases__


def _check_class(candidate: type[Block[Any]]) -> None:
    wanted = {"id": str, "name": str, "Inputs": BlockInputs, "Outputs": BlockOutputs}
    missing = [attribute for attribute in wanted if not hasattr(candidate, attribute)]
    if missing:
        raise BlockModulesError(f"{_say(candidate)} lacks {', '.join(missing)}.")
    for attribute, kind in wanted.items():
        value = getattr(candidate, attribute)
        if not (isinstance(value, str) if kind is str else inspect.isclass(value) and issubclass(value, kind)):
            raise BlockModulesError(f"{_say(candidate)}: {attribute} must be a {kind.__name__}, not {value!r}.")
    if not _is_uuid(candidate.id):
        raise BlockModulesError(f"{_say(candidate)}: the id {candidate.id!r} is not a UUID in lower case.")


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _say(candidate: type) -> str:
    return f"The block {candidate.__module__}.{candidate.__qualname__}"
