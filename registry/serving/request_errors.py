"""`RequestError`: an answer other than 200, with one line that says what is wrong and never repeats the input."""


class RequestError(Exception):
    """A request that gets no prediction.

    Attributes:
        status: The HTTP status.
        message: What is wrong, and what was expected.
        retry_after: Seconds after which the client may try again, or None.
    """

    def __init__(self, status: int, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after


def bad_input(message: str) -> RequestError:
    """Return the error for input that a model cannot take."""
    return RequestError(400, message)
