"""Accounts, their history and payments as the API shows them. Amounts are credits; one credit is one US cent."""

from typing import Any

from rest_framework import serializers

from credits.auto_top_ups import MOST_PER_DAY, MOST_THRESHOLD
from credits.models import Account, EntryType, LedgerEntry, RefundRequest, TopUp
from credits.models.ledger import MAX_BLOCK_ID_LENGTH
from credits.money import MAX_REASON_LENGTH
from credits.reporting import Item, RunUsage, Span, Wanted, position_of
from credits.summaries import By, Scope
from credits.top_ups import LEAST, MOST, STEP


class AutoTopUpSerializer(serializers.Serializer[Any]):
    """When credits are bought automatically, and how many."""

    threshold = serializers.IntegerField(
        min_value=0, max_value=MOST_THRESHOLD, help_text="Credits are bought when the balance is below this."
    )
    amount = serializers.IntegerField(min_value=LEAST, max_value=MOST, help_text=f"In multiples of {STEP}.")
    most_per_day = serializers.IntegerField(
        min_value=1,
        max_value=MOST_PER_DAY,
        required=False,
        help_text="After so many within 24 hours no more are bought, until one of them is older; 10 until you say so.",
    )


class AutoTopUpWishSerializer(AutoTopUpSerializer):
    """The same; an amount of 0 ends it."""

    amount = serializers.IntegerField(
        min_value=0, max_value=MOST, help_text=f"In multiples of {STEP}; 0: nothing is bought any more."
    )


class AccountSerializer(serializers.ModelSerializer[Account]):
    """What a user has."""

    credits = serializers.IntegerField(source="spendable", read_only=True, help_text="The same as `spendable`.")

    balance = serializers.IntegerField(read_only=True, help_text="What there is, what is held included.")
    held = serializers.IntegerField(read_only=True, help_text="Set aside for node executions under way.")
    spendable = serializers.IntegerField(read_only=True, help_text="The balance without what is held.")
    owed = serializers.IntegerField(
        read_only=True, help_text="What the balance did not cover. No run starts until it is paid."
    )
    node_executions = serializers.IntegerField(read_only=True, help_text="All that were ever counted for the fee.")
    low_balance_threshold = serializers.IntegerField(
        min_value=0, max_value=MOST_THRESHOLD, help_text="You are told when the balance falls below this."
    )
    auto_top_up = serializers.SerializerMethodField()

    class Meta:
        model = Account
        fields = [
            "credits",
            "balance",
            "held",
            "spendable",
            "owed",
            "node_executions",
            "low_balance_threshold",
            "auto_top_up",
        ]

    def get_auto_top_up(self, account: Account) -> dict[str, int] | None:
        """Return when credits are bought automatically; null if they aren't."""
        if account.auto_top_up_threshold is None or account.auto_top_up_amount is None:
            return None
        return {"threshold": account.auto_top_up_threshold, "amount": account.auto_top_up_amount}


class WantedSerializer(serializers.Serializer[Any]):
    """Which part of a history."""

    type = serializers.MultipleChoiceField(choices=EntryType.choices, required=False, help_text="May be repeated.")
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
    execution_id = serializers.UUIDField(
        required=False, help_text="Of a run that nobody else's node started: what it used, entry by entry."
    )
    page_size = serializers.IntegerField(min_value=1, max_value=200, default=50)

    def to_wanted(self) -> Wanted:
        """Return what was asked for."""
        asked = self.validated_data
        return Wanted(
            types=sorted(asked.get("type", ())),
            span=Span(since=asked.get("since"), until=asked.get("until")),
            run_id=asked.get("execution_id"),
        )


class SummaryQuerySerializer(serializers.Serializer[Any]):
    """What is summed, and by what."""

    by = serializers.MultipleChoiceField(
        choices=[by.value for by in By],
        required=False,
        help_text="May be repeated; `day` if it is missing. `user` sums what all users used: for those who may see the"
        " ledger.",
    )
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
    graph_id = serializers.UUIDField(required=False, help_text="Only of this graph's runs, their sub-runs included.")
    execution_id = serializers.UUIDField(required=False, help_text="Only of this run, its sub-runs included.")
    block_id = serializers.CharField(required=False, max_length=MAX_BLOCK_ID_LENGTH, help_text="Only of this block.")

    def to_scope(self, account: Account | None) -> Scope:
        """Return whose usage was asked for."""
        asked = self.validated_data
        return Scope(
            account=account,
            span=Span(since=asked.get("since"), until=asked.get("until")),
            graph_id=asked.get("graph_id"),
            run_id=asked.get("execution_id"),
            block_id=asked.get("block_id"),
        )

    def to_dimensions(self) -> list[By]:
        """Return what it is summed by."""
        asked = self.validated_data.get("by") or {By.DAY}
        return [by for by in By if by in asked]


class SummaryItemSerializer(serializers.Serializer[Any]):
    """What was used. Whatever it is not summed by is null."""

    day = serializers.DateField(allow_null=True, help_text="The day, in UTC.")
    block_id = serializers.CharField(allow_null=True, help_text="The block; null for the fee.")
    graph_id = serializers.UUIDField(allow_null=True, help_text="The graph of runs, their sub-runs included.")
    execution_id = serializers.UUIDField(allow_null=True, help_text="The run, its sub-runs included.")
    user_id = serializers.IntegerField(allow_null=True, help_text="The user; null if they are gone.")
    cost = serializers.IntegerField(help_text="What it cost.")
    owed = serializers.IntegerField(help_text="How much of that could not be paid at once.")
    charges = serializers.IntegerField(help_text="How many entries that were.")
    last_at = serializers.DateTimeField()


class EntrySerializer(serializers.ModelSerializer[LedgerEntry]):
    """One change of the balance."""

    number = serializers.IntegerField(source="sequence")
    graph_id = serializers.UUIDField(allow_null=True, help_text="The graph of `execution_id`.")
    root_graph_id = serializers.UUIDField(
        source="started_graph_id", allow_null=True, help_text="The graph of `root_execution_id`."
    )

    class Meta:
        model = LedgerEntry
        fields = [
            "number",
            "type",
            "amount",
            "owed",
            "balance_after",
            "created_at",
            "execution_id",
            "root_execution_id",
            "graph_id",
            "root_graph_id",
            "graph_version",
            "node_id",
            "node_execution_id",
            "block_id",
            "price_version",
            "price_type",
            "quantity",
            "reason",
        ]


class TransactionSerializer(serializers.Serializer[Any]):
    """One line of the history: an entry, or all that a run used (then `entry_count` tells how often)."""

    number = serializers.IntegerField()
    type = serializers.ChoiceField(choices=EntryType.choices)
    amount = serializers.IntegerField(help_text="What the balance changed by.")
    owed = serializers.IntegerField(help_text="What remained owed; below zero: what was paid of it.")
    balance_after = serializers.IntegerField(allow_null=True)
    created_at = serializers.DateTimeField()
    first_at = serializers.DateTimeField()
    entry_count = serializers.IntegerField()
    execution_id = serializers.UUIDField(allow_null=True)
    graph_id = serializers.UUIDField(allow_null=True)
    reason = serializers.CharField()


class HistorySerializer(serializers.Serializer[Any]):
    """A page of the history, newest first."""

    next = serializers.URLField(allow_null=True)
    results = TransactionSerializer(many=True)


def show_item(item: Item) -> dict[str, Any]:
    """Return a line of the history."""
    if isinstance(item, RunUsage):
        facts: dict[str, Any] = {
            "type": EntryType.USAGE,
            "amount": item.owed - item.cost,
            "owed": item.owed,
            "balance_after": None,
            "created_at": item.last_at,
            "first_at": item.first_at,
            "entry_count": item.entry_count,
            "execution_id": item.run_id,
            "graph_id": item.graph_id,
            "reason": "",
        }
    else:
        names = ("type", "amount", "owed", "balance_after", "created_at", "graph_id", "reason")
        facts = {name: getattr(item, name) for name in names}
        facts |= {"first_at": item.created_at, "entry_count": 1, "execution_id": item.root_execution_id}
    return dict(TransactionSerializer({"number": position_of(item), **facts}).data)


class StartTopUpSerializer(serializers.Serializer[Any]):
    """How many credits to buy."""

    amount = serializers.IntegerField(
        required=False, min_value=LEAST, max_value=MOST, help_text=f"In multiples of {STEP}."
    )
    credit_amount = serializers.IntegerField(
        required=False, min_value=LEAST, max_value=MOST, help_text="The same as `amount`."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Take the number under either name."""
        amounts = set(attrs.values())
        if len(amounts) != 1:
            raise serializers.ValidationError({"amount": ["Name one amount."]})
        return {"amount": amounts.pop()}


class TopUpSerializer(serializers.ModelSerializer[TopUp]):
    """Credits that are bought."""

    class Meta:
        model = TopUp
        fields = ["id", "kind", "status", "amount", "error", "created_at", "ended_at"]


class StartedTopUpSerializer(TopUpSerializer):
    """A top-up and where it is paid."""

    checkout_url = serializers.URLField()

    class Meta(TopUpSerializer.Meta):
        fields = [*TopUpSerializer.Meta.fields, "checkout_url"]


class RefundRequestSerializer(serializers.ModelSerializer[RefundRequest]):
    """A wish for the money of a top-up."""

    top_up_id = serializers.UUIDField()
    reason = serializers.CharField(max_length=MAX_REASON_LENGTH)

    class Meta:
        model = RefundRequest
        fields = ["id", "top_up_id", "amount", "reason", "status", "result", "iso_week", "created_at", "decided_at"]
        read_only_fields = ["id", "amount", "status", "result", "iso_week", "created_at", "decided_at"]


class RefundReasonSerializer(serializers.Serializer[Any]):
    """Why somebody wants the money of a top-up."""

    reason = serializers.CharField(max_length=MAX_REASON_LENGTH)


class RefundSerializer(RefundRequestSerializer):
    """A wish for the money of a top-up, with AutoGPT's name of it besides."""

    transaction_key = serializers.UUIDField(source="top_up_id", read_only=True, help_text="The same as `top_up_id`.")

    class Meta(RefundRequestSerializer.Meta):
        fields = [*RefundRequestSerializer.Meta.fields, "transaction_key"]


class PortalSerializer(serializers.Serializer[Any]):
    """The payment provider's own page."""

    url = serializers.URLField(help_text="Its address: it holds for a short while, and only for you.")


class AutoTopUpStandingSerializer(serializers.Serializer[Any]):
    """Whether credits are bought automatically, and what became of it last."""

    threshold = serializers.IntegerField(allow_null=True, help_text="Null: nothing is bought automatically.")
    amount = serializers.IntegerField(allow_null=True, help_text="How many credits are bought at once.")
    most_per_day = serializers.IntegerField(help_text="How often, within 24 hours.")
    paused_until = serializers.DateTimeField(
        allow_null=True, help_text="When so many were made: from when on the next one may be. Null: at any time."
    )
    paused_because = serializers.CharField(
        help_text="Why they wait for you to set them again: a payment went back. Empty: they don't."
    )
    newest = TopUpSerializer(allow_null=True, help_text="The newest automatic top-up, whether it was paid or not.")
