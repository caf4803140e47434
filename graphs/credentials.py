"""Which credentials a graph wants, and which pins a reference to them goes to.

Only references travel: {id, provider, type, title}, as AutoGPT's clients send them. What they stand for is between the
block and whoever keeps it; nothing secret is taken, stored or shown here. A field of a graph is all pins that take
credentials of the same providers and types; its name is made of these, as AutoGPT's are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from graphs.blocks.registry import find_interface
from graphs.document import GraphDocument
from graphs.exceptions import CredentialsInvalidError
from graphs.signature import FindInterface

TYPES: Final = ("api_key", "oauth2", "user_password", "host_scoped")

Masks = Mapping[str, Mapping[str, Any]]


@dataclass(kw_only=True)
class CredentialsField:
    """What one reference is for. Without providers (or types) any will do."""

    providers: tuple[str, ...]
    types: tuple[str, ...]
    pins: list[tuple[UUID, str]] = field(default_factory=list)


def is_credentials_pin(name: str) -> bool:
    """Whether an input pin takes credentials."""
    return name == "credentials" or name.endswith("_credentials")


def find_fields(document: GraphDocument, *, find: FindInterface = find_interface) -> dict[str, CredentialsField]:
    """Return the credentials that the graph's own nodes take, by the name under which a run is given them."""
    fields: dict[str, CredentialsField] = {}
    for node in document.nodes:
        interface = find(node.block_id)
        for name, pin in interface.inputs.items() if interface else ():
            if is_credentials_pin(name):
                providers, types = _list(pin.schema, "credentials_provider"), _list(pin.schema, "credentials_types")
                key = f"{'-'.join(providers)}_{'-'.join(types)}_credentials" if providers and types else name
                found = fields.setdefault(key, CredentialsField(providers=providers, types=types))
                found.pins.append((node.id, name))
    return fields


def describe_fields(document: GraphDocument, *, find: FindInterface = find_interface) -> dict[str, Any]:
    """Return an object schema with one property per field."""
    properties = {
        name: {
            "type": "object",
            "properties": {
                "id": {"type": "string"},
                "provider": {"type": "string", **({"enum": list(each.providers)} if each.providers else {})},
                "type": {"type": "string", "enum": list(each.types or TYPES)},
                "title": {"type": ["string", "null"]},
            },
            "required": ["id", "provider", "type"],
            "credentials_provider": list(each.providers),
            "credentials_types": list(each.types),
        }
        for name, each in find_fields(document, find=find).items()
    }
    return {"type": "object", "properties": properties, "required": []}


def add_credentials(
    document: GraphDocument,
    *,
    masks: Masks,
    references: Mapping[str, Mapping[str, Any]],
    find: FindInterface = find_interface,
) -> Masks:
    """Return the masks of a run with the references where the graph wants them; what masks say themselves counts more.

    Raises `CredentialsInvalidError` for what the graph has no use for.
    """
    fields = find_fields(document, find=find)
    added: dict[str, dict[str, Any]] = {}
    for name, reference in references.items():
        for node_id, pin in _check(name, reference, fields).pins:
            added.setdefault(str(node_id), {})[pin] = dict(reference)
    return {node: {**added.get(node, {}), **masks.get(node, {})} for node in {**added, **masks}}


def _check(name: str, reference: Mapping[str, Any], fields: Mapping[str, CredentialsField]) -> CredentialsField:
    wanted = fields.get(name)
    if wanted is None:
        known = ", ".join(f"“{each}”" for each in fields) or "none"
        # Whatever stands there may be a secret that was put in the wrong place.
        raise CredentialsInvalidError(f"The graph takes no credentials under a name that was given. It takes: {known}.")
    for part, allowed in (("provider", wanted.providers), ("type", wanted.types)):
        if allowed and reference.get(part) not in allowed:
            raise CredentialsInvalidError(f"The {part} of “{name}” must be {' or '.join(allowed)}.")
    return wanted


def _list(schema: Mapping[str, Any], name: str) -> tuple[str, ...]:
    listed = schema.get(name)
    return tuple(sorted(str(each) for each in listed)) if isinstance(listed, list | tuple) else ()
