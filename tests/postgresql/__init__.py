"""PostgreSQL as the tests use it: see `base`, the module that Django looks for."""
