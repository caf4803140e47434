"""How the admin's pages show values, names and links: cut to what a page can bear."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import UUID

from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from execution.bounds import Hidden
from execution.large_values import find_reference, read

MAX_SHOWN: Final = 200
"""Node executions, outputs or inputs that one page shows."""

MAX_SHOWN_TEXT: Final = 4_000
"""Characters of a value that a page shows."""


def show_values(values: Iterable[tuple[str, Any]]) -> SafeString:
    """Show named values, one below the other."""
    return format_html_join("", "<p><b>{}</b> {}</p>", ((name, show_value(value)) for name, value in values))


def show_forms(forms: Iterable[tuple[str, Any]]) -> SafeString:
    """Show named values as rows keep them. What lies in the storage is not read."""
    return format_html_join("", "<p><b>{}</b> {}</p>", ((name, show_form(form)) for name, form in forms))


def show_form(form: Any) -> SafeString:
    """Show a value as a row keeps it. One that lies in the storage is not read."""
    found = find_reference(form)
    return show_value(Hidden(found.bytes) if found else read(form))


def tell_large(forms: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by name from their forms; in place of those that lie in the storage, how large they are."""
    references = ((name, form, find_reference(form)) for name, form in forms.items())
    return {name: f"({found.bytes:,} bytes)" if found else read(form) for name, form, found in references}


def show_value(value: Any) -> SafeString:
    """Show a value as JSON."""
    if isinstance(value, Hidden):
        return format_html("({} bytes)", f"{value.bytes:,}")
    return format_html("<code>{}</code>", cut_text(json.dumps(value, ensure_ascii=False)))


def cut_text(text: str) -> str:
    """Return the text, cut to what a page can bear."""
    return text if len(text) <= MAX_SHOWN_TEXT else f"{text[:MAX_SHOWN_TEXT]}… ({len(text):,} characters)"


def tell_rest(count: int) -> SafeString:
    """Say how many there are if not all are shown."""
    return format_html("<p>… {} in all</p>", count) if count > MAX_SHOWN else SafeString("")


def name_node(nodes: Any, node_id: UUID) -> str:
    """Return what a node is called in its plan."""
    return nodes[node_id].name if node_id in nodes else str(node_id)


def link_to(model: type[Model], key: Any, text: str) -> SafeString:
    """Return a link to a row's page."""
    address = reverse(f"admin:execution_{model._meta.model_name}_change", args=[key])
    return format_html('<a href="{}">{}</a>', address, text)
