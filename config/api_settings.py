"""Settings of the API: how requests are read and answered, how many there may be, and how it is described."""

from config.environment import read_int

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        # The first one names the scheme of a 401.
        "config.accounts.authentication.KeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAuthenticated",
        "config.accounts.permissions.HasScope",
        "config.idempotency.AnswersOnce",
    ],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["execution.parsers.StorableJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "config.pagination.NewestFirstPagination",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_THROTTLE_CLASSES": ["config.throttling.RateThrottle"],
    "DEFAULT_SCHEMA_CLASS": "config.openapi.Schema",
    "EXCEPTION_HANDLER": "config.problem.handle_exception",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
# So many proxies of one's own stand in front: as many entries of X-Forwarded-For, from the right, are believed.
TRUSTED_PROXIES = read_int("TRUSTED_PROXIES", default=0, least=0)
# Requests in so many seconds, per user and scope of the endpoint; per address for who has no login.
API_RATE_SECONDS = 60
API_RATES = {
    scope: read_int(f"API_RATE_{scope.upper()}", default=rate)
    for scope, rate in {"read": 1200, "execute": 600, "write": 300, "credits": 120, "anonymous": 120}.items()
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Graph execution engine",
    "DESCRIPTION": "Save graphs of blocks, run them, and see what happens. `docs/api.md` begins at the beginning.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.openapi.complete_schema",
    ],
    # The page's own files, and no judge of schemas elsewhere, so that it works without the web.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "TAGS": [
        {"name": "graphs", "description": "What can be run: graphs in numbered versions."},
        {"name": "executions", "description": "Runs, and what happens in them."},
        {"name": "blocks", "description": "What graphs are made of."},
        {"name": "presets", "description": "Inputs that are kept to be run with again."},
        {"name": "reviews", "description": "What runs ask people."},
        {"name": "sharing", "description": "Links by which others see a run's outputs."},
        {"name": "schedules", "description": "When runs start by themselves."},
        {"name": "credits", "description": "What runs cost."},
        {"name": "accounts", "description": "Who asks: API keys, logins, the profile."},
    ],
    "ENUM_NAME_OVERRIDES": {
        "CostTypeEnum": "graphs.serializers.COST_TYPE_NAMES",
        "EntryTypeEnum": "credits.models.EntryType",
        "TopUpKindEnum": "credits.models.TopUpKind",
        "TopUpStatusEnum": "credits.models.TopUpStatus",
        "RefundStatusEnum": "credits.models.RefundStatus",
        "StatusEnum": "execution.node_execution_serializers.STATUS_NAMES",
        "ReviewStatusEnum": "execution.review_serializers.REVIEW_STATUS_NAMES",
        "OccurrenceStateEnum": "scheduling.serializers.OCCURRENCE_STATES",
    },
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
}
