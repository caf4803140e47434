"""Secrets stay where they are."""

import time

import pytest

from graphs.exchange.secret_names import is_secret_name
from graphs.exchange.secrets import drop_secrets
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
        "X-Auth-Token",
        "Ocp-Apim-Subscription-Key",
        "Proxy-Authorization",
        "openai_key",
        "openaiKey",
        "OpenAI Key",
        "open_router_key",
        "Google Maps API Key (required)",
        "API key 2",
        "api_keys",
        "private_key_pem",
        "private_key_base64",
        "connection_string",
        "db_connection_uri",
        "auth",
        "basic_auth",
        "bearer",
        "dsn",
        "sentry_dsn",
        "smtp_pass",
        "session_cookies",
        "headers_#_Authorization",
        "values_$_0_#_apiKey",
    ],
)
def test_a_secret_is_known_by_its_name(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("key", "max_tokens", "keyboard", "tokenizer", "passwordless", "secretary", "name", "", "2", "value"),
        *("keyword", "seed_keyword", "token_count", "tokens", "page_token", "next_page_token", "stop_token"),
        *("sort_key", "cluster_key", "stratify_key", "weight_key", "primary_key", "public_key", "Key", "map_#_key"),
        *(
            "author",
            "author_id",
            "authority",
            "connection",
            "string",
            "uri",
            "pass",
            "compass",
            "bearing",
            "cookie_count",
        ),
        *("credentials_provider", "credentials_scopes", "auth_type", "password_length", "has_webhook_trigger"),
        "a text that is no name at all but says something at great length, and ends with the word "
        + "x" * 200
        + " token",
    ],
)
def test_other_names_are_no_secrets(name: str) -> None:
    assert not is_secret_name(name)


def test_constants_with_a_secrets_name_are_left_out_at_any_depth() -> None:
    constants = {"url": "https://x", "headers": {"Authorization": "Bearer x", "list": [{"api_key": "y", "a": 1}]}}

    assert drop_secrets(constants, interface=None) == {"url": "https://x", "headers": {"list": [{"a": 1}]}}


@pytest.mark.parametrize("label", ["name", "key", "header"])
@pytest.mark.parametrize("name", ["Authorization", "X-Api-Key", "cookie"])
def test_a_value_beside_a_secrets_name_is_left_out(label: str, name: str) -> None:
    constants = {"headers": [{label: name, "value": "x"}, {label: "Accept", "value": "y"}]}

    kept = [{label: name}, {label: "Accept", "value": "y"}]
    assert drop_secrets(constants, interface=None) == {"headers": kept}


def test_among_headers_a_pair_is_a_name_with_its_value() -> None:
    pairs = [["Authorization", "Bearer x"], ["Accept", "text/html"]]

    assert drop_secrets({"headers": pairs, "columns": [["token", "password"]]}, interface=None) == {
        "headers": [["Authorization", None], ["Accept", "text/html"]],
        "columns": [["token", "password"]],
    }


def test_the_lines_of_a_header_text_are_names_with_values() -> None:
    text = "Accept: text/html\nAuthorization: Bearer x\n  x-api-key : y"

    assert drop_secrets({"headers": text}, interface=None) == {
        "headers": "Accept: text/html\nAuthorization:\n  x-api-key :"
    }


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('{"Authorization": "Bearer x", "Accept": "ä"}', '{"Accept": "ä"}'),
        ('[{"name": "X-Api-Key", "value": "x"}]', '[{"name": "X-Api-Key"}]'),
        ('{ "a":1 }', '{ "a":1 }'),
        ("{not json}", "{not json}"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_json_text_is_read(text: str, kept: str) -> None:
    assert drop_secrets({"body": text}, interface=None) == {"body": kept}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("https://user:pw@host/path?q=1", "https://host/path?q=1"),
        ("postgres://u:p%40w@db:5432/x", "postgres://db:5432/x"),
        ("redis://:pw@host/0", "redis://host/0"),
        ("https://user:p@w@host/", "https://host/"),
        ("https://ghp_0123456789abcdefghij@github.com/x.git", "https://github.com/x.git"),
        ("https://host/?token=abc&page=2#access_token=x", "https://host/?token=&page=2#access_token="),
        ("https://host/?q=a&api%5Fkey=abc", "https://host/?q=a&api%5Fkey="),
        ("https://host/?key=AIzaSy0123456789abcdefghijklmnopqrstu", "https://host/?key="),
        ("see https://a:b@x.org, and https://c:d@y.org.", "see https://x.org, and https://y.org."),
    ],
)
def test_credentials_inside_addresses_are_left_out(text: str, kept: str) -> None:
    assert drop_secrets({"url": text, "list": [text]}, interface=None) == {"url": kept, "list": [kept]}


@pytest.mark.parametrize(
    "text",
    [
        "https://host/path?q=1&key=name&page_token=5&max_tokens=7#part",
        "ssh://git@github.com/x.git",
        "https://{{ user }}:{{ password }}@host/?token={{ token }}",
        "mailto:ada@example.org",
        "10:30 @ the office: https://host/@ada",
        "sk-learn",
        "sk-learn-is-a-long-name-for-a-library",
        "Bearer of good news",
        "def token(): ...",
    ],
)
def test_harmless_texts_stay(text: str) -> None:
    assert drop_secrets({"text": text}, interface=None) == {"text": text}


@pytest.mark.parametrize(
    "text",
    [
        "sk-proj-abcdEFGH01234567",
        "Bearer sk-abcdEFGH01234567abcd",
        "ghp_0123456789abcdefghij0123456789",
        "AKIAABCDEFGHIJKLMNOP",
        "xoxb-1234567890-abcdef",
        "eyJhbGciOiJI.eyJzdWIiOiIx.abc-DEF",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_what_can_be_nothing_but_a_key_is_left_out_whatever_it_is_called(text: str) -> None:
    assert drop_secrets({"input": text, "list": [text, "a"]}, interface=None) == {"input": "", "list": ["", "a"]}


@pytest.mark.parametrize("text", ["{{ token }}", "Bearer {key}", "$TOKEN", "<your token>"])
def test_where_a_secret_will_be_put_in_is_no_secret(text: str) -> None:
    constants = {"headers": {"Authorization": text}}

    assert drop_secrets(constants, interface=None) == constants


def test_harmless_constants_of_real_blocks_stay() -> None:
    constants = {"key": "token", "input": {"a": 1}, "max_tokens": 100, "keyword": "x", "token_count": 3, "secret": True}

    assert drop_secrets(constants, interface=None) == constants


@pytest.mark.parametrize("text", ["a:" * 200_000, "?a" * 200_000, "sk-" + "a-" * 200_000, "-----BEGIN " * 50_000])
def test_a_long_text_takes_no_long_time(text: str) -> None:
    begin = time.monotonic()

    drop_secrets({"url": f"https://{text}!", "headers": text}, interface=None)

    assert time.monotonic() - begin < 5


def test_what_a_block_declares_secret_is_left_out() -> None:
    constants = {"body": "Hello", "credentials": {"id": "1"}}

    assert drop_secrets(constants, interface=INTERFACES[GMAIL_SEND]) == {"body": "Hello"}


def test_the_value_of_a_secret_input_is_left_out() -> None:
    secret = {"name": "PIN", "value": "1234", "secret": True}

    assert drop_secrets(secret, interface=INTERFACES[INPUT]) == {"name": "PIN", "secret": True}
    assert drop_secrets(secret | {"secret": False}, interface=INTERFACES[INPUT]) == secret | {"secret": False}


@pytest.mark.parametrize("label", ["name", "title"])
def test_the_value_of_an_input_with_a_secrets_name_is_left_out(label: str) -> None:
    constants = {"name": "x"} | {label: "OpenAI API key"}

    kept = drop_secrets(constants | {"value": "1234"}, interface=INTERFACES[INPUT])

    assert kept == constants


def test_an_agents_pins_may_have_secrets_names_but_no_secret_defaults() -> None:
    schema = {"properties": {"password": {"title": "P", "default": "x"}, "q": {"default": 1}}, "required": ["password"]}

    kept = drop_secrets({"input_schema": schema, "inputs": {"password": "x", "q": 2}}, interface=INTERFACES[AGENT])

    assert kept == {
        "input_schema": {"properties": {"password": {"title": "P"}, "q": {"default": 1}}, "required": ["password"]},
        "inputs": {"q": 2},
    }
