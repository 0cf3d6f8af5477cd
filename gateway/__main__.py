"""`python -m gateway` is the command `scopegate`."""

from gateway.cli import main

main(prog_name="scopegate")
