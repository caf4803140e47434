"""Django's settings. Everything that differs between machines comes from the environment; without it, all is local.

DATABASE_URL    postgres://user:password@host:port/name   instead of the embedded PostgreSQL
REDIS_URL       redis://host:port/0                        instead of the embedded Valkey
BROKER_URL      amqp://user:password@host:port/vhost       a broker other than REDIS_URL's server

What is only the API's is in `config.api_settings`.
"""

import os
from typing import Any

import django_stubs_ext
from celery.schedules import crontab
from kombu import Exchange, Queue

from config import embedded
from config.api_settings import *  # noqa: F403
from config.environment import (
    broker_url_of,
    check_broker_url,
    parse_database_url,
    read_bool,
    read_float,
    read_int,
    read_list,
    with_database,
)
from config.local import LOCAL_DIR, read_secret
from config.logs import logging_settings

# Makes Django's generic classes (`Paginator[Graph]`) subscriptable, as the type checker wants them.
django_stubs_ext.monkeypatch()

# --- The servers -----------------------------------------------------------------------------------------------------

_database_url = os.environ.get("DATABASE_URL")
_redis_url = os.environ.get("REDIS_URL")
_broker_url = os.environ.get("BROKER_URL")

# Which servers are ours to start (config.startup does it, not these settings).
EMBEDDED_SERVERS = tuple(
    name
    for name, is_ours in (
        (embedded.POSTGRES, not _database_url),
        (embedded.VALKEY, not _redis_url and not _broker_url),
    )
    if is_ours
)

_database: dict[str, Any] = parse_database_url(_database_url) if _database_url else embedded.database_settings()
if os.environ.get("DATABASE_NAME"):
    # Another database of the same server: test runs give theirs to the worker processes that they start.
    _database["NAME"] = os.environ["DATABASE_NAME"]

_database_options = _database.get("OPTIONS", {})
_session_options = (
    # Who freezes in the middle of a transaction must not lock others out for ever.
    "-c idle_in_transaction_session_timeout=30s"
    # What is prepared is planned for any run. Planned for one, it would read all of a run that is too young for the
    # statistics: that one is taken for small.
    " -c plan_cache_mode=force_generic_plan"
)
DATABASES = {
    "default": {
        **_database,
        "OPTIONS": _database_options
        | {"options": f"{_session_options} {_database_options.get('options', '')}".strip()},
        "ENGINE": "django.db.backends.postgresql",
        # Workers keep their sessions. The ASGI server has a thread, and so a session, for each request (config.asgi).
        "CONN_MAX_AGE": 0 if read_bool("DATABASE_SESSION_PER_REQUEST", default=False) else None,
        "CONN_HEALTH_CHECKS": True,
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

if _redis_url:
    check_broker_url("REDIS_URL", _redis_url, schemes=("redis", "rediss", "unix"))
REDIS_URL: str | None = _redis_url or (None if _broker_url else embedded.valkey_url())
if REDIS_URL and os.environ.get("REDIS_DATABASE"):
    REDIS_URL = with_database(REDIS_URL, os.environ["REDIS_DATABASE"])

CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL, "KEY_PREFIX": "cache"}
    if REDIS_URL
    # RabbitMQ only: each process counts for itself.
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}

# --- Celery ----------------------------------------------------------------------------------------------------------

if _broker_url:
    check_broker_url("BROKER_URL", _broker_url, schemes=("amqp", "amqps", "pyamqp", "redis", "rediss"))
CELERY_BROKER_URL = _broker_url or broker_url_of(str(REDIS_URL))
_broker_is_redis = CELERY_BROKER_URL.startswith("redis")
if _broker_url and _broker_is_redis and os.environ.get("REDIS_DATABASE"):
    CELERY_BROKER_URL = with_database(_broker_url, os.environ["REDIS_DATABASE"])

CELERY_BROKER_TRANSPORT_OPTIONS = (
    {
        # Without time-outs a dead connection blocks for ever.
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 5,
        # A copy of each message that is not acknowledged yet, kept in Redis to be sent again, would cost four commands
        # per message, and starts things twice. Our rows know better what is lost.
        "ack_emulation": False,
    }
    if _broker_is_redis
    else {"confirm_publish": True, "read_timeout": 20, "write_timeout": 5}
)
CELERY_BROKER_CONNECTION_TIMEOUT = 4
CELERY_BROKER_HEARTBEAT = 10
CELERY_BROKER_POOL_ACQUIRE_TIMEOUT = 2
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True

# A message is a hint, the row is the truth: acknowledge at once, reserve nothing that can't be run now.
CELERY_TASK_ACKS_LATE = False
CELERY_TASK_REJECT_ON_WORKER_LOST = False
CELERY_WORKER_DISABLE_PREFETCH = _broker_is_redis
CELERY_WORKER_PREFETCH_MULTIPLIER = 0 if _broker_is_redis else 1
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0.05, "interval_max": 0.2}
CELERY_TASK_IGNORE_RESULT = True
CELERY_RESULT_BACKEND = None
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]

CPU_QUEUE = "cpu"
IO_QUEUE = "io"
# Workers that take from a queue take from its backlog, too: see execution.queues.
BACKLOG_QUEUES = {queue: f"{queue}.backlog" for queue in (CPU_QUEUE, IO_QUEUE)}
CELERY_TASK_QUEUES = [
    Queue(name, Exchange(name), routing_key=name) for names in BACKLOG_QUEUES.items() for name in names
]
CELERY_TASK_DEFAULT_QUEUE = CPU_QUEUE
CELERY_TASK_CREATE_MISSING_QUEUES = False

CELERY_WORKER_MAX_TASKS_PER_CHILD = 50_000
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 400_000  # KiB
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 20
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

# Flower sees every task.
CELERY_WORKER_SEND_TASK_EVENTS = True

CELERY_BEAT_SCHEDULER = "scheduling.beat:Scheduler"
CELERY_TIMEZONE = "UTC"
# What the system does by itself (see scheduling.upkeep). Users' schedules are rows of their own.
CELERY_BEAT_SCHEDULE = {
    name: {"task": task, "schedule": schedule, "options": {"queue": CPU_QUEUE, "expire_seconds": 3600}}
    for name, task, schedule in (
        ("Recover what is lost", "upkeep.recover", crontab()),
        ("Report late runs", "upkeep.report_late_runs", crontab(minute="*/5")),
        ("Report failing blocks", "upkeep.report_failing_blocks", crontab(minute="30", hour="6")),
        ("Delete what is too old", "upkeep.prune", crontab(minute="17")),
        ("Remove files of runs that are gone", "upkeep.clean_up_files", crontab(minute="40", hour="3")),
        ("Audit the ledger", "upkeep.audit_ledger", crontab(minute="10", hour="4")),
        ("Catch up with notices and automatic top-ups", "credits.catch_up", crontab()),
        ("Ask about refunds and disputes", "credits.find_lost_news", crontab(minute="25", hour="4")),
        ("Mail notices", "notices.deliver", crontab()),
        ("Forget old answers", "answers.forget", crontab(minute="23")),
    )
}

# A run that is QUEUED or RUNNING for longer (seconds) is reported as late.
LATE_QUEUED_SECONDS = read_float("LATE_QUEUED_SECONDS", default=5 * 60)
LATE_RUNNING_SECONDS = read_float("LATE_RUNNING_SECONDS", default=24 * 60 * 60)
# So is a block of which this part (0 to 1) of at least so many executions in so many seconds failed.
BLOCK_REPORT_SECONDS = read_float("BLOCK_REPORT_SECONDS", default=24 * 60 * 60)
BLOCK_REPORT_EXECUTIONS = read_int("BLOCK_REPORT_EXECUTIONS", default=10, least=1)
BLOCK_REPORT_ERROR_RATE = read_float("BLOCK_REPORT_ERROR_RATE", default=0.5, least=0, most=1)

# --- The engine ------------------------------------------------------------------------------------------------------

BLOCK_MODULES = ["graphs.blocks"]
MAX_NODE_EXECUTIONS_PER_RUN = read_int("MAX_NODE_EXECUTIONS_PER_RUN", default=10_000)
MAX_SUB_RUN_DEPTH = read_int("MAX_SUB_RUN_DEPTH", default=10)

# A value of more JSON than this lies in the storage instead of its row.
LARGE_VALUE_BYTES = read_int("LARGE_VALUE_BYTES", default=64 * 1024, least=64 * 1024)

# How many messages of one run are in a queue at most: some times what the workers of that queue run at once, or they
# wait for messages. The more, the longer other runs wait behind a large one.
RUN_WINDOW = {
    CPU_QUEUE: read_int("RUN_WINDOW_CPU", default=8, least=2),
    IO_QUEUE: read_int("RUN_WINDOW_IO", default=128, least=2),
}
# For so long (seconds) a process goes on in place at least (see execution.stay); 0: all comes by messages.
RUN_IN_PLACE_SECONDS = read_float("RUN_IN_PLACE_SECONDS", default=0.1, least=0, most=1)
# So many node executions of quick blocks a process claims at once at most, and records together. 1: each by itself.
MOST_AT_ONCE = read_int("MOST_AT_ONCE", default=8, least=1)
# How many runs of one user go on at once; more wait their turn.
MAX_CONCURRENT_RUNS_PER_USER = read_int("MAX_CONCURRENT_RUNS_PER_USER", default=100, least=1)

# Who runs a node execution says so again three times per lease. When it has not for this long (seconds), it is lost.
LEASE_SECONDS = read_float("LEASE_SECONDS", default=10)
# A node execution that has lost so many workers is not given another one.
MAX_LOSSES = read_int("MAX_LOSSES", default=3)
# A message that is so old (seconds) is looked for with a probe; while there is a reason, a probe is sent so often.
MESSAGE_PATIENCE_SECONDS = read_float("MESSAGE_PATIENCE_SECONDS", default=3)
PROBE_SECONDS = read_float("PROBE_SECONDS", default=5)
# How long (seconds) a worker tries to record what it has done while the database is away.
RECORD_PATIENCE_SECONDS = read_float("RECORD_PATIENCE_SECONDS", default=60)
# How long (seconds) a worker that is told to stop lets blocks run on before it hands them back.
SHUTDOWN_GRACE_SECONDS = read_float("SHUTDOWN_GRACE_SECONDS", default=20)
# An `io` worker whose event loop stands still for so long (seconds), because a block doesn't let go of it, is replaced.
# Before the leases of what runs there can run out: up to a third of them may have passed when it begins.
LOOP_PATIENCE_SECONDS = read_float(
    "LOOP_PATIENCE_SECONDS", default=min(5, 0.6 * LEASE_SECONDS), least=0, most=0.6 * LEASE_SECONDS
)
# Workers delete runs (with what belongs to them) that ended so many days ago; 0: they are kept.
EXECUTION_RETENTION_DAYS = read_float("EXECUTION_RETENTION_DAYS", default=0)
# What became of schedules' times is kept for so many days; 0: for ever.
OCCURRENCE_RETENTION_DAYS = read_float("OCCURRENCE_RETENTION_DAYS", default=90)

# What users were told is kept for so many days; 0: for ever.
NOTICE_RETENTION_DAYS = read_float("NOTICE_RETENTION_DAYS", default=90)

# --- Mail ------------------------------------------------------------------------------------------------------------

# Without a server nothing is mailed. Users are sent their notices, ADMINS (addresses) what goes wrong.
EMAIL_HOST = os.environ.get("EMAIL_HOST", "")
EMAIL_PORT = read_int("EMAIL_PORT", default=587 if EMAIL_HOST else 25)
EMAIL_HOST_USER = os.environ.get("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = os.environ.get("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = read_bool("EMAIL_USE_TLS", default=EMAIL_PORT == 587)
EMAIL_TIMEOUT = 10
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'dummy'}.EmailBackend"
DEFAULT_FROM_EMAIL = SERVER_EMAIL = os.environ.get("EMAIL_FROM") or "graph-engine@localhost"
ADMINS = [(address, address) for address in read_list("ADMINS")]
NOTICES_BY_MAIL = bool(EMAIL_HOST)

# --- Credits (one is a US cent) --------------------------------------------------------------------------------------

# What a new user is given.
INITIAL_CREDITS = read_int("INITIAL_CREDITS", default=1_500)
# So many node executions of a user cost a credit, besides what their blocks cost; 0: none.
NODE_EXECUTIONS_PER_CREDIT = read_int("NODE_EXECUTIONS_PER_CREDIT", default=100)
# Credentials with these ids are the platform's: blocks that use them cost what their price list says. A user's own
# make a block free.
PLATFORM_CREDENTIAL_IDS = read_list("PLATFORM_CREDENTIAL_IDS")
# A refund is made without asking if the balance lacks no more than this of it.
REFUND_TOLERANCE = read_int("REFUND_TOLERANCE", default=500)
# With a secret key payments go through Stripe; without one there are none. The webhook's address is
# /v1/credits/stripe-webhook.
STRIPE_SECRET_KEY = os.environ.get("STRIPE_SECRET_KEY", "")
STRIPE_WEBHOOK_SECRET = os.environ.get("STRIPE_WEBHOOK_SECRET", "")
STRIPE_API_BASE = os.environ.get("STRIPE_API_BASE", "https://api.stripe.com")
# Where the checkout page sends people back to; {CHECKOUT_SESSION_ID} is filled in by Stripe.
TOP_UP_RETURN_URL = os.environ.get(
    "TOP_UP_RETURN_URL", "http://127.0.0.1:8000/v1/credits/top-up/return?session_id={CHECKOUT_SESSION_ID}"
)
TOP_UP_CANCEL_URL = os.environ.get("TOP_UP_CANCEL_URL", "http://127.0.0.1:8000/v1/docs/")

# --- Web -------------------------------------------------------------------------------------------------------------

DEBUG = read_bool("DJANGO_DEBUG", default=False)
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY") or read_secret("secret_key", length=64)
ALLOWED_HOSTS = read_list("DJANGO_ALLOWED_HOSTS", default=("localhost", "127.0.0.1", "[::1]"))
CSRF_TRUSTED_ORIGINS = read_list("DJANGO_CSRF_TRUSTED_ORIGINS")

# A public server stands behind HTTPS; on one's own machine there is none.
_is_https = read_bool("DJANGO_HTTPS", default=False)
SESSION_COOKIE_SECURE = _is_https
CSRF_COOKIE_SECURE = _is_https
SECURE_SSL_REDIRECT = _is_https
SECURE_HSTS_SECONDS = 31_536_000 if _is_https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = _is_https
SECURE_HSTS_PRELOAD = _is_https
if _is_https:
    # The proxy in front must set this header itself.
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"

INSTALLED_APPS = [
    "config",
    "graphs",
    # Before the credits: the runs of a user who is deleted are locked before the account.
    "execution",
    "credits",
    "scheduling",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_celery_beat",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_filters",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.throttling.rate_headers",
    "config.delivery.delivery_notice",
    "config.idempotency.IdempotencyMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

AUTHENTICATION_BACKENDS = ["config.accounts.logins.GuardedBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{kind}Validator"}
    for kind in ("UserAttributeSimilarity", "MinimumLength", "CommonPassword", "NumericPassword")
]

LANGUAGE_CODE = "en-us"
# What blocks and schedules take for the user's, where neither the graph nor the user's profile names one.
TIME_ZONE = os.environ.get("TIME_ZONE") or "UTC"
USE_TZ = True

STATIC_URL = "static/"
# Only needed where another server gives out the files.
STATIC_ROOT = os.environ.get("DJANGO_STATIC_ROOT")
MEDIA_ROOT = LOCAL_DIR / "media"
# The admin's files come straight from the packages: nothing has to be collected.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

# A graph can be large, but not without limit (bytes); nor can the body of any request.
GRAPH_MAX_BYTES = 10 * 1024 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = GRAPH_MAX_BYTES

LOGGING = logging_settings(level=os.environ.get("LOG_LEVEL", "INFO"))
