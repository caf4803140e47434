"""The SQL of the hot path: claim, record, and what follows from a record.

Everything here decides by asking `execution.engine` and writes the answer down. Each public function is one
transaction. Locks are taken in one order: the run of a parent, the run of a child, then node executions.
"""
