"""Errors as OpenAI's interfaces send them.

Knows statuses and JSON; must not know what went wrong where.
"""

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from thinkport.runtime.errors import CacheLostError, ContextLengthError, InputError, ThinkportError, UnavailableError

_NO_ROUTE = {404: "there is no such path", 405: "that path takes another method"}
_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
# OpenAI's words, which clients compare (https://platform.openai.com/docs/guides/error-codes).
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded", 503: "service_unavailable"}
CONTEXT_LENGTH, NO_MODEL = "context_length_exceeded", "model_not_found"


class ApiError(Exception):
    """A request that is answered with an error; `param` names the field that is wrong, `code` the kind of error."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ):
        super().__init__(message)
        self.status, self.message, self.param, self.headers = status, message, param, headers or {}
        self.code = code or _CODES.get(status)

    def as_json(self) -> dict[str, object]:
        """The body, in OpenAI's and Anthropic's forms, which are one but for `type`."""
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {
            "type": "error",
            "error": {"message": self.message, "type": kind, "param": self.param, "code": self.code},
        }

    def response(self) -> JSONResponse:
        """The whole response."""
        return JSONResponse(self.as_json(), self.status, self.headers)


def failure(error: Exception) -> ApiError:
    """What a client is told of any error: its request's own, the router's, or one of the server."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, HTTPException):
        what = _NO_ROUTE.get(error.status_code, error.detail)
        return ApiError(error.status_code, what, headers=dict(error.headers or {}))
    if isinstance(error, UnavailableError | CacheLostError):
        return ApiError(503, str(error), headers={"retry-after": "5"})
    if isinstance(error, ContextLengthError):
        return ApiError(400, str(error), code=CONTEXT_LENGTH)
    if isinstance(error, InputError):
        return bad(str(error))
    if isinstance(error, ThinkportError):
        return ApiError(500, str(error))
    return ApiError(500, f"the server failed ({type(error).__name__}): this is a bug of thinkport")


def bad(message: str, param: str | None = None) -> ApiError:
    """A request that can't be run as it is."""
    return ApiError(400, message, param=param)
