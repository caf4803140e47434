"""Fixtures for the tests of chaos runs."""

from tests.execution.conftest import drain

__all__ = ["drain"]
