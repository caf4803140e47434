"""A run and its sub-runs are of one graph in sums: that of the run at the top, whichever of them was charged first.

An entry of a sub-run says so in a column of its own. Who adds an entry names the graph; `execution` knows it for those
that there are already, and fills it in (its migration `0020_graphs_of_roots`).
"""

from django.db import migrations, models

FORWARD = """
-- One entry; `p_facts` are its other columns.
CREATE OR REPLACE FUNCTION credits_enter(
    p_account bigint, p_key text, p_type text, p_amount bigint, p_owed bigint, p_facts jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    f credits_ledgerentry := jsonb_populate_record(NULL::credits_ledgerentry, p_facts);
BEGIN
    INSERT INTO credits_ledgerentry
           (account_id, key, type, amount, owed, execution_id, root_execution_id, graph_id, root_graph_id,
            graph_version, node_id, node_execution_id, block_id, price_version, price_type, quantity, reason, actor_id,
            details)
    VALUES (p_account, p_key, p_type, p_amount, p_owed, f.execution_id, f.root_execution_id, f.graph_id,
            f.root_graph_id, f.graph_version, f.node_id, f.node_execution_id, COALESCE(f.block_id, ''),
            f.price_version, COALESCE(f.price_type, ''), f.quantity, COALESCE(f.reason, ''), f.actor_id,
            COALESCE(f.details, '{}'));
END $$;

-- Order an automatic top-up of a locked account, unless one is under way; return whether there is news of it.
CREATE FUNCTION credits_order_top_up(p_account bigint) RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    a credits_account;
BEGIN
    SELECT * INTO a FROM credits_account WHERE id = p_account;
    IF a.auto_top_up_amount IS NULL OR a.balance >= a.auto_top_up_threshold THEN
        RETURN false;
    END IF;
    INSERT INTO credits_topup (id, account_id, kind, status, amount)
    VALUES (gen_random_uuid(), a.id, 'AUTO', 'PENDING', a.auto_top_up_amount) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        UPDATE credits_account SET news = news + 1 WHERE id = a.id;
    END IF;
    RETURN FOUND;
END $$;

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
    UPDATE credits_account
       SET balance = NEW.balance_after, owed = NEW.owed_after, entry_count = NEW.sequence,
           is_low = runs_low, is_out = runs_out, news = news + added
     WHERE id = a.id;
    -- What comes in may still settle a debt, which is an entry of its own.
    IF a.auto_top_up_amount IS NOT NULL AND NEW.amount <= 0 THEN
        PERFORM credits_order_top_up(a.id);
    END IF;
    IF NEW.type = 'USAGE' AND NEW.root_execution_id IS NOT NULL THEN
        INSERT INTO credits_runcost AS r
               (root_execution_id, account_id, graph_id, cost, owed, entry_count, first_at, last_at, first_sequence)
        VALUES (NEW.root_execution_id, a.id, COALESCE(NEW.root_graph_id, NEW.graph_id), NEW.owed - NEW.amount, NEW.owed,
                1, NEW.created_at, NEW.created_at, NEW.sequence)
        ON CONFLICT (root_execution_id) DO UPDATE
           SET cost = r.cost + EXCLUDED.cost, owed = r.owed + EXCLUDED.owed, entry_count = r.entry_count + 1,
               last_at = EXCLUDED.last_at;
    END IF;
    RETURN NULL;
END $$;
"""


class Migration(migrations.Migration):
    """Add a column, and have it written."""

    dependencies = [("credits", "0009_what_blocks_cost_lately")]

    operations = [
        migrations.AddField(model_name="ledgerentry", name="root_graph_id", field=models.UUIDField(null=True)),
        migrations.RunSQL(FORWARD),
    ]
