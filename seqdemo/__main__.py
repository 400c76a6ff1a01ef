"""``python -m seqdemo`` is the command line."""

from seqdemo.cli import main

if __name__ == "__main__":
    main(prog_name="seqdemo")
