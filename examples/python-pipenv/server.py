"""Says which Python answers."""

import os
import platform

from aiohttp import web


async def hello(request: web.Request) -> web.Response:
    return web.Response(text=f"python {platform.python_version()} at {request.path}")


app = web.Application()
app.add_routes([web.get("/{name}", hello)])

if __name__ == "__main__":
    web.run_app(app, port=int(os.environ.get("PORT", "8080")))
