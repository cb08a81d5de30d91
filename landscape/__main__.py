"""``python -m landscape`` is ``landscape``."""

from landscape.cli.app import main

if __name__ == "__main__":
    main()
