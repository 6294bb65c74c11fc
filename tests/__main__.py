"""Run pytest for `python3 -m bears test`."""

import sys

from bears.cli import begin

if __name__ == "__main__":
    begin()

import pytest

if __name__ == "__main__":
    try:
        sys.exit(pytest.main())
    except KeyboardInterrupt:  # while pytest starts or ends; in between, pytest handles it
        sys.exit(130)
