"""The rules of dataflow: what a graph means when it runs.

Pure Python: values in, values out. No database, no queue, no clock, no randomness. Whoever runs a graph (the store,
or the in-memory machine of this package) loads the part of a run's state that an event touches, asks these functions
what follows from it, and writes down the answer.
"""
