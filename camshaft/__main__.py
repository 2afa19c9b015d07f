"""``python -m camshaft``: how the supervisor starts every other process."""

from camshaft.cli import main

if __name__ == "__main__":
    main()
