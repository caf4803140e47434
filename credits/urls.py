"""The addresses of accounts and payments, below `/v1/`."""

from django.urls import path

from credits import payment_views, views

app_name = "credits"

urlpatterns = [
    path("credits", views.AccountView.as_view(), name="account"),
    path("credits/transactions", views.TransactionsView.as_view(), name="transactions"),
    path("credits/transactions.csv", views.ExportView.as_view(), name="export"),
    path("credits/summary", views.SummaryView.as_view(), name="summary"),
    path("credits/top-up", payment_views.StartTopUpView.as_view(), name="start-top-up"),
    path("credits/top-up/return", payment_views.TopUpReturnView.as_view(), name="top-up-return"),
    path("credits/top-up/<uuid:top_up_id>", payment_views.TopUpView.as_view(), name="top-up"),
    path("credits/auto-top-up", payment_views.AutoTopUpView.as_view(), name="auto-top-up"),
    path("credits/refund-requests", payment_views.RefundRequestsView.as_view(), name="refund-requests"),
    path("credits/stripe-webhook", payment_views.StripeWebhookView.as_view(), name="stripe-webhook"),
]
