"""Why the server refuses a request: a status, a code for programs, and a sentence for people."""

from vqvae.errors import BitstreamError, ConfigError, DataError, MissingExtraError, VqvaeError

CODES = {
    400: "bad_input",
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    408: "deadline",
    413: "too_large",
    415: "not_this_kind",
    422: "invalid",
    429: "too_many_requests",
    500: "internal",
    503: "unavailable",
}
"""The code of each status in the JSON of an error."""


class Refusal(VqvaeError):
    """A request that the server does not answer as it was asked to."""

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


def status_of(error: Exception) -> int:
    """The HTTP status of an error."""
    if isinstance(error, Refusal):
        return error.status
    if isinstance(error, ConfigError | MissingExtraError):
        return 422
    if isinstance(error, DataError | BitstreamError):
        return 400
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error):
        return 503
    return 500


def message_of(error: Exception) -> str:
    """What people read about an error."""
    status = status_of(error)
    if status == 503 and not isinstance(error, Refusal):
        return "The server has not enough memory for this. Send something smaller, or try again later."
    if status == 500:
        return "The server failed on this request. Its log says why, under the request_id of this message."
    return str(error)


def as_json(status: int, message: str, request_id: str) -> dict[str, dict[str, str]]:
    """An error as the body of an answer."""
    return {"error": {"code": CODES.get(status, "error"), "message": message, "request_id": request_id}}


def headers_of(error: Exception) -> dict[str, str]:
    """Further headers of the answer."""
    after = getattr(error, "retry_after", None)
    return {} if after is None else {"Retry-After": str(max(1, round(after)))}
