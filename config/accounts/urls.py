"""The addresses of accounts, below `/v1/`."""

from django.urls import path

from config.accounts import autogpt_views, views

app_name = "accounts"

urlpatterns = [
    path("me", views.MeView.as_view(), name="me"),
    path("api-keys", views.ApiKeysView.as_view(), name="api-keys"),
    path("api-keys/<uuid:key_id>", views.ApiKeyView.as_view(), name="api-key"),
    path("api-keys/<uuid:key_id>/suspend", autogpt_views.SuspendKeyView.as_view(), name="suspend-key"),
    path("api-keys/<uuid:key_id>/resume", autogpt_views.ResumeKeyView.as_view(), name="resume-key"),
    path("api-keys/<uuid:key_id>/permissions", autogpt_views.PermissionsView.as_view(), name="key-permissions"),
    path("auth/user", autogpt_views.UserView.as_view(), name="user"),
    path("auth/user/timezone", autogpt_views.TimeZoneView.as_view(), name="time-zone"),
    path("login", views.LoginView.as_view(), name="login"),
    path("logout", views.LogoutView.as_view(), name="logout"),
]
