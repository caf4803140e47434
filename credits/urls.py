"""The addresses of accounts and payments, below `/v1/`."""

from django.urls import path

from credits import autogpt_views, payment_views, views

app_name = "credits"

urlpatterns = [
    path("credits", autogpt_views.CreditsView.as_view(), name="account"),
    path("credits/transactions", views.TransactionsView.as_view(), name="transactions"),
    path("credits/transactions.csv", views.ExportView.as_view(), name="export"),
    path("credits/summary", views.SummaryView.as_view(), name="summary"),
    path("credits/top-up", payment_views.StartTopUpView.as_view(), name="start-top-up"),
    path("credits/top-up/return", payment_views.TopUpReturnView.as_view(), name="top-up-return"),
    path("credits/top-up/<uuid:top_up_id>", payment_views.TopUpView.as_view(), name="top-up"),
    path("credits/auto-top-up", autogpt_views.AutoTopUpView.as_view(), name="auto-top-up"),
    path("credits/refund-requests", payment_views.RefundRequestsView.as_view(), name="refund-requests"),
    path("credits/refunds", autogpt_views.RefundsView.as_view(), name="refunds"),
    path("credits/<str:transaction_key>/refund", autogpt_views.RefundTopUpView.as_view(), name="refund-top-up"),
    path("credits/manage", autogpt_views.ManageView.as_view(), name="manage"),
    path("credits/stripe-webhook", payment_views.StripeWebhookView.as_view(), name="stripe-webhook"),
    path("credits/stripe_webhook", payment_views.StripeWebhookView.as_view()),
]
