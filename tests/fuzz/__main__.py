"""`make fuzz`: coverage-guided fuzzing of one parser: python -m tests.fuzz NAME [libFuzzer's options] [corpus].

New inputs that reach new code are added to the corpus; one that fails is written to a file `crash-...`.
"""

import sys

import atheris

with atheris.instrument_imports(include=["gateway"]):
    from .targets import TARGETS


def main() -> None:
    """Fuzz until libFuzzer's options say stop; it ends the process itself."""
    name, *options = sys.argv[1:] or [""]
    if name not in TARGETS:
        sys.exit(f"{name or 'nothing'} is no target: write one of {', '.join(TARGETS)}")
    atheris.Setup([sys.argv[0], *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
