"""Reads and writes graphs as the JSON that AutoGPT exports. Plain data in, plain data out: no database here."""
