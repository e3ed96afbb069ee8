"""The page of an unknown address."""

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from nicegui import Client, app, ui

from ui_svc.web.components import NotFoundPage


def install() -> None:
    """Answers requests that no other page answers."""

    @app.exception_handler(404)
    async def answer(request: Request, _: Exception) -> Response:
        # Requests for scripts, images or JSON do not get a page.
        if "text/html" not in request.headers.get("accept", ""):
            return JSONResponse({"message": f"Nothing is at {request.url.path}."}, 404)
        with Client(ui.page(request.url.path, title="Heddle"), request=request) as client:
            NotFoundPage()
        return client.build_response(request, 404)
