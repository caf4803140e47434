"""How fast the engine is, beside others that run the same graphs in the same session: `make bench`."""
