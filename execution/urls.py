"""The addresses of runs, below `/v1/`."""

from django.urls import path

from execution import block_views, node_execution_views, preset_views, quote_views, review_views, share_views, views

app_name = "execution"

urlpatterns = [
    path("graphs/<uuid:graph_id>/quote/<int:version>", quote_views.QuoteView.as_view(), name="quote"),
    path("blocks/<uuid:block_id>/costs", quote_views.BlockCostsView.as_view(), name="block-costs"),
    path("graphs/<uuid:graph_id>/execute", views.ExecuteActiveView.as_view(), name="execute-active"),
    path("graphs/<uuid:graph_id>/execute/<int:version>", views.ExecuteView.as_view(), name="execute"),
    path("graphs/<uuid:graph_id>/executions", views.GraphExecutionsView.as_view(), name="graph-executions"),
    path(
        "graphs/<uuid:graph_id>/executions/<uuid:execution_id>",
        views.GraphExecutionView.as_view(),
        name="graph-execution",
    ),
    path(
        "graphs/<uuid:graph_id>/executions/<uuid:execution_id>/node_executions",
        node_execution_views.NodeExecutionsView.as_view(),
        name="node-executions",
    ),
    path(
        "graphs/<uuid:graph_id>/executions/<uuid:execution_id>/node_executions/<uuid:node_execution_id>",
        node_execution_views.NodeExecutionView.as_view(),
        name="node-execution",
    ),
    path(
        "graphs/<uuid:graph_id>/executions/<uuid:execution_id>/stop",
        views.StopView.as_view(),
        name="stop",
    ),
    path(
        "graphs/<uuid:graph_id>/executions/<uuid:execution_id>/resume",
        views.ResumeView.as_view(),
        name="resume",
    ),
    path(
        "graphs/<uuid:graph_id>/executions/<uuid:execution_id>/replay",
        views.ReplayView.as_view(),
        name="replay",
    ),
    path(
        "graphs/<uuid:graph_id>/executions/<uuid:execution_id>/share",
        share_views.ShareView.as_view(),
        name="share",
    ),
    path("public/shared/<str:token>", share_views.SharedExecutionView.as_view(), name="shared"),
    path("executions/<uuid:execution_id>", views.ExecutionView.as_view(), name="execution"),
    path("blocks/<uuid:block_id>/execute", block_views.ExecuteBlockView.as_view(), name="execute-block"),
    path("presets", preset_views.PresetsView.as_view(), name="presets"),
    path("presets/<uuid:preset_id>", preset_views.PresetView.as_view(), name="preset"),
    path("presets/<uuid:preset_id>/execute", preset_views.ExecutePresetView.as_view(), name="execute-preset"),
    path("executions", views.ExecutionsView.as_view(), name="executions"),
    path("reviews", review_views.ReviewsView.as_view(), name="reviews"),
    path("reviews/<uuid:review_id>/decide", review_views.DecideReviewView.as_view(), name="decide-review"),
]
