"""The addresses of accounts, below `/v1/`."""

from django.urls import path

from config.accounts import views

app_name = "accounts"

urlpatterns = [
    path("me", views.MeView.as_view(), name="me"),
    path("api-keys", views.ApiKeysView.as_view(), name="api-keys"),
    path("api-keys/<uuid:key_id>", views.ApiKeyView.as_view(), name="api-key"),
    path("login", views.LoginView.as_view(), name="login"),
    path("logout", views.LogoutView.as_view(), name="logout"),
]
