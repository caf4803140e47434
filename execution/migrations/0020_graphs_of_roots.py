"""What sub-runs were charged is, in sums, of the graph of the run at the top of their tree: this fills that in.

It is the one time that entries of the ledger are changed, all in one transaction: a column that is new to them, in those
of sub-runs only. Of a run that has been deleted its own entries tell the graph; without any, its first one does.
"""

from django.db import migrations

FORWARD = """
-- First, as whoever books does: an entry comes before the cost of its run.
LOCK TABLE credits_ledgerentry IN SHARE ROW EXCLUSIVE MODE;

UPDATE credits_runcost r SET graph_id = own.graph_id
  FROM credits_ledgerentry own
 WHERE own.root_execution_id = r.root_execution_id AND own.execution_id = r.root_execution_id
   AND own.graph_id IS NOT NULL AND own.graph_id IS DISTINCT FROM r.graph_id;

UPDATE credits_runcost r SET graph_id = v.graph_id
  FROM execution_execution top JOIN graphs_graphversion v ON v.id = top.graph_version_id
 WHERE top.id = r.root_execution_id AND v.graph_id IS DISTINCT FROM r.graph_id;

ALTER TABLE credits_ledgerentry DISABLE TRIGGER entry_is_immutable;
UPDATE credits_ledgerentry l SET root_graph_id = r.graph_id
  FROM credits_runcost r
 WHERE r.root_execution_id = l.root_execution_id AND l.execution_id <> l.root_execution_id AND l.root_graph_id IS NULL;
ALTER TABLE credits_ledgerentry ENABLE TRIGGER entry_is_immutable;
"""


class Migration(migrations.Migration):
    """Fill in a column of the ledger."""

    dependencies = [
        ("execution", "0019_pin_counts"),
        ("credits", "0010_graphs_of_roots"),
    ]

    operations = [migrations.RunSQL(FORWARD, migrations.RunSQL.noop)]
