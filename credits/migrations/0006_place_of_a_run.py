"""A run stands in its account's history where its first charge does: there it stays, whatever it costs later.

So a history can be read page by page while runs go on, and a charge changes no index.
"""

from django.db import migrations, models

FORWARD = """
CREATE OR REPLACE FUNCTION credits_book_entry() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    a credits_account;
    runs_low boolean;
    runs_out boolean;
    added int := 0;
BEGIN
    SELECT * INTO a FROM credits_account WHERE id = NEW.account_id FOR NO KEY UPDATE;
    runs_low := NEW.balance_after < a.low_balance_threshold;
    runs_out := NEW.balance_after <= 0;
    IF runs_low AND NOT a.is_low THEN
        INSERT INTO credits_notice (account_id, kind, balance) VALUES (a.id, 'LOW_BALANCE', NEW.balance_after);
        added := added + 1;
    END IF;
    IF runs_out AND NOT a.is_out THEN
        INSERT INTO credits_notice (account_id, kind, balance) VALUES (a.id, 'OUT_OF_CREDITS', NEW.balance_after);
        added := added + 1;
    END IF;
    IF a.auto_top_up_amount IS NOT NULL AND NEW.balance_after < a.auto_top_up_threshold AND NEW.amount <= 0 THEN
        INSERT INTO credits_topup (id, account_id, kind, status, amount)
        VALUES (gen_random_uuid(), a.id, 'AUTO', 'PENDING', a.auto_top_up_amount) ON CONFLICT DO NOTHING;
        IF FOUND THEN
            added := added + 1;
        END IF;
    END IF;
    UPDATE credits_account
       SET balance = NEW.balance_after, owed = NEW.owed_after, entry_count = NEW.sequence,
           is_low = runs_low, is_out = runs_out, news = news + added
     WHERE id = a.id;
    IF NEW.type = 'USAGE' AND NEW.root_execution_id IS NOT NULL THEN
        INSERT INTO credits_runcost AS r
               (root_execution_id, account_id, graph_id, cost, owed, entry_count, first_at, last_at, first_sequence)
        VALUES (NEW.root_execution_id, a.id, NEW.graph_id, NEW.owed - NEW.amount, NEW.owed, 1,
                NEW.created_at, NEW.created_at, NEW.sequence)
        ON CONFLICT (root_execution_id) DO UPDATE
           SET cost = r.cost + EXCLUDED.cost, owed = r.owed + EXCLUDED.owed, entry_count = r.entry_count + 1,
               last_at = EXCLUDED.last_at;
    END IF;
    RETURN NULL;
END $$;

UPDATE credits_runcost r SET first_sequence = e.first
  FROM (SELECT root_execution_id, min(sequence) AS first FROM credits_ledgerentry
         WHERE type = 'USAGE' AND root_execution_id IS NOT NULL GROUP BY root_execution_id) e
 WHERE e.root_execution_id = r.root_execution_id;
"""


class Migration(migrations.Migration):
    """Put the number of a run's first entry in the place of that of its newest."""

    dependencies = [("credits", "0005_cost_limits")]

    operations = [
        migrations.RemoveConstraint(model_name="runcost", name="run_cost_in_history"),
        migrations.AddField(model_name="runcost", name="first_sequence", field=models.BigIntegerField(null=True)),
        migrations.RemoveField(model_name="runcost", name="last_sequence"),
        migrations.RunSQL(FORWARD),
        migrations.AlterField(model_name="runcost", name="first_sequence", field=models.BigIntegerField()),
        migrations.AddConstraint(
            model_name="runcost",
            constraint=models.UniqueConstraint(fields=("account", "first_sequence"), name="run_cost_in_history"),
        ),
    ]
