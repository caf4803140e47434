"""Prices for chaos: every other node execution costs something, and somebody can pay."""

from typing import Final
from uuid import uuid4

from django.contrib.auth.models import User

from credits.money import grant
from credits.price_list import set_price
from graphs.blocks.registry import all_blocks

RICH: Final = 10**9


def make_blocks_cost(user: User) -> None:
    """Give the user a lot, and half of the blocks a price, each its own."""
    grant(user_id=user.pk, amount=RICH, reason="Chaos is expensive.", key=uuid4())
    for number, block in enumerate(sorted(all_blocks(), key=lambda block: block.id)):
        if number % 2:
            set_price(block_id=block.id, costs=[{"amount": number}], reason="Chaos.")
