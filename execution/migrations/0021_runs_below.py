"""What is below a run, wherever in its tree it stands: for what is shown of sub-runs."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION execution_runs_below(above uuid) RETURNS SETOF uuid LANGUAGE plpgsql STABLE ROWS 10 AS $$
DECLARE
    level uuid[] := ARRAY[above];
BEGIN
    LOOP
        SELECT array_agg(c.id) INTO level
          FROM execution_nodeexecution n JOIN execution_execution c ON c.parent_id = n.id
         WHERE n.execution_id = ANY(level);
        EXIT WHEN level IS NULL;
        RETURN QUERY SELECT unnest(level);
    END LOOP;
END $$;
"""

BACKWARD = "DROP FUNCTION execution_runs_below(uuid);"


class Migration(migrations.Migration):
    """Add a function."""

    dependencies = [("execution", "0020_graphs_of_roots")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
