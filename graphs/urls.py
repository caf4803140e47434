"""The addresses of graphs and blocks, below `/v1/`."""

from django.urls import path

from graphs import views

app_name = "graphs"

urlpatterns = [
    path("graphs", views.GraphsView.as_view(), name="graphs"),
    path("graphs/<uuid:graph_id>", views.GraphView.as_view(), name="graph"),
    path("graphs/<uuid:graph_id>/fork", views.ForkView.as_view(), name="fork"),
    path("graphs/<uuid:graph_id>/versions", views.GraphVersionsView.as_view(), name="versions"),
    path("graphs/<uuid:graph_id>/versions/active", views.ActiveVersionView.as_view(), name="active-version"),
    path("graphs/<uuid:graph_id>/versions/<int:version>", views.GraphVersionView.as_view(), name="version"),
    path("graphs/<uuid:graph_id>/settings", views.GraphSettingsView.as_view(), name="settings"),
    path("graphs/<uuid:graph_id>/export", views.GraphExportView.as_view(), name="export"),
    path("blocks", views.BlocksView.as_view(), name="blocks"),
    path("blocks/<uuid:block_id>", views.BlockView.as_view(), name="block"),
]
