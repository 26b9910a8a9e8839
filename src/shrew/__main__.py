"""``python -m shrew`` is the ``shrew`` command."""

from shrew.cli import main

if __name__ == "__main__":
    main()
