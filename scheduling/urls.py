"""The addresses of schedules, below `/v1/`."""

from django.urls import path

from scheduling import views

app_name = "scheduling"

_SCHEDULE = "schedules/<uuid:schedule_id>"

urlpatterns = [
    path("graphs/<uuid:graph_id>/schedules", views.GraphSchedulesView.as_view(), name="graph-schedules"),
    path("schedules", views.SchedulesView.as_view(), name="schedules"),
    path("schedules/preview", views.PreviewView.as_view(), name="preview"),
    path(_SCHEDULE, views.ScheduleView.as_view(), name="schedule"),
    path(f"{_SCHEDULE}/pause", views.PauseView.as_view(), name="pause"),
    path(f"{_SCHEDULE}/resume", views.ResumeView.as_view(), name="resume"),
    path(f"{_SCHEDULE}/run-now", views.RunNowView.as_view(), name="run-now"),
    path(f"{_SCHEDULE}/occurrences", views.OccurrencesView.as_view(), name="occurrences"),
]
