"""Whether people give a name to secrets: `api_key`, `botToken`, `OpenAI key`, `X-Auth-Token`.

A name is read word by word, and its end decides: `token` is a secret, `token_count` is none.
"""

import re
from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SECRETS: Final = _words(
    "password passwd passphrase passcode pwd secret secrets token credential credentials creds authorization auth"
    " cookie cookies bearer jwt dsn apikey apikeys apitoken authtoken accesstoken"
)
_OF_KEYS: Final = _words(
    "api access private secret signing encryption client auth bot refresh bearer webhook ssh rsa master service"
    " account subscription deploy license hmac"
)
_OF_CONNECTIONS: Final = _words("connection conn")
_QUALIFIED: Final = {
    **dict.fromkeys(["key", "keys", "tokens"], _OF_KEYS),
    **dict.fromkeys(["string", "str", "uri"], _OF_CONNECTIONS),
    "pass": _words("smtp db database user mail email ftp imap admin root"),
}
_PROVIDERS: Final = _words(
    "airtable anthropic apollo aws azure cloudflare cohere deepgram deepseek discord e2b elevenlabs exa fal firebase"
    " firecrawl gemini github gitlab google googlemaps groq hubspot huggingface ideogram jina mailgun mistral ollama"
    " openai openrouter openweathermap perplexity pinecone reddit replicate resend revid runway sendgrid serpapi serper"
    " slack smartlead stripe supabase tavily telegram todoist twilio twitter unrealspeech voyage zerobounce"
)
_HARMLESS_TOKENS: Final = _words("page sync continuation stop eos bos pad sep cls mask unk")
_FILLERS: Final = _words("pem value text string base json raw plain header here required optional")

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_ASIDE: Final = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_WORD: Final = re.compile(r"[a-z0-9]+")
_MAX_LENGTH: Final = 200
"""A longer text is no name of anything."""

_MAX_PROVIDER_WORDS: Final = 3


def is_secret_name(name: str) -> bool:
    """Tell by the last words of the name; `max_tokens`, `keyword`, `sort_key` and `key` alone are no secrets."""
    if len(name) > _MAX_LENGTH:
        return False
    words = [
        word.rstrip("0123456789") or word for word in _WORD.findall(_CAMEL.sub("_", _ASIDE.sub(" ", name)).lower())
    ]
    while words and not _ends_in_secret(words) and (words[-1] in _FILLERS or words[-1].isdigit()):
        words.pop()
    return _ends_in_secret(words)


def _ends_in_secret(words: list[str]) -> bool:
    if not words:
        return False
    *before, last = words
    previous = before[-1] if before else ""
    if last in _SECRETS:
        return not (last == "token" and previous in _HARMLESS_TOKENS)
    if previous in _QUALIFIED.get(last, ()):
        return True
    return last in ("key", "keys") and any(
        "".join(before[-count:]) in _PROVIDERS for count in range(1, _MAX_PROVIDER_WORDS + 1)
    )
