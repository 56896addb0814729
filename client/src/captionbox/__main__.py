"""`python -m captionbox` is the `captionbox` command."""

from captionbox.cli.app import main

if __name__ == "__main__":
    main()
