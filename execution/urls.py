"""The addresses of runs, below `/v1/`."""

from django.urls import path

from execution import views

app_name = "execution"

urlpatterns = [
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
        views.NodeExecutionsView.as_view(),
        name="node-executions",
    ),
    path(
        "graphs/<uuid:graph_id>/executions/<uuid:execution_id>/node_executions/<uuid:node_execution_id>",
        views.NodeExecutionView.as_view(),
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
    path("executions", views.ExecutionsView.as_view(), name="executions"),
    path("reviews", views.ReviewsView.as_view(), name="reviews"),
    path("reviews/<uuid:review_id>/decide", views.DecideReviewView.as_view(), name="decide-review"),
]
