"""What is served and how it does: models, health and figures."""

from time import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from thinkport.runtime.server.api_error import ApiError
from thinkport.runtime.server.service import Service

_STARTED = int(time())


async def models(request: Request) -> Response:
    """The one model there is."""
    return JSONResponse({"object": "list", "data": [_model(Service.of(request))]})


async def model(request: Request) -> Response:
    """The model, by its name."""
    service = Service.of(request)
    if request.path_params["model"] != service.name:
        raise ApiError(404, f"no such model is served here, expected {service.name!r}")
    return JSONResponse(_model(service))


async def health(request: Request) -> Response:
    """Whether requests are taken, on which provider they run, and why on that one."""
    service = Service.of(request)
    places, report = service.jobs.places, service.model.provider_report
    ready = not places.closed and service.model.loaded
    state = {
        "status": "ok" if ready else "ending",
        "model": service.name,
        "provider": report.as_json(),
        "active": places.active,
        "waiting": places.waiting,
        "context": service.model.session.context_length if ready else None,
        "can_think": service.model.manifest.thinking is not None,
    }
    return JSONResponse(state, 200 if ready else 503)


async def metrics(request: Request) -> Response:
    """Figures for Prometheus."""
    return Response(Service.of(request).metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _model(service: Service) -> dict[str, Any]:
    return {
        "id": service.name,
        "object": "model",
        "created": _STARTED,
        "owned_by": "thinkport",
        "max_model_len": service.model.session.context_length,
    }
