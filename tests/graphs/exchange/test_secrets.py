"""Secrets stay where they are."""

import pytest

from graphs.exchange.secrets import drop_secrets, is_secret_name
from tests.graphs.building import AGENT, GMAIL_SEND, INPUT, INTERFACES


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "apiKey",
        "API-KEY",
        "openai_api_key",
        "token",
        "bot_token",
        "accessToken",
        "refresh_token",
        "password",
        "smtp_password",
        "passwd",
        "secret",
        "client_secret",
        "private_key",
        "credentials",
        "openai_credentials",
        "Authorization",
        "cookie",
        "x-api-key",
    ],
)
def test_a_secret_is_known_by_its_name(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["key", "max_tokens", "keyboard", "tokenizer", "passwordless", "secretary", "name"])
def test_other_names_are_no_secrets(name: str) -> None:
    assert not is_secret_name(name)


def test_constants_with_a_secrets_name_are_left_out_at_any_depth() -> None:
    constants = {"url": "https://x", "headers": {"Authorization": "Bearer x", "list": [{"api_key": "y", "a": 1}]}}

    assert drop_secrets(constants, interface=None) == {"url": "https://x", "headers": {"list": [{"a": 1}]}}


def test_what_a_block_declares_secret_is_left_out() -> None:
    constants = {"body": "Hello", "credentials": {"id": "1"}}

    assert drop_secrets(constants, interface=INTERFACES[GMAIL_SEND]) == {"body": "Hello"}


def test_the_value_of_a_secret_input_is_left_out() -> None:
    secret = {"name": "PIN", "value": "1234", "secret": True}

    assert drop_secrets(secret, interface=INTERFACES[INPUT]) == {"name": "PIN", "secret": True}
    assert drop_secrets(secret | {"secret": False}, interface=INTERFACES[INPUT]) == secret | {"secret": False}


def test_an_agents_pins_may_have_secrets_names_but_no_secret_defaults() -> None:
    schema = {"properties": {"password": {"title": "P", "default": "x"}, "q": {"default": 1}}, "required": ["password"]}

    kept = drop_secrets({"input_schema": schema, "inputs": {"password": "x", "q": 2}}, interface=INTERFACES[AGENT])

    assert kept == {
        "input_schema": {"properties": {"password": {"title": "P"}, "q": {"default": 1}}, "required": ["password"]},
        "inputs": {"q": 2},
    }
