"""The ``camshaft`` command, and ``python -m camshaft``."""

from camshaft.argv import hide_own


def main() -> None:
    """Run the command line."""
    hide_own()
    from camshaft.cli import cli  # late: the less is imported first, the shorter a password is seen

    cli(prog_name="camshaft")


if __name__ == "__main__":
    main()
