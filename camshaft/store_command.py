"""``camshaft store``: what is done to the file of cameras while no broker has it. For the broker's machine."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from camshaft.options import Given, configured
from common import process


@click.group("store")
def store_group() -> None:
    """Work on the store of cameras, while the broker is stopped. For the broker's machine."""


@store_group.command()
@click.option(
    "--key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The key that follows, where the former is not ours to write; store.key_file has to name FILE afterwards.",
)
@configured("store")
def rekey(given: Given, key: Path | None) -> None:
    """Seal the store with another key, which takes the former one's place.

    Copies of the store from before are opened by the former key alone: keep or destroy both together. Whoever may have
    read both has the cameras' passwords; change these, too.
    """
    from broker.rekeying import rekey as seal_anew

    count, undone = seal_anew(given.config().store, key)
    click.echo(f"The store has another key; {count} {'camera is' if count == 1 else 'cameras are'} sealed with it.")
    if key is not None:
        click.echo(f"Name it before the broker starts: store.key_file: {key.absolute()}")
    for sentence in undone:
        click.echo(sentence, err=True)
    if undone:
        sys.exit(process.EXIT_FAILED)
