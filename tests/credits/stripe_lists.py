"""Lists as Stripe gives them: page by page."""

from typing import Any


def list_page(path: str, things: list[dict[str, Any]], form: dict[str, str], most: int) -> dict[str, Any]:
    """Return a page, the newest first; what follows it is asked for by the last one's id."""
    listed = things[::-1]
    if last := form.get("starting_after"):
        listed = listed[[each["id"] for each in listed].index(last) + 1 :]
    size = min(int(form.get("limit", 10)), most)
    return {"object": "list", "data": listed[:size], "has_more": len(listed) > size, "url": path}


def is_listed(thing: dict[str, Any], form: dict[str, str]) -> bool:
    """Whether a refund or dispute is asked for."""
    wanted = form.get("payment_intent", thing["payment_intent"])
    return bool(thing["payment_intent"] == wanted and thing.get("created", 0) >= int(form.get("created[gte]", 0)))
