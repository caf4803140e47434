"""All URLs."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularSwaggerView

from config.health import answer_health
from config.schema_view import SchemaView

urlpatterns = [
    path("healthz", answer_health, name="health"),
    path("admin/", admin.site.urls),
    path("v1/schema/", SchemaView.as_view(), name="schema"),
    path("v1/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("v1/", include("config.accounts.urls")),
    path("v1/", include("config.notices.urls")),
    path("v1/", include("graphs.urls")),
    path("v1/", include("credits.urls")),
    path("v1/", include("execution.urls")),
    path("v1/", include("scheduling.urls")),
]

handler400 = "config.error_pages.answer_bad_request"
handler403 = "config.error_pages.answer_permission_denied"
handler404 = "config.error_pages.answer_not_found"
handler500 = "config.error_pages.answer_server_error"
