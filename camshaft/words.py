"""Options and commands as other programs call them, and what they are called here.

Nothing is done by another name: who types one is told ours.
"""

from __future__ import annotations

import re

import click

_NO_COMMAND = re.compile("No such command '([^']*)'")  # click has had a class of its own for it since 8.4
_LISTEN, _STORE = "--http-listen", "--store-path"
_OPTIONS = {
    **dict.fromkeys(("--port", "--host", "--listen", "--bind", "--address", "--addr", "--http-port", "-p"), _LISTEN),
    **dict.fromkeys(("--http", "--web-port", "--listen-address", "--http-host"), _LISTEN),
    **dict.fromkeys(("--url", "--rtsp", "--source", "--input", "--stream", "-i"), "--camera"),
    **dict.fromkeys(("--conf", "--config-file", "--configuration", "-c", "-f"), "--config"),
    **dict.fromkeys(("--verbose", "--debug", "--loglevel", "--log", "-v", "-vv", "-d", "--quiet", "-q"), "--log-level"),
    **dict.fromkeys(("--db", "--database", "--data", "--data-dir", "--datadir", "--storage"), _STORE),
    **dict.fromkeys(("--cert", "--tls", "--ssl", "--ssl-cert", "--certfile", "--tls-certificate"), "--http-tls-cert"),
    **dict.fromkeys(("--key", "--ssl-key", "--keyfile"), "--http-tls-key"),
    **dict.fromkeys(("--no-auth", "--anonymous", "--insecure", "--authentication"), "--auth"),
    **dict.fromkeys(("--stun", "--turn", "--ice", "--ice-server"), "--http-ice-servers"),
    **dict.fromkeys(
        ("--public-ip", "--external-ip", "--nat-1-1", "--nat", "--announce", "--candidate"), "--media-advertise"
    ),
    **dict.fromkeys(("--udp-port", "--rtp-port", "--webrtc-port", "--ice-port"), "--media-port"),
    **dict.fromkeys(("--base-url", "--prefix", "--path", "--root-path", "--url-prefix"), "--http-base-path"),
    **dict.fromkeys(("--server", "--host-url", "--endpoint"), "--api"),
}
_COMMANDS = {
    **dict.fromkeys(("start", "run", "up", "server", "daemon", "launch"), "serve"),
    **dict.fromkeys(("version", "-V", "-version"), "--version"),
    **dict.fromkeys(("help", "--usage", "?"), "--help"),
    **dict.fromkeys(("status", "ps", "processes"), "nodes"),
    **dict.fromkeys(("cameras", "stream", "streams", "cam"), "camera"),
    **dict.fromkeys(("ls", "list", "add", "remove"), "camera"),
    **dict.fromkeys(("check", "validate", "lint"), "config"),
    **dict.fromkeys(("test", "discover", "scan"), "probe"),
    **dict.fromkeys(("users", "passwd", "password"), "user"),
    **dict.fromkeys(("convert", "migrate"), "import"),
    **dict.fromkeys(("log", "tail"), "logs"),
    **dict.fromkeys(("reload",), "upgrade"),
}


def meant(error: click.UsageError) -> click.UsageError:
    """The error about a command or an option that there is not, with what is called otherwise here; else as it is."""
    command = error.ctx.command if error.ctx is not None else None
    if command is None:
        return error
    options = {option for parameter in command.params for option in parameter.opts}
    ours = None
    if isinstance(error, click.NoSuchOption):
        ours = _OPTIONS.get(error.option_name)
        if ours not in options:
            ours = _COMMANDS.get(error.option_name)  # "-version", which reads as an option
    elif isinstance(command, click.Group) and (found := _NO_COMMAND.match(error.message)):
        ours = _COMMANDS.get(found[1])
    elif "unexpected extra argument" in error.message and "://" in error.message and "--camera" in options:
        return click.UsageError(f"{error.message}; put the camera's address after --camera", error.ctx)
    return click.UsageError(f"{error.message.rstrip('.')}; Camshaft calls it {ours}", error.ctx) if ours else error
