"""Counts a browser's visits in a cookie that it cannot forge: Starlette with a middleware."""

import hashlib
import hmac

import modal
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

stub = modal.Stub("visits")
KEY = b"not a secret in a test"


def signed(value: str) -> str:
    return f"{value}.{hmac.new(KEY, value.encode(), hashlib.sha256).hexdigest()[:16]}"


class Visits(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        value = request.cookies.get("visits", "")
        known = value.split(".")[0]
        count = int(known) if hmac.compare_digest(value, signed(known)) else 0
        request.state.visits = count + 1
        response = await call_next(request)
        response.set_cookie("visits", signed(str(count + 1)), max_age=3600, httponly=True, samesite="lax")
        return response


async def home(request):
    return PlainTextResponse(f"visit number {request.state.visits}")


async def count(request):
    return JSONResponse({"visits": request.state.visits, "agent": request.headers.get("user-agent")})


async def farewell(request):
    response = PlainTextResponse("forgotten")
    response.delete_cookie("visits")
    return response


@stub.asgi(label="visits", wait_for_response=True)
def counter():
    routes = [Route("/", home), Route("/count", count), Route("/forget", farewell, methods=["POST"])]
    return Starlette(routes=routes, middleware=[Middleware(Visits)])


if __name__ == "__main__":
    stub.serve()
