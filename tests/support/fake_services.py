"""Stand-ins for the four services that do nothing but serve, for tests of `heddle up`."""

from pathlib import Path

_SERVICE = """
import asyncio, os
from heddle import logs, pb
from heddle.config import Settings
from heddle.identity.principals import Principal
from heddle.rpc.serving import Service, serve
from heddle.v1 import identity_service_pb2_grpc as grpc_stubs

settings = Settings.read()
logs.configure(settings, "fake")
{prelude}

class Guard:
    takes_tokens = True

    async def identify(self, context):
        return Principal("user:ada", pb.ROLE_ADMIN)

    async def check_scope(self, call, request):
        pass

class Identity(grpc_stubs.IdentityServiceServicer):
    async def CreateSignInCode(self, request, context):
        return pb.CreateSignInCodeResponse(code="code")

def register(server):
    grpc_stubs.add_IdentityServiceServicer_to_server(Identity(), server)

def main():
    asyncio.run(serve(Service(["fake"], register, Guard()), settings.listen))
"""

_WEB = """
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()

def main():
    host, _, port = os.environ["HEDDLE_LISTEN"].rpartition(":")
    HTTPServer((host, int(port)), Handler).serve_forever()
"""


def write_services(folder: Path, **preludes: str) -> Path:
    """Writes the four packages below `folder` for PYTHONPATH; `agent="…"` is code that agent_svc runs first."""
    for name in ("scheduler", "worktree", "agent", "ui"):
        package = folder / f"{name}_svc"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        prelude = preludes.get(name, "")
        text = f"{prelude}\n{_WEB}" if name == "ui" else _SERVICE.format(prelude=prelude)
        (package / "__main__.py").write_text(text)
    return folder
