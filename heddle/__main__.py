"""`python -m heddle` is the `heddle` command."""

from heddle.cli.main import run

if __name__ == "__main__":
    run()
