"""A small Stripe: an HTTP server that keeps what it is told, honours idempotency keys and signs what it tells."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import stripe

WEBHOOK_SECRET = "whsec_of_tests"


class StripeDouble:
    """What Stripe knows, by id. `outage`: every request fails; `decline`: cards are refused with this text."""

    def __init__(self) -> None:
        self.things: dict[str, dict[str, Any]] = {}
        self.answers: dict[str, tuple[int, dict[str, Any]]] = {}
        self.requests: Counter[str] = Counter()
        self.outage = False
        self.decline: str | None = None
        self.refund_status = "succeeded"
        self._lock = threading.Lock()
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
        self._add("pm", object="payment_method", type="card", customer=session["customer"])
        return str(intent["id"])

    def expire(self, session_id: str) -> None:
        self.things[session_id] |= {"status": "expired"}

    def sign(self, kind: str, thing: dict[str, Any] | str, *, secret: str = WEBHOOK_SECRET) -> tuple[str, str]:
        """Return the body and the signature of an event."""
        about = self.things[thing] if isinstance(thing, str) else thing
        body = json.dumps(
            {"id": "evt_1", "object": "event", "type": kind, "api_version": "2026", "data": {"object": about}}
        )
        return body, stripe.WebhookSignature.generate_signature_header(body, secret)

    def answer(self, method: str, path: str, form: dict[str, str], key: str | None) -> tuple[int, dict[str, Any]]:
        """Answer a request; the same answer to the same idempotency key."""
        with self._lock:
            self.requests[f"{method} {path.split('/')[2]}"] += 1
            if self.outage:
                return 500, {"error": {"type": "api_error", "message": "We are down."}}
            if key and key in self.answers:
                return self.answers[key]
            given = self._do(method, path.strip("/").split("/")[1:], form)
            if key:
                self.answers[key] = given
            return given

    def _do(  # noqa: PLR0911 - one for each address
        self, method: str, parts: list[str], form: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        match (method, *parts):
            case ("POST", "customers"):
                return 200, self._add("cus", object="customer")
            case ("POST", "checkout", "sessions"):
                return 200, self._open_session(form)
            case ("GET", "customers", customer, "payment_methods"):
                cards = [
                    each
                    for each in self.things.values()
                    if each["object"] == "payment_method" and each["customer"] == customer
                ]
                return 200, {"object": "list", "data": cards, "has_more": False, "url": "/"}
            case ("POST", "payment_intents"):
                return self._charge(form)
            case ("POST", "refunds"):
                refund = self._add(
                    "re",
                    object="refund",
                    payment_intent=form["payment_intent"],
                    amount=int(form["amount"]),
                    status=self.refund_status,
                )
                return 200, refund
            case ("POST", "disputes", dispute, *rest):
                self.things[dispute] |= {"status": "lost"} if rest else {"evidence": form}
                return 200, self.things[dispute]
            case ("GET", "checkout", "sessions", session) if session in self.things:
                return 200, self.things[session]
        return 404, {"error": {"type": "invalid_request_error", "message": "No such thing."}}

    def _open_session(self, form: dict[str, str]) -> dict[str, Any]:
        key = f"cs_{len(self.things)}"
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

    def _charge(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if self.decline:
            return 402, {"error": {"type": "card_error", "code": "card_declined", "message": self.decline}}
        intent = self._add(
            "pi",
            object="payment_intent",
            status="succeeded",
            amount=int(form["amount"]),
            currency=form["currency"],
            metadata=_part(form, "metadata"),
        )
        return 200, intent

    def _add(self, prefix: str, **facts: Any) -> dict[str, Any]:
        key = f"{prefix}_{len(self.things)}"
        self.things[key] = {"id": key, **facts}
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
                path = urlsplit(self.path).path
                status, content = double.answer(
                    method, path, dict(parse_qsl(body)), self.headers.get("Idempotency-Key")
                )
                encoded = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(encoded)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(encoded)

            def log_message(self, *_arguments: Any) -> None:
                """Say nothing."""

        return Handler


def _part(form: dict[str, str], name: str) -> dict[str, str]:
    """Return the object that was sent as `name[key]=value`."""
    return {key[len(name) + 1 : -1]: value for key, value in form.items() if key.startswith(f"{name}[")}
