"""What can go wrong with credits."""

from typing import Final


class CreditsError(Exception):
    """Anything that this app refuses; its text is meant for the user."""


class FundsLackingError(CreditsError):
    """The account can't pay. `balance`, `owed` and `needed` are credits; `needed` is what must come in first.

    Its text begins with `OPENING`.
    """

    OPENING: Final = "The balance is"

    def __init__(self, *, balance: int, owed: int, needed: int) -> None:
        debt = f" {owed} credits are owed for what the balance did not cover." if owed else ""
        super().__init__(f"{self.OPENING} {balance} credits.{debt} At least {needed} more are needed to start a run.")
        self.balance = balance
        self.owed = owed
        self.needed = needed


class AmountInvalidError(CreditsError):
    """An amount is too small, too large, or no multiple of what it has to be."""


class ReasonMissingError(CreditsError):
    """A grant, an adjustment or a decision needs a reason."""


class AccountNotFoundError(CreditsError):
    """There is no such user."""


class EntryConflictError(CreditsError):
    """Another entry with the same idempotency key says something else."""


class PriceInvalidError(CreditsError):
    """A list of costs doesn't have its shape."""


class SummaryTooLongError(CreditsError):
    """A summary has more lines than anybody reads."""


class ExportTooLongError(CreditsError):
    """An export has more rows than are written at once."""


class TopUpNotFoundError(CreditsError):
    """There is no such top-up, or it is somebody else's."""


class RefundRefusedError(CreditsError):
    """A refund can't be asked for, or was decided before."""


class PaymentsOffError(CreditsError):
    """No payment provider is configured."""


class PaymentFailedError(CreditsError):
    """The payment provider refuses, for good: a card was declined, a session doesn't exist."""


class PaymentUnavailableError(CreditsError):
    """The payment provider can't be reached, or doesn't know at the moment: it can be tried again."""


class RefundNotMadeError(PaymentUnavailableError):
    """The provider has certainly not made a refund, and never will by the same order: it has to be ordered anew."""


class EventNotAuthenticError(CreditsError):
    """A webhook's signature is missing, wrong or too old."""
