"""A small Stripe: an HTTP server that is as hard to deal with as the real one.

It keeps what it is told and signs what it tells. The answer to an idempotency key is kept until `forget_keys`, even an
error, and is marked as told again; a key that comes with other parameters is refused. A payment intent is charged once.
Nobody may keep a transaction open while it is asked: `waiting_transactions` counts those who did.
"""

import itertools
import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import stripe
from psycopg import Connection

from execution.store.sessions import open_session
from tests.credits.stripe_faults import Answer, Fault
from tests.credits.stripe_lists import is_listed, list_page

WEBHOOK_SECRET = "whsec_of_tests"
AGAIN = "is told again"

_WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
)


class StripeDouble:
    """What Stripe knows, by id. `outage`: every request fails; `decline`: cards are refused with this text.

    `faults` are met one after the other by the requests that begin with what they name (`POST refunds`).
    """

    def __init__(self) -> None:
        self.things: dict[str, dict[str, Any]] = {}
        self.answers: dict[str, tuple[dict[str, str], Answer]] = {}
        self.requests: Counter[str] = Counter()
        self.faults: list[tuple[str, Fault]] = []
        self.outage = False
        self.decline: str | None = None
        self.refund_status = "succeeded"
        self.page_size = 100
        self.charges: list[str] = []
        self.waiting_transactions = 0
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._session: Connection[Any] | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._make_handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "StripeDouble":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        if self._session:
            self._session.close()

    def fail(self, request: str, *faults: Fault) -> None:
        """Let the next requests that begin with this (`POST refunds`) meet these faults, one each."""
        self.faults += [(request, fault) for fault in faults]

    def forget_keys(self) -> None:
        """A day has gone by."""
        self.answers.clear()

    def all_of(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in self.things.values() if each["object"] == kind]

    def pay(self, session_id: str) -> str:
        """Somebody pays at the checkout page; return the payment's id."""
        session = self.things[session_id]
        intent = self._add(
            "pi",
            status="succeeded",
            amount=session["amount_total"],
            currency="usd",
            metadata=session["metadata"],
            object="payment_intent",
        )
        session |= {"payment_status": "paid", "status": "complete", "payment_intent": intent["id"]}
        self.add_card(session["customer"])
        return str(intent["id"])

    def pay_by_bank(self, session_id: str) -> str:
        """Somebody has their bank pay, which takes days; return the payment's id."""
        key = self.pay(session_id)
        self.things[key]["status"], self.things[session_id]["payment_status"] = "processing", "unpaid"
        return key

    def bounce(self, payment_id: str, why: str) -> None:
        """The bank does not pay. The page of it stays as it is."""
        self.things[payment_id] |= {"status": "requires_payment_method", "last_payment_error": {"message": why}}

    def add_card(self, customer_id: str) -> None:
        self._add("pm", object="payment_method", type="card", customer=customer_id)

    def expire(self, session_id: str) -> None:
        self.things[session_id] |= {"status": "expired"}

    def dispute(self, payment_id: str, amount: int = 1_000) -> str:
        """Somebody's bank wants a payment back; return the dispute's id."""
        made = self._add(
            "dp",
            object="dispute",
            payment_intent=payment_id,
            amount=amount,
            status="needs_response",
            evidence_details={"submission_count": 0},
            balance_transactions=[],
        )
        return str(made["id"])

    def refund_by_hand(self, payment_id: str, amount: int) -> None:
        """Somebody sends money back in Stripe's dashboard."""
        self._add("re", object="refund", payment_intent=payment_id, amount=amount, status="succeeded", metadata={})

    def move(self, dispute_id: str, amount: int) -> None:
        """Move the money of a dispute: away from us below zero."""
        dispute = self.things[dispute_id]
        self.things[dispute_id] = {
            **dispute,
            "balance_transactions": [
                *dispute["balance_transactions"],
                {"object": "balance_transaction", "amount": amount},
            ],
        }

    def sign(self, kind: str, thing: dict[str, Any] | str, *, secret: str = WEBHOOK_SECRET) -> tuple[str, str]:
        """Return the body and the signature of an event."""
        about = self.things[thing] if isinstance(thing, str) else thing
        body = json.dumps(
            {"id": "evt_1", "object": "event", "type": kind, "api_version": "2026", "data": {"object": about}}
        )
        return body, stripe.WebhookSignature.generate_signature_header(body, secret)

    def answer(self, method: str, path: str, form: dict[str, str], key: str | None) -> Answer:
        """Answer a request; the same answer to the same idempotency key."""
        with self._lock:
            address = path.strip("/").partition("/")[2]
            self.requests[f"{method} {address.partition('/')[0]}"] += 1
            self.waiting_transactions += self._count_waiting()
            if self.outage:
                return 500, {"error": {"type": "api_error", "message": "We are down."}}
            fault = self._meet(f"{method} {address}")
            if key and key in self.answers:
                return self._repeat(key, form)
            given = self._do(method, path, form) if fault is None or fault.works else fault.answer
            if fault is not None:
                given = fault.answer
            if key and (fault is None or fault.is_kept):
                self.answers[key] = (form, given)
            return given

    def _count_waiting(self) -> int:
        """Return how many sessions have a transaction open and do nothing in it: they wait for us."""
        self._session = self._session or open_session()
        ((count,),) = self._session.execute(_WAITING).fetchall()
        return int(count)

    def _meet(self, request: str) -> Fault | None:
        for number, (wanted, fault) in enumerate(self.faults):
            if request.startswith(wanted):
                del self.faults[number]
                return fault
        return None

    def _repeat(self, key: str, form: dict[str, str]) -> Answer:
        first, (status, content) = self.answers[key]
        if form != first:
            return 400, {"error": {"type": "idempotency_error", "message": "Keys are for the same parameters only."}}
        return status, {**content, AGAIN: True}

    def _do(  # noqa: C901, PLR0911 - one for each address
        self, method: str, path: str, form: dict[str, str]
    ) -> Answer:
        match (method, *path.split("/")[2:]):
            case ("POST", "customers"):
                return 200, self._add("cus", object="customer")
            case ("POST", "checkout", "sessions"):
                return 200, self._open_session(form)
            case ("POST", "billing_portal", "sessions"):
                return 200, self._add("bps", object="billing_portal.session", url=f"{self.address}/portal", **form)
            case ("GET", "customers", customer, "payment_methods"):
                cards = [each for each in self.all_of("payment_method") if each["customer"] == customer]
                return 200, list_page(path, cards, form, self.page_size)
            case ("POST", "payment_intents"):
                return 200, self._prepare(form)
            case ("POST", "payment_intents", intent, "confirm") if intent in self.things:
                return self._confirm(intent)
            case ("POST", "payment_intents", intent, "cancel") if intent in self.things:
                return self._cancel(intent, form)
            case ("GET", "refunds" | "disputes" as kind):
                wanted = [each for each in self.all_of(kind.removesuffix("s")) if is_listed(each, form)]
                return 200, list_page(path, wanted, form, self.page_size)
            case ("POST", "refunds") if form["payment_intent"] in self.things:
                return self._refund(form)
            case ("POST", "disputes", dispute, *rest) if dispute in self.things:
                return self._answer_dispute(dispute, form, gives_in=bool(rest))
            case ("GET", "checkout", "sessions", thing) | ("GET", _, thing) if thing in self.things:
                return 200, self._expand(self.things[thing], form)
        return 404, {
            "error": {"type": "invalid_request_error", "code": "resource_missing", "message": "No such thing."}
        }

    def _expand(self, thing: dict[str, Any], form: dict[str, str]) -> dict[str, Any]:
        wanted = [name for key, name in form.items() if key.startswith("expand[") and thing[name]]
        return thing | {name: self.things[thing[name]] for name in wanted}

    def _open_session(self, form: dict[str, str]) -> dict[str, Any]:
        key = f"cs_{next(self._numbers)}"
        session = {
            "id": key,
            "object": "checkout.session",
            "url": f"{self.address}/pay/{key}",
            "status": "open",
            "payment_status": "unpaid",
            "payment_intent": None,
            "amount_total": int(form["line_items[0][price_data][unit_amount]"]),
            "currency": form["line_items[0][price_data][currency]"],
            "customer": form["customer"],
            "metadata": _part(form, "metadata"),
        }
        self.things[key] = session
        return session

    def _prepare(self, form: dict[str, str]) -> dict[str, Any]:
        return self._add(
            "pi",
            object="payment_intent",
            status="requires_payment_method",
            amount=int(form["amount"]),
            currency=form["currency"],
            metadata=_part(form, "metadata"),
        )

    def _confirm(self, key: str) -> Answer:
        intent = self.things[key]
        if intent["status"] != "requires_payment_method":
            return _refuse("payment_intent_unexpected_state", "It is not to be confirmed.")
        if self.decline:
            problem = {"type": "card_error", "code": "card_declined", "message": self.decline}
            intent["last_payment_error"] = problem
            return 402, {"error": problem}
        intent["status"] = "succeeded"
        self.charges.append(key)
        return 200, intent

    def _cancel(self, key: str, form: dict[str, str]) -> Answer:
        if self.things[key]["status"] not in ("requires_payment_method", "requires_confirmation"):
            return _refuse("payment_intent_unexpected_state", "It is not to be cancelled.")
        self.things[key] |= {"status": "canceled", "cancellation_reason": form.get("cancellation_reason")}
        return 200, self.things[key]

    def _refund(self, form: dict[str, str]) -> Answer:
        sent = sum(
            each["amount"]
            for each in self.all_of("refund")
            if each["payment_intent"] == form["payment_intent"] and each["status"] != "failed"
        )
        if sent + int(form["amount"]) > self.things[form["payment_intent"]]["amount"]:
            return _refuse("charge_already_refunded", "It has been refunded.")
        made = self._add(
            "re",
            object="refund",
            payment_intent=form["payment_intent"],
            amount=int(form["amount"]),
            status=self.refund_status,
            metadata=_part(form, "metadata"),
        )
        return 200, made

    def _answer_dispute(self, key: str, form: dict[str, str], *, gives_in: bool) -> Answer:
        if self.things[key]["status"] != "needs_response":
            return _refuse("dispute_closed", "This dispute is already closed.")
        self.things[key] = {
            **self.things[key],
            **({"status": "lost"} if gives_in else {"status": "under_review", "evidence": form}),
        }
        return 200, self.things[key]

    def _add(self, prefix: str, **facts: Any) -> dict[str, Any]:
        key = f"{prefix}_{next(self._numbers)}"
        self.things[key] = {"id": key, "created": int(time.time()), **facts}
        return self.things[key]

    def _make_handler(self) -> type[BaseHTTPRequestHandler]:
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer("GET")

            def do_POST(self) -> None:
                self._answer("POST")

            def _answer(self, method: str) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                address = urlsplit(self.path)
                form = dict(parse_qsl(body or address.query))
                status, content = double.answer(method, address.path, form, self.headers.get("Idempotency-Key"))
                is_told_again = content.pop(AGAIN, False)
                encoded = json.dumps(content).encode()
                self.send_response(status)
                if is_told_again:
                    self.send_header("Idempotent-Replayed", "true")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(encoded)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(encoded)

            def log_message(self, *_arguments: Any) -> None:
                """Say nothing."""

        return Handler


def _refuse(code: str, message: str) -> Answer:
    return 400, {"error": {"type": "invalid_request_error", "code": code, "message": message}}


def _part(form: dict[str, str], name: str) -> dict[str, str]:
    """Return the object that was sent as `name[key]=value`."""
    return {key[len(name) + 1 : -1]: value for key, value in form.items() if key.startswith(f"{name}[")}
