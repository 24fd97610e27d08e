"""The web server: pages, the live feed, history; nothing can be changed through it.

Every answer forbids scripts, styles and connections of other origins. Browsers learn what was published, never
how to reach the broker.
"""

from __future__ import annotations

import html
import logging
import re
from typing import Final
from urllib.parse import parse_qs, quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_runtime.dashboard.access import COOKIE, COOKIE_LIFETIME_S, Access
from edge_runtime.dashboard.feed import Feed
from edge_runtime.dashboard.past import Past
from edge_runtime.dashboard.words import STATIC, say, strings

_log = logging.getLogger(__name__)

MAX_LISTENERS: Final = 200
MAX_LOGIN_BYTES: Final = 4096
_PUBLIC: Final = ("/static/", "/login", "/healthz")
_THIS_MACHINE: Final = ["localhost", "127.0.0.1", "[::1]"]
_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def make_app(feed: Feed, past: Past, access: Access) -> Starlette:
    """The application.

    Args:
        feed: the live side.
        past: the history side.
        access: who may look.
    """
    pages = _Pages(feed, past, access)
    middleware = [Middleware(_SafeHeaders), Middleware(GZipMiddleware, minimum_size=1000)]
    if access.is_open:
        # A page on the internet may give its own name this machine's address and read what is open here.
        middleware.append(Middleware(TrustedHostMiddleware, allowed_hosts=_THIS_MACHINE))
    middleware.append(Middleware(_Doorman, access=access))
    return Starlette(
        routes=[
            Route("/", pages.shell),
            Route("/devices", pages.shell),
            Route("/rooms/{site}/{room}", pages.shell),
            Route("/login", pages.login_form, methods=["GET"]),
            Route("/login", pages.login, methods=["POST"]),
            Route("/logout", pages.logout, methods=["POST"]),
            Route("/healthz", pages.healthz),
            Route("/api/state", pages.state),
            Route("/api/live", pages.live),
            Route("/api/rooms/{site}/{room}/history", pages.history),
            Mount("/static", StaticFiles(packages=[("edge_runtime.dashboard", "static")])),
        ],
        middleware=middleware,
        exception_handlers={404: pages.not_found, Exception: pages.failed},
    )


class _Pages:
    """The handlers, in the order of the routes."""

    def __init__(self, feed: Feed, past: Past, access: Access) -> None:
        self._feed, self._past, self._access = feed, past, access
        self._shell, self._login = _filled("index.html"), _filled("login.html")

    async def shell(self, request: Request) -> Response:
        return HTMLResponse(self._shell, headers={"cache-control": "no-cache"})

    async def login_form(self, request: Request) -> Response:
        if self._access.rule(request) == "welcome":
            return RedirectResponse("/", 303)
        return _login_page(self._login, say("login.lead"), 200)

    async def login(self, request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_LOGIN_BYTES:
                return _login_page(self._login, say("login.wrong"), 413)
        given = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0]
        if not self._access.is_token(given):
            _log.warning("a wrong token from %s", request.client.host if request.client else "somewhere")
            return _login_page(self._login, say("login.wrong"), 401)
        response = RedirectResponse(_local(request.query_params.get("next", "/")), 303)
        is_tls = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))
        response.set_cookie(
            COOKIE,
            self._access.cookie,
            max_age=COOKIE_LIFETIME_S,
            httponly=True,
            samesite="strict",
            secure=is_tls,
        )
        return response

    async def logout(self, request: Request) -> Response:
        response = RedirectResponse("/login", 303)
        response.delete_cookie(COOKIE)
        return response

    async def healthz(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def state(self, request: Request) -> Response:
        whole = await run_in_threadpool(self._feed.whole)
        whole["server"]["can_log_out"] = self._access.token is not None
        return JSONResponse(whole, headers={"cache-control": "no-store"})

    async def live(self, request: Request) -> Response:
        if self._feed.listeners >= MAX_LISTENERS:
            return JSONResponse({"error": say("error.crowded")}, 503)
        seen = request.headers.get("last-event-id") or request.query_params.get("since", "")
        return StreamingResponse(
            self._feed.events(seen),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    async def history(self, request: Request) -> Response:
        try:
            asked = self._past.question(request.path_params, request.query_params)
        except ValueError as exc:
            return JSONResponse({"error": str(exc)}, 400)
        return JSONResponse(
            await run_in_threadpool(self._past.answer, asked), headers={"cache-control": "no-store"}
        )

    async def not_found(self, request: Request, exc: Exception) -> Response:
        if request.url.path.startswith(("/api/", "/static/")):
            return JSONResponse({"error": say("error.not_found")}, 404)
        return HTMLResponse(self._shell, 404)  # the page says so itself

    async def failed(self, request: Request, exc: Exception) -> Response:
        return JSONResponse({"error": say("error.failed")}, 500)


def _filled(name: str) -> str:
    """A page with its `{{keys}}` replaced by strings; `{{message}}` is left for each answer."""
    page = (STATIC / name).read_text(encoding="utf-8")
    return re.sub(
        r"\{\{([a-z_.]+)\}\}",
        lambda found: html.escape(strings()[found[1]]) if found[1] != "message" else found[0],
        page,
    )


def _login_page(page: str, message: str, status: int) -> Response:
    return HTMLResponse(
        page.replace("{{message}}", html.escape(message)), status, headers={"cache-control": "no-store"}
    )


def _local(path: str) -> str:
    """A path of ours, whatever somebody put into the link."""
    return path if re.fullmatch(r"/(?!/)[A-Za-z0-9/_.?=&%+-]*", path) else "/"


class _Doorman:
    """ASGI middleware: lets in whom `Access` lets in."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_PUBLIC):
            await self._app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        ruling = self._access.rule(request)
        if ruling == "welcome":
            await self._app(scope, receive, send)
            return
        await self._turned_away(request, ruling)(scope, receive, send)

    def _turned_away(self, request: HTTPConnection, ruling: str) -> Response:
        if request.url.path.startswith("/api/"):
            say_what = "error.unauthorized" if ruling == "ask" else "error.no_proxy"
            return JSONResponse({"error": say(say_what)}, 401 if ruling == "ask" else 403)
        if ruling == "ask":
            wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?next={quote(wanted)}", 303)
        return _login_page(_filled("refused.html"), say("error.no_proxy"), 403)


class _SafeHeaders:
    """ASGI middleware: the headers of every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault(
                    "cache-control", "no-cache"
                )  # asked for again each time; mostly "not modified"
            await send(message)

        await self._app(scope, receive, send_safely)
