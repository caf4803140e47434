"""The laws of the books hold for statements that add several entries, or several holds, and take each account once.

An entry is numbered after the one before it, which may be of the same statement. What a statement adds is booked when
all of it is there, entry by entry in the order of their numbers, and the account is written once: notices and automatic
top-ups are what they were when each entry had a statement of its own.

Who adds entries of several accounts adds them in the order of the accounts' ids: each is locked with its first entry.
"""

from django.db import migrations

FORWARD = """
-- In the order in which a charge takes them.
LOCK TABLE credits_hold, credits_ledgerentry IN ACCESS EXCLUSIVE MODE;

CREATE OR REPLACE FUNCTION credits_number_entry() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    before record;
BEGIN
    PERFORM FROM credits_account WHERE id = NEW.account_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no account %', NEW.account_id USING ERRCODE = 'foreign_key_violation';
    END IF;
    -- By itself, after the lock: so it sees what others have committed meanwhile, and what this statement has added.
    SELECT sequence, balance_after, owed_after INTO before FROM credits_ledgerentry
     WHERE account_id = NEW.account_id ORDER BY sequence DESC LIMIT 1;
    NEW.sequence := COALESCE(before.sequence, 0) + 1;
    NEW.balance_after := COALESCE(before.balance_after, 0) + NEW.amount;
    NEW.owed_after := COALESCE(before.owed_after, 0) + NEW.owed;
    NEW.created_at := clock_timestamp();
    RETURN NEW;
END $$;

CREATE FUNCTION credits_book_entries() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    a credits_account;
    e record;
    stays bigint;
    runs_low boolean;
    runs_out boolean;
    needs_top_up boolean;
    has_ordered boolean;
    is_written boolean;
BEGIN
    FOR a IN SELECT * FROM credits_account WHERE id = ANY(ARRAY(SELECT account_id FROM added))
              ORDER BY id FOR NO KEY UPDATE
    LOOP
        has_ordered := false;
        FOR e IN SELECT sequence, type, amount, balance_after, owed_after FROM added
                  WHERE account_id = a.id ORDER BY sequence
        LOOP
            -- What can pay a debt pays it next, in this transaction: what stays is what the user is told about.
            stays := e.balance_after - GREATEST(0, LEAST(e.owed_after, e.balance_after - a.held));
            runs_low := stays < a.low_balance_threshold;
            runs_out := stays <= 0;
            IF runs_low AND NOT a.is_low THEN
                INSERT INTO credits_notice (account_id, kind, balance) VALUES (a.id, 'LOW_BALANCE', stays);
                a.news := a.news + 1;
            END IF;
            IF runs_out AND NOT a.is_out THEN
                INSERT INTO credits_notice (account_id, kind, balance) VALUES (a.id, 'OUT_OF_CREDITS', stays);
                a.news := a.news + 1;
            END IF;
            a.balance := e.balance_after;
            a.owed := e.owed_after;
            a.entry_count := e.sequence;
            a.is_low := runs_low;
            a.is_out := runs_out;
            is_written := false;
            -- What comes in may still settle a debt, which is an entry of its own. What was ordered here, or has
            -- paused, needs no second look.
            needs_top_up := e.amount <= 0 AND NOT has_ordered AND credits_needs_top_up(a);
            IF needs_top_up OR e.type = 'REFUND' THEN
                UPDATE credits_account
                   SET balance = a.balance, owed = a.owed, entry_count = a.entry_count,
                       is_low = a.is_low, is_out = a.is_out, news = a.news
                 WHERE id = a.id;
                IF e.type = 'REFUND' THEN
                    PERFORM credits_halt_top_ups(
                        a.id, 'A payment went back. Set them again to have credits bought automatically.');
                ELSE
                    PERFORM credits_order_top_up(a.id);
                    has_ordered := true;
                END IF;
                SELECT * INTO a FROM credits_account WHERE id = a.id;
                is_written := true;
            END IF;
        END LOOP;
        IF NOT is_written THEN
            UPDATE credits_account
               SET balance = a.balance, owed = a.owed, entry_count = a.entry_count,
                   is_low = a.is_low, is_out = a.is_out, news = a.news
             WHERE id = a.id;
        END IF;
    END LOOP;
    INSERT INTO credits_runcost AS r
           (root_execution_id, account_id, graph_id, cost, owed, entry_count, first_at, last_at, first_sequence)
    SELECT root_execution_id, min(account_id),
           (array_agg(COALESCE(root_graph_id, graph_id) ORDER BY account_id, sequence))[1],
           sum(owed - amount), sum(owed), count(*), min(created_at), max(created_at),
           (array_agg(sequence ORDER BY account_id, sequence))[1]
      FROM added WHERE type = 'USAGE' AND root_execution_id IS NOT NULL GROUP BY root_execution_id
    ON CONFLICT (root_execution_id) DO UPDATE
       SET cost = r.cost + EXCLUDED.cost, owed = r.owed + EXCLUDED.owed,
           entry_count = r.entry_count + EXCLUDED.entry_count, last_at = EXCLUDED.last_at;
    RETURN NULL;
END $$;

DROP TRIGGER entry_is_booked ON credits_ledgerentry;
DROP FUNCTION credits_book_entry;
CREATE TRIGGER entries_are_booked AFTER INSERT ON credits_ledgerentry REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION credits_book_entries();

CREATE FUNCTION credits_count_holds() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    h record;
BEGIN
    FOR h IN SELECT account_id, sum(amount) AS amount FROM added GROUP BY account_id ORDER BY account_id LOOP
        UPDATE credits_account SET held = held + h.amount WHERE id = h.account_id;
    END LOOP;
    RETURN NULL;
END $$;

DROP TRIGGER hold_is_counted ON credits_hold;
DROP FUNCTION credits_count_hold;
CREATE TRIGGER holds_are_counted AFTER INSERT ON credits_hold REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION credits_count_holds();
"""

BACKWARD = """
DROP TRIGGER holds_are_counted ON credits_hold;
DROP FUNCTION credits_count_holds;
CREATE FUNCTION credits_count_hold() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    UPDATE credits_account SET held = held + NEW.amount WHERE id = NEW.account_id;
    RETURN NULL;
END $$;
CREATE TRIGGER hold_is_counted AFTER INSERT ON credits_hold
    FOR EACH ROW EXECUTE FUNCTION credits_count_hold();

DROP TRIGGER entries_are_booked ON credits_ledgerentry;
DROP FUNCTION credits_book_entries;
CREATE FUNCTION credits_book_entry() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    a credits_account;
    stays bigint;
    runs_low boolean;
    runs_out boolean;
    added int := 0;
BEGIN
    SELECT * INTO a FROM credits_account WHERE id = NEW.account_id FOR NO KEY UPDATE;
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
CREATE TRIGGER entry_is_booked AFTER INSERT ON credits_ledgerentry
    FOR EACH ROW EXECUTE FUNCTION credits_book_entry();

CREATE OR REPLACE FUNCTION credits_number_entry() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    a credits_account;
BEGIN
    SELECT * INTO a FROM credits_account WHERE id = NEW.account_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no account %', NEW.account_id USING ERRCODE = 'foreign_key_violation';
    END IF;
    NEW.sequence := a.entry_count + 1;
    NEW.balance_after := a.balance + NEW.amount;
    NEW.owed_after := a.owed + NEW.owed;
    NEW.created_at := clock_timestamp();
    RETURN NEW;
END $$;
"""


class Migration(migrations.Migration):
    """Replace three laws."""

    dependencies = [("credits", "0016_charges_and_holds_by_themselves")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
