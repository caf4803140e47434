"""What a payment provider tells by itself. It tells things twice and in any order; nothing here minds."""

from collections.abc import Mapping

from credits.payments import get_provider
from credits.payments.provider import Dispute, Payment, Refund, SessionNews
from credits.reversals import follow_dispute, follow_refund
from credits.top_ups import complete_session, enter_payment


def follow_news(*, body: bytes, headers: Mapping[str, str]) -> None:
    """Do what an event asks for. Raises `EventNotAuthenticError`, and the provider's errors: it tells again then."""
    news = get_provider().read_news(body, headers)
    if isinstance(news, SessionNews):
        complete_session(news.session_id)
    elif isinstance(news, Payment):
        enter_payment(news)
    elif isinstance(news, Refund):
        follow_refund(news)
    elif isinstance(news, Dispute):
        follow_dispute(news)
