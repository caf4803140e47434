"""Old block ids that exported agents still carry. They are not UUIDs; each stands for a block that has one."""

from types import MappingProxyType

ALIASES = MappingProxyType(
    {
        "b2g2c3d4-5e6f-7g8h-9i0j-k1l2m3n4o5p6": "0e50422c-6dee-4145-83d6-3a5a392f65de",  # FindInDictionary
        "f8e7d6c5-b4a3-2c1d-0e9f-8g7h6i5j4k3l": "c34cebc5-26ef-4c48-8dc8-52e9a71a4fcc",  # ListIterator
        "aeb08fc1-2fc1-4141-bc8e-f758f183a812": "aeb08fc1-2fc1-4141-bc8e-f758f183a822",  # AddToList
        "d67a9c52-5e4e-11e2-bcfd-0770200c9c61": "d67a9c52-5e4e-11e2-bcfd-0800200c9a71",  # CountdownTimer
        "31d1064e-7446-4693-o7d4-65e5ca9110d1": "cc10ff7b-7753-4ff2-9af6-9399b1a7eddc",  # Note
        "b2c3d4e5-6f7g-8h9i-0j1k-l2m3n4o5p6q7": "87840993-2053-44b7-8da4-187ad4ee518c",  # SearchTheWeb
    }
)


def resolve(block_id: str) -> str:
    """Return the id that `block_id` stands for: itself, unless it is an old one."""
    return ALIASES.get(block_id, block_id)
