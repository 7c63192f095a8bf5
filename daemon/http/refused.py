"""Why a request is answered without being handed on."""

from afresh.sensors.http_route import HttpResponse


class Refused(Exception):
    """A request is answered without being handed on."""

    def __init__(self, status: int, error: str, **headers: str) -> None:
        super().__init__(error)
        self.response = HttpResponse(
            status, {"error": error}, {k.replace("_", "-"): v for k, v in headers.items()}
        )
