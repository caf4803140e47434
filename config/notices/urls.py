"""The addresses of notices, below `/v1/`."""

from django.urls import path

from config.notices import views

app_name = "notices"

urlpatterns = [
    path("notices", views.NoticesView.as_view(), name="notices"),
    path("notices/read", views.ReadNoticesView.as_view(), name="read-notices"),
    path("notices/<uuid:notice_id>/read", views.ReadNoticeView.as_view(), name="read-notice"),
]
