"""The verb `web`. What it calls is imported when it runs."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thinkport.runtime.cli.cli_options import Artifact
from thinkport.runtime.errors import InputError
from thinkport.runtime.extras import require

if TYPE_CHECKING:
    from thinkport.deploy.website import Site


def web(
    artifact: Artifact,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="SITE", help="The folder to write.", show_default=False)
    ],
    context: Annotated[
        int, typer.Option(metavar="TOKENS", help="Most tokens of a conversation, which bounds a tab's memory.")
    ] = 4096,
    onnxruntime_web: Annotated[
        Path | None,
        typer.Option(
            "--onnxruntime-web",
            metavar="DIR",
            help="The unpacked npm package of that name.",
            show_default="the installed package thinkport-onnxruntime-web",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a site that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object.")] = False,
    serve: Annotated[
        bool, typer.Option("--serve", help="Then serve it, to try it.", rich_help_panel="Trying it")
    ] = False,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where --serve listens.", rich_help_panel="Trying it")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="The port of --serve; 0 takes a free one.", rich_help_panel="Trying it")
    ] = 8080,
    certfile: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.pem",
            help="A certificate for https, which browsers ask for on every address but this machine's own.",
            show_default=False,
            rich_help_panel="Trying it",
        ),
    ] = None,
    keyfile: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.pem", help="The certificate's key.", show_default=False, rich_help_panel="Trying it"
        ),
    ] = None,
) -> None:
    """Write a folder for any web host: the page, and the model to run in the visitor's browser, without a server.

    The model is downloaded once, in pieces with hashes, and works without a network afterwards.

    Ends with 0,
    2 for a request that can't be met,
    3 where the artifact isn't whole,
    4 where a package is missing.
    """
    if (certfile is None) != (keyfile is None):
        raise InputError("--certfile and --keyfile belong together: give both, or none")
    if not serve and certfile is not None:
        raise InputError("--certfile and --keyfile are for --serve: give that too, or leave them out")
    require("server", "starlette", "uvicorn", "prometheus_client")
    from thinkport.deploy.website import SiteSettings, make_site
    from thinkport.deploy.website.site_server import check_certificate, serve_site, site_app
    from thinkport.runtime.server.run import listen_on

    tls = None if certfile is None or keyfile is None else (certfile, keyfile)
    if tls is not None:
        check_certificate(*tls)
    bound = listen_on(host, port) if serve else None  # before the work, so that a port that is taken is told at once
    settings = SiteSettings(onnxruntime_web=onnxruntime_web, context=context)
    made = make_site(artifact, output, settings, force=force, told=_tell)
    _write(made, as_json=as_json)
    if bound is None:
        return
    url = _address(host, bound.getsockname()[1], secure=tls is not None)
    with bound:
        serve_site(site_app(output), bound, tls=tls, on_ready=lambda: _tell(url))


def _write(made: "Site", *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps({**vars(made), "path": str(made.path)}, indent=2) + "\n")
        return
    lines = [f"{made.path}  {made.bytes / 1e6:.1f} MB in {made.files} files, the largest {made.largest / 1e6:.1f} MB"]
    lines += [f"a first visit downloads {size / 1e6:.1f} MB for {graph}" for graph, size in made.downloads.items()]
    lines += [
        f"{graph} is left out: {reason}. Without it, visitors who have no WebGPU are refused."
        for graph, reason in made.left_out.items()
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _address(host: str, port: int, *, secure: bool) -> str:
    from thinkport.runtime.server.settings import is_loopback

    named = f"[{host}]" if ":" in host else host
    told = f"{'https' if secure else 'http'}://{named}:{port}/  (Ctrl+C ends it)"
    if secure or is_loopback(host):
        return told
    return told + (
        "\nBrowsers on other machines will refuse to run the model from this address, since it is not https: give "
        "--certfile and --keyfile, or listen on 127.0.0.1."
    )


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
