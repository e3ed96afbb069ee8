"""A server of git repositories over ssh, like public git hosts."""

import asyncio
import os
import shlex
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncssh

# The host alias in the client's settings.
HOST: Final = "forge"

_SERVICES: Final = ("git-upload-pack", "git-receive-pack")


@asynccontextmanager
async def serving(root: Path, folder: Path) -> AsyncIterator[Path]:
    """Serves the repositories below `root` to clients with the key; yields ssh settings in `folder` that use it."""

    async def answer(process: "asyncssh.SSHServerProcess[bytes]") -> None:
        service, path = shlex.split(process.command or "")
        assert service in _SERVICES
        # Only protocol version 2 serves single objects, which a clone without blobs requests later.
        environment = {**os.environ, "GIT_PROTOCOL": process.env.get("GIT_PROTOCOL", "")}
        child = await asyncio.create_subprocess_exec(
            *("git", service.removeprefix("git-"), str(root / path.lstrip("/"))),
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        await process.redirect(child.stdin, child.stdout, child.stderr)
        process.exit(await child.wait())
        await process.wait_closed()

    host_key, key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    key.write_private_key(str(folder / "key"))
    (folder / "key").chmod(0o600)
    options: dict[str, Any] = {"process_factory": answer, "encoding": None}
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[host_key],
        authorized_client_keys=asyncssh.import_authorized_keys(key.export_public_key().decode()),
        **options,
    )
    async with server:
        port = server.get_port()
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key.export_public_key().decode()}")
        settings = folder / "ssh_config"
        settings.write_text(
            f"Host {HOST}\n  HostName 127.0.0.1\n  Port {port}\n  User git\n  IdentitiesOnly yes\n"
            f"  IdentityFile {folder / 'key'}\n  UserKnownHostsFile {folder / 'known_hosts'}\n"
        )
        yield settings
