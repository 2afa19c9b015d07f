"""``camshaft store``: what is done to the file of cameras while no broker has it. For the broker's machine."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from camshaft.options import Given, configured
from common import process


@click.group("store")
def store_group() -> None:
    """Work on the store of cameras while the broker is stopped. Runs on the broker's machine."""


@store_group.command()
@click.option(
    "--key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The new key, if Camshaft cannot write the old key's file; afterwards store.key_file has to name FILE.",
)
@configured("store")
def rekey(given: Given, key: Path | None) -> None:
    """Seal the store with a new key, which replaces the old one.

    Only the old key opens earlier copies of the store: keep or destroy both together. Anyone who may have read both
    knows the cameras' passwords; change these, too.
    """
    from broker.rekeying import rekey as seal_anew

    count, undone = seal_anew(given.config().store, key)
    click.echo(f"The store has a new key; {count} {'camera is' if count == 1 else 'cameras are'} sealed with it.")
    if key is not None:
        click.echo(f"Name it before the broker starts: store.key_file: {key.absolute()}")
    for sentence in undone:
        click.echo(sentence, err=True)
    if undone:
        sys.exit(process.EXIT_FAILED)
