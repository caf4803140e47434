"""What an admin fills in."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from django import forms

from credits.exceptions import PriceInvalidError
from credits.models import BlockPrice, TopUp
from credits.money import MAX_REASON_LENGTH
from credits.price_list import list_blocks
from credits.pricing import MOST_CREDITS, read_costs


class MovementForm(forms.Form):
    """Credits by hand. `key` is drawn when the form is shown: sent twice, it moves once."""

    kind = forms.ChoiceField(choices=[("grant", "Grant"), ("adjust", "Adjust (up or down)")])
    amount = forms.IntegerField(min_value=-MOST_CREDITS, max_value=MOST_CREDITS)
    reason = forms.CharField(max_length=MAX_REASON_LENGTH)
    key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)


class DecisionForm(forms.Form):
    """What becomes of a refund request."""

    decision = forms.ChoiceField(choices=[("approve", "Send the money back"), ("reject", "Refuse")])
    reason = forms.CharField(max_length=MAX_REASON_LENGTH)


class RefundForm(forms.Form):
    """A refund that nobody has asked for. `key` is drawn when the form is shown: sent twice, it is made once."""

    top_up = forms.ChoiceField(label="Top-up")
    amount = forms.IntegerField(min_value=1, max_value=MOST_CREDITS)
    reason = forms.CharField(max_length=MAX_REASON_LENGTH)
    key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)

    def __init__(self, data: Any = None, *, refundable: Sequence[tuple[TopUp, int]]) -> None:
        """Offer these top-ups, each with how much of it can be sent back."""
        super().__init__(data, prefix="refund")
        self.fields["top_up"].choices = [  # type: ignore[attr-defined]
            (str(top_up.pk), f"{top_up.created_at:%Y-%m-%d %H:%M}: {top_up.amount}, of which {left} can be sent back")
            for top_up, left in refundable
        ]


def _block_choices() -> list[tuple[str, str]]:
    return sorted(list_blocks().items(), key=lambda block: block[1].lower())


class PriceForm(forms.ModelForm[BlockPrice]):
    """A price list."""

    block_id = forms.ChoiceField(label="Block", choices=_block_choices)

    class Meta:
        model = BlockPrice
        fields = ["block_id", "costs", "charge_on_failure", "reason"]
        help_texts = {
            "costs": '[{"amount": 5, "type": "RUN", "divisor": 1, "filter": {"model": "large"}}]: the first whose'
            " filter the inputs contain holds; [] is free; empty: what the block's code says."
        }

    def clean_costs(self) -> Any:
        """Say what is wrong with a price list."""
        costs = self.cleaned_data["costs"]
        if costs is not None:
            try:
                read_costs(costs)
            except PriceInvalidError as error:
                raise forms.ValidationError(str(error)) from None
        return costs

    def clean_reason(self) -> str:
        """Ask for a reason that says something."""
        reason: str = self.cleaned_data["reason"]
        if not reason.strip():
            raise forms.ValidationError("A price needs a reason.")
        return reason
