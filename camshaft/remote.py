"""The options by which commands reach a broker that runs."""

from __future__ import annotations

import click

from common.address import page_address, split_listen
from common.cameras import Transport
from common.config import HttpConfig

DEFAULT_API = page_address(*split_listen(HttpConfig().listen)).rstrip("/")

TRANSPORTS = [each.value for each in Transport]
api_option = click.option(
    "--api",
    metavar="URL",
    envvar="CAMSHAFT_API",
    default=DEFAULT_API,
    help=f"Address of the broker's HTTP.  [CAMSHAFT_API; default: {DEFAULT_API}]",
)
ca_option = click.option(
    "--ca-file",
    metavar="FILE",
    envvar="CAMSHAFT_CA_FILE",
    help="PEM file of the authority that signed an https broker's certificate, if the system does not know it.  "
    "[CAMSHAFT_CA_FILE]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON, for programs.")
