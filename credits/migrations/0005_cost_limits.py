"""A run's `max_cost` bounds what is charged as well, not only what is set aside.

What a node execution used, or the fee, beyond what its run may cost is not charged; the entry says how much that was
(`waived`). Functions that are called as before do as before.
"""

from django.db import migrations

FORWARD = """
DROP FUNCTION credits_capture(bigint, uuid, bigint, jsonb);
DROP FUNCTION credits_charge_fee(bigint, bigint, bigint, jsonb);

-- What of a price may be charged to a run that may cost so much, with its sub-runs. The account is locked.
CREATE FUNCTION credits_within(p_amount bigint, p_root uuid, p_max_cost bigint) RETURNS bigint
LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF p_max_cost IS NULL THEN
        RETURN p_amount;
    END IF;
    RETURN LEAST(p_amount, GREATEST(
        p_max_cost - COALESCE((SELECT cost FROM credits_runcost WHERE root_execution_id = p_root), 0), 0));
END $$;

-- Facts that say how much was not charged, if anything.
CREATE FUNCTION credits_waive(p_facts jsonb, p_waived bigint) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_waived = 0 THEN p_facts ELSE
        p_facts || jsonb_build_object(
            'details', COALESCE(p_facts -> 'details', '{}') || jsonb_build_object('waived', p_waived)) END
$$;

-- Charge a node execution what it cost, once, and let go of what was held for it.
CREATE FUNCTION credits_capture(
    p_user bigint, p_key uuid, p_amount bigint, p_facts jsonb, p_max_cost bigint DEFAULT NULL,
    OUT charged bigint, OUT owed bigint, OUT is_new boolean, OUT has_news boolean
) LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    a credits_account := credits_lock(p_user);
    present bigint;
    due bigint;
BEGIN
    DELETE FROM credits_hold WHERE key = p_key RETURNING amount INTO present;
    SELECT -e.amount, e.owed INTO charged, owed FROM credits_ledgerentry e WHERE e.key = 'usage:' || p_key;
    is_new := NOT FOUND;
    IF is_new THEN
        due := credits_within(p_amount, (p_facts ->> 'root_execution_id')::uuid, p_max_cost);
        is_new := due > 0;
    END IF;
    IF is_new THEN
        charged := LEAST(due, a.balance - a.held + COALESCE(present, 0));
        owed := due - charged;
        PERFORM credits_enter(
            a.id, 'usage:' || p_key, 'USAGE', -charged, owed, credits_waive(p_facts, p_amount - due));
    END IF;
    charged := COALESCE(charged, 0);
    owed := COALESCE(owed, 0);
    PERFORM credits_settle(a.id);
    SELECT news > a.news INTO has_news FROM credits_account WHERE id = a.id;
END $$;

-- Count node executions; every `p_per` of them cost a credit.
CREATE FUNCTION credits_charge_fee(
    p_user bigint, p_count bigint, p_per bigint, p_facts jsonb, p_max_cost bigint DEFAULT NULL,
    OUT charged bigint, OUT owed bigint, OUT has_news boolean
) LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    a credits_account := credits_lock(p_user);
    fee bigint := (a.unbilled_executions + p_count) / p_per;
    due bigint := credits_within(fee, (p_facts ->> 'root_execution_id')::uuid, p_max_cost);
BEGIN
    UPDATE credits_account
       SET node_executions = node_executions + p_count, unbilled_executions = (a.unbilled_executions + p_count) % p_per
     WHERE id = a.id;
    charged := LEAST(due, a.balance - a.held);
    owed := due - charged;
    IF due > 0 THEN
        PERFORM credits_enter(
            a.id, format('fee:%s:%s', a.id, a.node_executions + p_count), 'USAGE', -charged, owed,
            credits_waive(p_facts, fee - due));
    END IF;
    SELECT news > a.news INTO has_news FROM credits_account WHERE id = a.id;
END $$;
"""


class Migration(migrations.Migration):
    """Replace two functions."""

    dependencies = [("credits", "0004_reversals")]

    operations = [migrations.RunSQL(FORWARD)]
