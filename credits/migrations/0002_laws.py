"""The laws of the books, and the functions that keep them in one round trip each.

* Ledger entries are added, never changed, deleted or truncated. Each takes its number, the balance and what is owed
  from the entry before, under the account's lock; the account then takes them from it. A statement that adds nothing
  (`ON CONFLICT DO NOTHING`) changes nothing, and one that would add two entries to one account is refused.
* An account's balance, its debt and what it holds can't be written otherwise.
* What can be spent is never below zero: what a price exceeds it by is owed, and paid as soon as something can be spent.

Lock order: an account before its holds. Plans are made when the tables may be empty and kept, hence `enable_seqscan`.
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION credits_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is only ever added to', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION credits_guard_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'a balance changes by ledger entries and holds only' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION credits_number_entry() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
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

CREATE FUNCTION credits_book_entry() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
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
               (root_execution_id, account_id, graph_id, cost, owed, entry_count, first_at, last_at, last_sequence)
        VALUES (NEW.root_execution_id, a.id, NEW.graph_id, NEW.owed - NEW.amount, NEW.owed, 1,
                NEW.created_at, NEW.created_at, NEW.sequence)
        ON CONFLICT (root_execution_id) DO UPDATE
           SET cost = r.cost + EXCLUDED.cost, owed = r.owed + EXCLUDED.owed, entry_count = r.entry_count + 1,
               last_at = EXCLUDED.last_at, last_sequence = EXCLUDED.last_sequence;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION credits_count_hold() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    UPDATE credits_account SET held = held + NEW.amount WHERE id = NEW.account_id;
    RETURN NULL;
END $$;

CREATE FUNCTION credits_discount_holds() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    UPDATE credits_account a SET held = a.held - g.amount
      FROM (SELECT account_id, sum(amount) AS amount FROM gone GROUP BY account_id) g
     WHERE a.id = g.account_id;
    RETURN NULL;
END $$;

CREATE TRIGGER entry_is_immutable BEFORE UPDATE OR DELETE ON credits_ledgerentry
    FOR EACH ROW EXECUTE FUNCTION credits_refuse_change();
CREATE TRIGGER ledger_is_never_emptied BEFORE TRUNCATE ON credits_ledgerentry
    FOR EACH STATEMENT EXECUTE FUNCTION credits_refuse_change();
CREATE TRIGGER entry_is_numbered BEFORE INSERT ON credits_ledgerentry
    FOR EACH ROW EXECUTE FUNCTION credits_number_entry();
CREATE TRIGGER entry_is_booked AFTER INSERT ON credits_ledgerentry
    FOR EACH ROW EXECUTE FUNCTION credits_book_entry();

CREATE TRIGGER account_starts_empty BEFORE INSERT ON credits_account
    FOR EACH ROW WHEN ((NEW.balance, NEW.held, NEW.owed, NEW.entry_count) IS DISTINCT FROM (0::bigint, 0::bigint, 0::bigint, 0::bigint))
    EXECUTE FUNCTION credits_guard_account();
CREATE TRIGGER account_follows_its_ledger BEFORE UPDATE OF balance, held, owed, entry_count ON credits_account
    FOR EACH ROW WHEN ((OLD.balance, OLD.held, OLD.owed, OLD.entry_count)
                       IS DISTINCT FROM (NEW.balance, NEW.held, NEW.owed, NEW.entry_count))
    EXECUTE FUNCTION credits_guard_account();

CREATE TRIGGER hold_is_immutable BEFORE UPDATE ON credits_hold
    FOR EACH ROW EXECUTE FUNCTION credits_refuse_change();
CREATE TRIGGER holds_are_never_emptied BEFORE TRUNCATE ON credits_hold
    FOR EACH STATEMENT EXECUTE FUNCTION credits_refuse_change();
CREATE TRIGGER hold_is_counted AFTER INSERT ON credits_hold
    FOR EACH ROW EXECUTE FUNCTION credits_count_hold();
CREATE TRIGGER holds_are_discounted AFTER DELETE ON credits_hold REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION credits_discount_holds();

-- The account of a user, locked; it is opened if there is none.
CREATE FUNCTION credits_lock(p_user bigint) RETURNS credits_account LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    a credits_account;
BEGIN
    SELECT * INTO a FROM credits_account WHERE user_id = p_user FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        INSERT INTO credits_account (user_id) VALUES (p_user) ON CONFLICT (user_id) DO NOTHING;
        SELECT * INTO STRICT a FROM credits_account WHERE user_id = p_user FOR NO KEY UPDATE;
    END IF;
    RETURN a;
END $$;

-- One entry; `p_facts` are its other columns.
CREATE FUNCTION credits_enter(p_account bigint, p_key text, p_type text, p_amount bigint, p_owed bigint, p_facts jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    f credits_ledgerentry := jsonb_populate_record(NULL::credits_ledgerentry, p_facts);
BEGIN
    INSERT INTO credits_ledgerentry
           (account_id, key, type, amount, owed, execution_id, root_execution_id, graph_id, graph_version, node_id,
            node_execution_id, block_id, price_version, price_type, quantity, reason, actor_id, details)
    VALUES (p_account, p_key, p_type, p_amount, p_owed, f.execution_id, f.root_execution_id, f.graph_id,
            f.graph_version, f.node_id, f.node_execution_id, COALESCE(f.block_id, ''), f.price_version,
            COALESCE(f.price_type, ''), f.quantity, COALESCE(f.reason, ''), f.actor_id, COALESCE(f.details, '{}'));
END $$;

-- A debt is paid as far as something can be spent.
CREATE FUNCTION credits_settle(p_account bigint) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    a credits_account;
    pays bigint;
BEGIN
    SELECT * INTO a FROM credits_account WHERE id = p_account;
    pays := LEAST(a.owed, a.balance - a.held);
    IF pays > 0 THEN
        PERFORM credits_enter(a.id, format('settlement:%s:%s', a.id, a.entry_count + 1), 'SETTLEMENT', -pays, -pays, '{}');
    END IF;
END $$;

-- Set credits aside for a node execution, if they are there and the run may cost so much more.
CREATE FUNCTION credits_hold(
    p_user bigint, p_key uuid, p_execution uuid, p_root uuid, p_amount bigint, p_max_cost bigint,
    OUT granted boolean, OUT spendable bigint, OUT committed bigint
) LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    a credits_account := credits_lock(p_user);
    present bigint;
BEGIN
    spendable := a.balance - a.held;
    DELETE FROM credits_hold WHERE key = p_key RETURNING amount INTO present;
    spendable := spendable + COALESCE(present, 0);
    IF p_max_cost IS NOT NULL THEN
        committed := COALESCE((SELECT cost FROM credits_runcost WHERE root_execution_id = p_root), 0)
                   + COALESCE((SELECT sum(amount) FROM credits_hold WHERE root_execution_id = p_root), 0);
    END IF;
    granted := spendable >= p_amount AND (p_max_cost IS NULL OR committed + p_amount <= p_max_cost);
    IF granted THEN
        INSERT INTO credits_hold (key, account_id, execution_id, root_execution_id, amount)
        VALUES (p_key, a.id, p_execution, p_root, p_amount);
    END IF;
    IF present IS NOT NULL THEN
        PERFORM credits_settle(a.id);
    END IF;
END $$;

-- Charge a node execution what it cost, once, and let go of what was held for it.
CREATE FUNCTION credits_capture(
    p_user bigint, p_key uuid, p_amount bigint, p_facts jsonb,
    OUT charged bigint, OUT owed bigint, OUT is_new boolean, OUT has_news boolean
) LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    a credits_account := credits_lock(p_user);
    present bigint;
BEGIN
    DELETE FROM credits_hold WHERE key = p_key RETURNING amount INTO present;
    SELECT -e.amount, e.owed INTO charged, owed FROM credits_ledgerentry e WHERE e.key = 'usage:' || p_key;
    is_new := NOT FOUND AND p_amount > 0;
    IF is_new THEN
        charged := LEAST(p_amount, a.balance - a.held + COALESCE(present, 0));
        owed := p_amount - charged;
        PERFORM credits_enter(a.id, 'usage:' || p_key, 'USAGE', -charged, owed, p_facts);
    END IF;
    charged := COALESCE(charged, 0);
    owed := COALESCE(owed, 0);
    PERFORM credits_settle(a.id);
    SELECT news > a.news INTO has_news FROM credits_account WHERE id = a.id;
END $$;

-- Let go of what is held for node executions, or for all of whole runs.
CREATE FUNCTION credits_release(p_keys uuid[], p_executions uuid[]) RETURNS bigint
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    accounts bigint[];
    account bigint;
    released bigint;
BEGIN
    SELECT array_agg(DISTINCT h.account_id ORDER BY h.account_id) INTO accounts FROM credits_hold h
     WHERE h.key = ANY(p_keys) OR h.execution_id = ANY(p_executions);
    IF accounts IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM FROM credits_account WHERE id = ANY(accounts) ORDER BY id FOR NO KEY UPDATE;
    DELETE FROM credits_hold h
     WHERE h.account_id = ANY(accounts) AND (h.key = ANY(p_keys) OR h.execution_id = ANY(p_executions));
    GET DIAGNOSTICS released = ROW_COUNT;
    FOREACH account IN ARRAY accounts LOOP
        PERFORM credits_settle(account);
    END LOOP;
    RETURN released;
END $$;

-- Count node executions; every `p_per` of them cost a credit.
CREATE FUNCTION credits_charge_fee(
    p_user bigint, p_count bigint, p_per bigint, p_facts jsonb,
    OUT charged bigint, OUT owed bigint, OUT has_news boolean
) LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    a credits_account := credits_lock(p_user);
    fee bigint := (a.unbilled_executions + p_count) / p_per;
BEGIN
    UPDATE credits_account
       SET node_executions = node_executions + p_count, unbilled_executions = (a.unbilled_executions + p_count) % p_per
     WHERE id = a.id;
    charged := LEAST(fee, a.balance - a.held);
    owed := fee - charged;
    IF fee > 0 THEN
        PERFORM credits_enter(
            a.id, format('fee:%s:%s', a.id, a.node_executions + p_count), 'USAGE', -charged, owed, p_facts);
    END IF;
    SELECT news > a.news INTO has_news FROM credits_account WHERE id = a.id;
END $$;

-- Money in or out, once per key. Of a REFUND that can't be paid the rest is owed.
CREATE FUNCTION credits_post(
    p_user bigint, p_key text, p_type text, p_amount bigint, p_facts jsonb,
    OUT sequence bigint, OUT is_new boolean, OUT agrees boolean, OUT has_news boolean
) LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    a credits_account := credits_lock(p_user);
    pays bigint := p_amount;
BEGIN
    SELECT e.sequence, e.account_id = a.id AND e.type = p_type AND e.amount - e.owed = p_amount
      INTO sequence, agrees FROM credits_ledgerentry e WHERE e.key = p_key;
    is_new := NOT FOUND;
    IF is_new THEN
        agrees := true;
        IF p_type = 'REFUND' THEN
            pays := -LEAST(-p_amount, a.balance - a.held);
        END IF;
        PERFORM credits_enter(a.id, p_key, p_type, pays, pays - p_amount, p_facts);
        sequence := a.entry_count + 1;
        PERFORM credits_settle(a.id);
    END IF;
    SELECT news > a.news INTO has_news FROM credits_account WHERE id = a.id;
END $$;
"""

BACKWARD = """
DROP FUNCTION credits_post, credits_charge_fee, credits_release, credits_capture, credits_hold, credits_settle;
DROP FUNCTION credits_enter, credits_lock;
DROP TRIGGER holds_are_discounted ON credits_hold;
DROP TRIGGER hold_is_counted ON credits_hold;
DROP TRIGGER holds_are_never_emptied ON credits_hold;
DROP TRIGGER hold_is_immutable ON credits_hold;
DROP TRIGGER account_follows_its_ledger ON credits_account;
DROP TRIGGER account_starts_empty ON credits_account;
DROP TRIGGER entry_is_booked ON credits_ledgerentry;
DROP TRIGGER entry_is_numbered ON credits_ledgerentry;
DROP TRIGGER ledger_is_never_emptied ON credits_ledgerentry;
DROP TRIGGER entry_is_immutable ON credits_ledgerentry;
DROP FUNCTION credits_discount_holds, credits_count_hold, credits_book_entry, credits_number_entry;
DROP FUNCTION credits_guard_account, credits_refuse_change;
"""


class Migration(migrations.Migration):
    """Add triggers and functions."""

    dependencies = [("credits", "0001_initial")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
