"""The schema of the API as it is served: it says the same to everybody, so it is drawn once per process."""

import hashlib
from functools import lru_cache
from typing import Any, Final

from django.http import HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.encoding import force_bytes
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request

_RENDERERS: Final = {renderer.media_type: renderer for renderer in SpectacularAPIView.renderer_classes}


class SchemaView(SpectacularAPIView):
    """The schema, as YAML or as JSON."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Return it; who has it already is told so (304)."""
        del args, kwargs
        renderer = request.accepted_renderer
        schema, etag = _draw(renderer.media_type)
        content_type = f"{renderer.media_type}; charset={renderer.charset}" if renderer.charset else renderer.media_type
        name = self._get_filename(request, None)  # type: ignore[no-untyped-call]
        named = {"ETag": etag, "Content-Disposition": f'inline; filename="{name}"'}
        answer = HttpResponse(schema, content_type=content_type, headers=named)
        return get_conditional_response(request._request, etag=etag, response=answer) or answer


@lru_cache(maxsize=len(_RENDERERS))
def _draw(media_type: str) -> tuple[bytes, str]:
    """Return the schema and its ETag."""
    drawn = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    schema = force_bytes(_RENDERERS[media_type]().render(drawn, media_type, {}))
    return schema, f'"{hashlib.sha256(schema).hexdigest()}"'
