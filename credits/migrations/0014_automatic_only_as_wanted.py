"""Automatic top-ups only as their user wants them: not after money went back, not once they are changed or not needed.

* Who has had money sent back, or disputes a payment, is charged nothing by itself until they say so again.
* What is ordered and not prepared at the provider yet is cancelled when it is switched off, changed or not needed.
* As many are made within a day as the user allows, by when they were charged.
"""

from django.db import migrations, models

FORWARD = """
CREATE OR REPLACE FUNCTION credits_next_top_up(p_account bigint, p_per_day bigint) RETURNS timestamptz
LANGUAGE sql STABLE SET enable_seqscan = off AS $$
    -- What is under way has no end and comes first.
    SELECT COALESCE(ended_at, clock_timestamp()) + interval '24 hours' FROM credits_topup
     WHERE account_id = p_account AND kind = 'AUTO' AND status <> 'FAILED'
     ORDER BY ended_at DESC NULLS FIRST OFFSET p_per_day - 1 LIMIT 1
$$;

-- Whether a locked account is to buy credits by itself.
CREATE FUNCTION credits_needs_top_up(a credits_account) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT a.user_id IS NOT NULL AND a.auto_top_up_amount IS NOT NULL AND a.auto_top_up_halt = ''
       AND (a.balance < a.auto_top_up_threshold OR a.owed > 0)
$$;

-- Cancel what is ordered for a locked account and not wanted any more; it can't have been charged without a payment.
CREATE FUNCTION credits_cancel_top_up(p_account bigint) RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    UPDATE credits_topup t
       SET status = 'FAILED', error = 'Not charged: it is not wanted any more.', ended_at = clock_timestamp()
      FROM credits_account a
     WHERE a.id = p_account AND t.account_id = a.id AND t.kind = 'AUTO' AND t.status = 'PENDING'
       AND t.payment_id IS NULL AND NOT (credits_needs_top_up(a) AND t.amount = a.auto_top_up_amount);
    RETURN FOUND;
END $$;

CREATE OR REPLACE FUNCTION credits_order_top_up(p_account bigint) RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    a credits_account;
    next_at timestamptz;
    pauses boolean;
BEGIN
    SELECT * INTO a FROM credits_account WHERE id = p_account;
    IF NOT credits_needs_top_up(a)
       OR EXISTS (SELECT FROM credits_topup WHERE account_id = a.id AND kind = 'AUTO' AND status = 'PENDING') THEN
        RETURN false;
    END IF;
    next_at := credits_next_top_up(a.id, a.auto_top_ups_per_day);
    pauses := COALESCE(next_at > clock_timestamp(), false);
    IF pauses AND a.is_auto_top_up_paused THEN
        RETURN false;
    END IF;
    IF pauses THEN
        INSERT INTO credits_notice (account_id, kind, balance, text)
        VALUES (a.id, 'AUTO_TOP_UP_PAUSED', a.balance, format(
            '%s were made within 24 hours, as many as you allow. The next one is made from %s UTC on, if it is needed.',
            a.auto_top_ups_per_day, to_char(next_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')));
    ELSE
        INSERT INTO credits_topup (id, account_id, kind, status, amount)
        VALUES (gen_random_uuid(), a.id, 'AUTO', 'PENDING', a.auto_top_up_amount) ON CONFLICT DO NOTHING;
    END IF;
    UPDATE credits_account SET is_auto_top_up_paused = pauses, news = news + 1 WHERE id = a.id;
    RETURN true;
END $$;

-- Have a locked account buy nothing by itself, and tell its user why, until they say so again.
CREATE FUNCTION credits_halt_top_ups(p_account bigint, p_why text) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    UPDATE credits_account SET auto_top_up_halt = p_why, news = news + 1
     WHERE id = p_account AND auto_top_up_amount IS NOT NULL AND auto_top_up_halt = '';
    IF FOUND THEN
        INSERT INTO credits_notice (account_id, kind, balance, text)
        SELECT id, 'AUTO_TOP_UP_PAUSED', balance, p_why FROM credits_account WHERE id = p_account;
        PERFORM credits_cancel_top_up(p_account);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION credits_book_entry() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    a credits_account;
    stays bigint;
    runs_low boolean;
    runs_out boolean;
    added int := 0;
BEGIN
    SELECT * INTO a FROM credits_account WHERE id = NEW.account_id FOR NO KEY UPDATE;
    -- What can pay a debt pays it next, in this transaction: what stays is what the user is told about.
    stays := NEW.balance_after - GREATEST(0, LEAST(NEW.owed_after, NEW.balance_after - a.held));
    runs_low := stays < a.low_balance_threshold;
    runs_out := stays <= 0;
    IF runs_low AND NOT a.is_low THEN
        INSERT INTO credits_notice (account_id, kind, balance) VALUES (a.id, 'LOW_BALANCE', stays);
        added := added + 1;
    END IF;
    IF runs_out AND NOT a.is_out THEN
        INSERT INTO credits_notice (account_id, kind, balance) VALUES (a.id, 'OUT_OF_CREDITS', stays);
        added := added + 1;
    END IF;
    UPDATE credits_account
       SET balance = NEW.balance_after, owed = NEW.owed_after, entry_count = NEW.sequence,
           is_low = runs_low, is_out = runs_out, news = news + added
     WHERE id = a.id;
    -- What comes in may still settle a debt, which is an entry of its own.
    IF NEW.type = 'REFUND' THEN
        PERFORM credits_halt_top_ups(a.id, 'A payment went back. Set them again to have credits bought automatically.');
    ELSIF a.auto_top_up_amount IS NOT NULL AND NEW.amount <= 0 THEN
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
    """Add why they wait for their user, and an index; replace the functions."""

    dependencies = [("credits", "0013_refunds_under_way")]

    operations = [
        migrations.AddField(
            model_name="account",
            name="auto_top_up_halt",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
        migrations.AddIndex(
            model_name="topup",
            index=models.Index(
                condition=models.Q(("kind", "AUTO")), fields=["account", "-ended_at"], name="top_up_auto_by_end"
            ),
        ),
        migrations.RunSQL(FORWARD),
    ]
