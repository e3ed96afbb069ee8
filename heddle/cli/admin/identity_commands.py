"""Commands for who may use Heddle: sign in to the board, tokens, and the audit log."""

import os
import sys
import webbrowser
from pathlib import Path
from typing import Annotated, Final

import typer
from google.protobuf.duration_pb2 import Duration

from heddle import pb
from heddle.cli.console import output, tables
from heddle.cli.console.failure import Failure
from heddle.cli.console.output import Json
from heddle.client import HeddleClient
from heddle.config import Settings
from heddle.identity import certificates, token_file
from heddle.plan.values import durations
from heddle.timing.clock import utc_now

app = typer.Typer()
tokens = typer.Typer(help="Create, list and revoke tokens of people and programs.", no_args_is_help=True)

_ROLES: Final = {role.removeprefix("ROLE_").lower(): number for role, number in pb.Role.items() if number}


def board_address(scheduler: str) -> str:
    """Returns the address of the board of a local Heddle: three ports above its scheduler."""
    host, _, port = scheduler.rpartition(":")
    return f"http://{host}:{int(port) + 3}"


async def sign_in_link(client: HeddleClient, board: str, page: str = "") -> str:
    """Returns an address that signs one browser in once, and then shows `page`, a path; absent: the list of runs."""
    link = f"{board}/sign-in?code={(await client.create_sign_in_code()).code}"
    return f"{link}&next={page}" if page else link


def has_desktop() -> bool:
    """Returns whether a browser that opens here is one that the user sees."""
    if "SSH_CONNECTION" in os.environ or not sys.stdout.isatty():
        return False
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def show(link: str) -> bool:
    """Opens a link where there is a desktop; returns whether it did."""
    return has_desktop() and webbrowser.open(link)


@app.command("open")
def open_board(
    board: Annotated[str, typer.Option("--board", metavar="URL", help="The address of the web app.")] = "",
) -> None:
    """Print a link that signs in to the board once, and open it where there is a desktop."""
    address = board.rstrip("/") or board_address(Settings.read().scheduler)

    async def link(client: HeddleClient) -> str:
        return await sign_in_link(client, address)

    found = output.run_async(output.with_client(link))
    output.line(found)
    show(found)


@app.command()
def token() -> None:
    """Print the token with which this command signs in, for other programs."""
    settings = Settings.read()
    found = token_file.of_client(settings)
    if not found:
        raise Failure(
            f"there is no token in {token_file.operator_file(settings.home)}; `heddle up` creates it. For the Heddle"
            " of another machine, set HEDDLE_TOKEN"
        )
    output.line(found)


@app.command()
def certs(
    folder: Annotated[Path, typer.Argument(help="Where to write them; existing files are not replaced.")],
    host: Annotated[
        list[str] | None,
        typer.Option(help="A name or address under which services are called; repeatable."),
    ] = None,
    worker: Annotated[list[str] | None, typer.Option(help="The name of a worker; repeatable.")] = None,
) -> None:
    """Write certificates for mutual TLS: an authority, and one for each service and for clients."""
    hosts = ["localhost", "127.0.0.1", "::1", *(host or ())]
    try:
        written = certificates.make_set(folder, dict.fromkeys(hosts), worker or ["local"])
    except ImportError:
        raise Failure("this command needs the package cryptography: pip install 'heddle[certs]'") from None
    except FileExistsError as error:
        raise Failure(f"{error.filename} exists already; choose an empty folder") from None
    for path in written:
        output.line(str(path))
    output.print_message(
        f"set HEDDLE_TLS_CA to {folder / certificates.AUTHORITY_FILE}, and HEDDLE_TLS_CERT and HEDDLE_TLS_KEY of each"
        " service to its own files; clients use client.pem and client-key.pem"
    )


@app.command()
def audit(
    user: Annotated[str, typer.Option(help="Only what this user did, such as user:ada.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of entries.")] = 100,
    *,
    as_json: Json = False,
) -> None:
    """Show who changed what, and which calls were refused; the newest first."""

    async def entries(client: HeddleClient) -> list[pb.AuditEntry]:
        found: list[pb.AuditEntry] = []
        while len(found) < limit:
            before = found[-1].sequence if found else 0
            size = min(1000, limit - len(found))
            page = await client.list_audit_entries(before=before, user=user, page_size=size)
            found += page
            if len(page) < size:
                break
        return found

    found = output.run_async(output.with_client(entries))
    if as_json:
        for entry in found:
            output.print_json(entry)
    else:
        output.out.print(tables.audit_entries(found))


@tokens.command("create")
def create_token(
    title: Annotated[str, typer.Argument(help="What it is for.")],
    user: Annotated[str, typer.Option(help="Whose it is, such as ci; by default your own.")] = "",
    role: Annotated[str, typer.Option(help="viewer, operator or admin.")] = "operator",
    project: Annotated[
        list[str] | None, typer.Option(help="Limit it to this repository, as a path or URL; repeatable.")
    ] = None,
    expires: Annotated[str, typer.Option(help="How long it is valid, such as 30d or 12h.")] = "90d",
    *,
    worker: Annotated[
        str, typer.Option(metavar="NAME", help="For a worker of this name, which can only register with it.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Create a token and print its secret, which cannot be shown again."""
    if role not in _ROLES:
        raise Failure(f"--role {role} is unknown; it is one of {', '.join(_ROLES)}")
    try:
        seconds = durations.seconds(expires)
    except ValueError as error:
        raise Failure(f"--expires {expires} {error}") from None
    request = pb.CreateTokenRequest(
        title=title,
        user=user,
        role=_ROLES[role],
        projects=[path if "://" in path else str(Path(path).absolute()) for path in project or ()],
        lifetime=Duration(seconds=int(seconds)),
        worker=worker,
    )

    async def create(client: HeddleClient) -> pb.CreateTokenResponse:
        return await client.create_token(request)

    made = output.run_async(output.with_client(create))
    if as_json:
        output.print_json(made)
    else:
        output.line(made.secret)
        output.print_message(
            f"{made.token.name} of {made.token.user}{'' if worker else f', {role}'}; set HEDDLE_TOKEN to it"
        )


@tokens.command("list")
def list_tokens(*, as_json: Json = False) -> None:
    """List the valid tokens and the browsers that are signed in."""
    found = output.run_async(output.with_client(lambda client: client.list_tokens()))
    if as_json:
        for each in found:
            output.print_json(each)
    else:
        output.out.print(tables.tokens(found, utc_now()))


@tokens.command("revoke")
def revoke_token(name: Annotated[str, typer.Argument(help="tokens/ID, or only the ID.")]) -> None:
    """End a token or a browser's session at once."""
    resource = name if name.startswith("tokens/") else f"tokens/{name}"
    output.run_async(output.with_client(lambda client: client.revoke_token(resource)))
    output.print_message(f"{resource} is revoked")
