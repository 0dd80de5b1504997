"""The routes of the playground, as an application of FastAPI."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastmlp._version import __version__
from fastmlp.errors import DataUnavailableError
from fastmlp.extras import require
from fastmlp.play.digits import Digits, Drawing, Images, mnist
from fastmlp.play.live import Live, Sessions
from fastmlp.play.pages import FILES, digits_page, playground_page
from fastmlp.play.session import Order, Playground, Session, Tuning
from fastmlp.play.settings import DigitSettings, Settings, checked
from fastmlp.web.answers import HEADERS, App, Request, Response, add_refusals, endpoint, response
from fastmlp.web.bodies import read_body
from fastmlp.web.pages import security_policy
from fastmlp.web.refusal import RequestError

__all__ = ["application"]

_ROUTES = "GET / and GET /digits"
_POLICY = {
    "Content-Security-Policy": security_policy(script="'self'", style="'self'", images="data:")
}


def application(sessions: Sessions, data_dir: Path | None = None) -> App:
    """Return the application of the playground.

    Parameters
    ----------
    sessions : Sessions
    data_dir : Path, optional
        Directory that is searched first for the files of MNIST.

    Returns
    -------
    fastapi.FastAPI
    """
    made = require("serve", "fastapi").FastAPI(
        title="fastmlp playground",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    routes = _Routes(sessions, data_dir)
    for path, handler in {
        "/": routes.playground,
        "/digits": routes.digits,
        "/files/{file}": routes.file,
        "/sessions/{name}/events": routes.events,
        "/sessions/{name}/code": routes.code,
        "/sessions/{name}/state": routes.state,
        "/sessions/{name}/{part}.csv": routes.table,
    }.items():
        made.add_api_route(path, endpoint(handler), methods=["GET"])
    for path, handler in {
        "/sessions/{kind}": routes.open,
        "/sessions/{name}/order": routes.order,
        "/sessions/{name}/tune": routes.tune,
        "/sessions/{name}/settings": routes.settings,
        "/sessions/{name}/look": routes.look,
        "/sessions/{name}/end": routes.end,
    }.items():
        made.add_api_route(path, endpoint(handler), methods=["POST"])
    add_refusals(made, _ROUTES)
    return made


class _Routes:
    """The handlers. They run in one thread, and networks in a few others."""

    def __init__(self, sessions: Sessions, data_dir: Path | None) -> None:
        self._sessions = sessions
        self._data_dir = None if data_dir is None else str(data_dir)
        self._pages = {
            "playground": playground_page().encode(),
            "digits": digits_page().encode(),
        }

    # ------------------------------------------------------------ pages

    async def playground(self, request: Request) -> Response:
        """Answer ``GET /``."""
        return response(self._pages["playground"], media_type="text/html", headers=_POLICY)

    async def digits(self, request: Request) -> Response:
        """Answer ``GET /digits``."""
        return response(self._pages["digits"], media_type="text/html", headers=_POLICY)

    async def file(self, request: Request) -> Response:
        """Answer ``GET /files/NAME`` with a script or the style."""
        name = request.path_params["file"]
        if name not in FILES:
            raise RequestError(404, f"there is no such file; there are {', '.join(FILES)}")
        kind = "text/css" if name.endswith(".css") else "text/javascript"
        return response(FILES[name].encode(), media_type=kind)

    # ------------------------------------------------------------ sessions

    async def open(self, request: Request) -> Response:
        """Answer ``POST /sessions/KIND?epoch=N&step=N`` with a body of settings."""
        kind = request.path_params["kind"]
        if kind not in ("playground", "digits"):
            raise RequestError(404, f"kind: must be playground or digits, got {kind[:40]!r}")
        goal = _whole(request, "epoch"), _whole(request, "step")
        body = await self._body(request)

        def made() -> Session:
            if kind == "playground":
                return Playground(checked(Settings, body), goal)
            return Digits(checked(DigitSettings, body), goal, self._mnist())

        name, live = await self._sessions.open(made)
        return _json({"session": name} | live.session.state())

    async def events(self, request: Request) -> Response:
        """Answer ``GET /sessions/NAME/events?fps=N`` with server-sent events."""
        name = request.path_params["name"]
        self._sessions.get(name)
        fps = max(1, min(60, _whole(request, "fps", 30)))
        responses = require("serve", "starlette.responses")
        return responses.StreamingResponse(
            self._sessions.events(name, fps), headers=HEADERS, media_type="text/event-stream"
        )

    async def order(self, request: Request) -> Response:
        """Answer ``POST /sessions/NAME/order``."""
        order = await self._checked(request, Order)
        return await self._done(request, lambda session: session.obey(order))

    async def tune(self, request: Request) -> Response:
        """Answer ``POST /sessions/NAME/tune``: settings that change in the training."""
        tuning = await self._checked(request, Tuning)
        return await self._done(request, lambda session: session.tune(tuning))

    async def settings(self, request: Request) -> Response:
        """Answer ``POST /sessions/NAME/settings``: the network begins anew."""
        live = self._live(request)
        settings = await self._checked(request, live.session.kind)
        return await self._done(request, lambda session: session.begin_anew(settings))

    async def look(self, request: Request) -> Response:
        """Answer ``POST /sessions/NAME/look``: an image for the network of digits."""
        drawing = await self._checked(request, Drawing)
        return await self._done(request, lambda session: _as(Digits, session).look_at(drawing))

    async def end(self, request: Request) -> Response:
        """Answer ``POST /sessions/NAME/end``."""
        await self._body(request)
        self._sessions.end(request.path_params["name"])
        return _json({})

    async def state(self, request: Request) -> Response:
        """Answer ``GET /sessions/NAME/state`` with the place and the digest of the parameters."""
        live = self._live(request)

        def told() -> dict[str, Any]:
            session = live.session
            return session.start() | session.state() | {"digest": session.course.digest()}

        return _json(await live.read(told))

    async def code(self, request: Request) -> Response:
        """Answer ``GET /sessions/NAME/code`` with what does the same without the page."""
        live = self._live(request)
        return _json(await live.read(live.session.code))

    async def table(self, request: Request) -> Response:
        """Answer ``GET /sessions/NAME/train.csv`` and ``test.csv``."""
        live, part = self._live(request), request.path_params["part"]
        if part not in ("train", "test"):
            raise RequestError(404, "there are train.csv and test.csv")
        playground = _as(Playground, live.session)
        text = await live.read(lambda: playground.table(trained=part == "train"))
        headers = {"Content-Disposition": f'attachment; filename="{part}.csv"'}
        return response(text.encode(), media_type="text/csv", headers=headers)

    # ------------------------------------------------------------ requests

    def _mnist(self) -> Images:
        try:
            return mnist(self._data_dir)
        except (DataUnavailableError, OSError, ValueError) as error:
            raise RequestError(503, f"MNIST cannot be read: {error}") from None

    def _live(self, request: Request) -> Live:
        return self._sessions.get(request.path_params["name"])

    async def _done(self, request: Request, work: Callable[[Session], object]) -> Response:
        live = self._live(request)

        def told() -> dict[str, Any]:
            work(live.session)
            return live.session.state()

        return _json(await live.do(told))

    async def _checked(self, request: Request, kind: Any) -> Any:
        try:
            return checked(kind, await self._body(request))
        except ValueError as error:
            raise RequestError(422, str(error)) from None

    async def _body(self, request: Request) -> bytes:
        """Return the body of a request whose type no form of another page can send."""
        kind = request.headers.get("content-type", "").partition(";")[0]
        if kind.strip().lower() != "application/json":
            raise RequestError(415, "Content-Type: must be application/json")
        limits = self._sessions.limits
        return await read_body(request, limits.body, limits.timeout)


def _as(kind: Any, session: Session) -> Any:
    if not isinstance(session, kind):
        raise RequestError(404, "the session is one of the other page")
    return session


def _whole(request: Request, name: str, default: int = 0) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise RequestError(422, f"{name}: must be a whole number, got {text[:40]!r}")
    return int(text)


def _json(content: dict[str, Any]) -> Response:
    return response(json.dumps(content, allow_nan=False).encode())
