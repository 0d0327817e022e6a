"""`python -m scaling` is the `scaling` command."""

from scaling.cli.entry import scaling

if __name__ == "__main__":
    scaling()
