"""One step charges what several node executions of a run cost and sets aside what others do, for all of them at once.

If all of it can be paid, which is the rule, that takes little longer than for one: the account, the run's cost and the
ledger's indexes are opened once. Else it is done one by one, in order: what can't be paid depends on what came before.
"""

from django.db import migrations

FORWARD = """
-- Charge node executions of a run, and set credits aside for others, as `credits_capture_and_hold` does one by one, in
-- the order in which they are given. For a hold that stands alone and is not granted it says what could be spent, and
-- what the run had cost or held if there is a limit to that.
CREATE FUNCTION credits_capture_and_hold_all(
    p_user bigint, p_execution uuid, p_root uuid, p_max_cost bigint,
    p_keys uuid[], p_amounts bigint[], p_facts jsonb[], p_nexts uuid[], p_next_amounts bigint[]
) RETURNS TABLE (
    charged bigint, owed bigint, is_new boolean, has_news boolean,
    next uuid, granted boolean, spendable bigint, committed bigint
) LANGUAGE plpgsql ROWS 8 SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    a credits_account;
    count int := GREATEST(cardinality(p_keys), cardinality(p_nexts));
    is_plain boolean := count > 1;  -- so far
    known uuid[];
    amounts bigint[];
    remains bigint;
    least bigint;
    entries text[] := '{}';
    prices bigint[] := '{}';
    facts jsonb[] := '{}';
    source uuid;
    amount bigint;
    gone uuid[] := '{}';
    sources uuid[] := '{}';
    opened uuid[] := '{}';
    opened_amounts bigint[] := '{}';
    at int;
    told boolean := false;
    each record;
BEGIN
    IF is_plain THEN
        a := credits_lock(p_user);
        remains := a.balance - a.held;
        least := remains;
        SELECT array_agg(key), array_agg(amount),
               bool_or(key = ANY(p_nexts) OR account_id <> a.id OR root_execution_id <> p_root) IS NOT TRUE
               AND a.owed = 0
               AND NOT EXISTS (SELECT FROM credits_ledgerentry
                                WHERE key = ANY(ARRAY(SELECT 'usage:' || asked FROM unnest(p_keys) AS asked)))
          INTO known, amounts, is_plain FROM credits_hold WHERE key = ANY(p_keys || p_nexts);
    END IF;

    -- What comes of it one by one. `remains` is what can be spent then. `sources` are the holds that pass on to what is
    -- `opened`, for the same amount; what was opened here and is charged further on has no hold in the end, and what
    -- passed on to it passes on again.
    FOR place IN 1..count LOOP
        EXIT WHEN NOT is_plain;
        source := NULL;
        amount := NULL;
        IF p_keys[place] IS NOT NULL THEN
            at := array_position(opened, p_keys[place]);
            IF at IS NOT NULL THEN
                source := sources[at];
                amount := opened_amounts[at];
                opened[at] := NULL;
            ELSE
                amount := amounts[array_position(known, p_keys[place])];
                source := CASE WHEN amount IS NOT NULL THEN p_keys[place] END;
            END IF;
            remains := remains + COALESCE(amount, 0) - p_amounts[place];
            is_plain := array_position(p_keys, p_keys[place]) = place;
            IF p_amounts[place] > 0 THEN
                entries := entries || ('usage:' || p_keys[place]);
                prices := prices || p_amounts[place];
                facts := facts || p_facts[place];
            END IF;
        END IF;
        IF p_nexts[place] IS NOT NULL THEN
            remains := remains - p_next_amounts[place];
            is_plain := is_plain AND array_position(p_nexts, p_nexts[place]) = place;
            opened := opened || p_nexts[place];
            opened_amounts := opened_amounts || p_next_amounts[place];
            IF amount = p_next_amounts[place] THEN
                sources := sources || source;
                source := NULL;
            ELSE
                sources := sources || NULL::uuid;
            END IF;
        END IF;
        IF source IS NOT NULL THEN
            gone := gone || source;
        END IF;
        least := LEAST(least, remains);
    END LOOP;

    -- What can be spent less at most is what the run has cost and holds more at most.
    is_plain := is_plain AND least >= 0;
    IF is_plain AND p_max_cost IS NOT NULL THEN
        is_plain := p_max_cost >= a.balance - a.held - least
            + COALESCE((SELECT cost FROM credits_runcost WHERE root_execution_id = p_root), 0)
            + COALESCE((SELECT sum(amount) FROM credits_hold WHERE root_execution_id = p_root), 0);
    END IF;

    IF is_plain THEN
        IF cardinality(sources) > 0 THEN
            UPDATE credits_hold SET key = pair.next, execution_id = p_execution, root_execution_id = p_root
              FROM unnest(sources, opened) AS pair(key, next)
             WHERE credits_hold.key = ANY(sources) AND credits_hold.key = pair.key AND pair.next IS NOT NULL;
        END IF;
        IF cardinality(gone) > 0 THEN
            DELETE FROM credits_hold WHERE key = ANY(gone);
        END IF;
        IF cardinality(entries) > 0 THEN
            -- As `credits_enter` does.
            INSERT INTO credits_ledgerentry
                   (account_id, key, type, amount, owed, execution_id, root_execution_id, graph_id, root_graph_id,
                    graph_version, node_id, node_execution_id, block_id, price_version, price_type, quantity, reason,
                    actor_id, details)
            SELECT a.id, entry.key, 'USAGE', -entry.price, 0, f.execution_id, f.root_execution_id, f.graph_id,
                   f.root_graph_id, f.graph_version, f.node_id, f.node_execution_id, COALESCE(f.block_id, ''),
                   f.price_version, COALESCE(f.price_type, ''), f.quantity, COALESCE(f.reason, ''), f.actor_id,
                   COALESCE(f.details, '{}')
              FROM unnest(entries, prices, facts) WITH ORDINALITY AS entry(key, price, facts, place),
                   LATERAL jsonb_populate_record(NULL::credits_ledgerentry, entry.facts) AS f
             ORDER BY entry.place;
            SELECT news > a.news INTO told FROM credits_account WHERE id = a.id;
        END IF;
        IF array_position(sources, NULL) IS NOT NULL THEN
            INSERT INTO credits_hold (key, account_id, execution_id, root_execution_id, amount)
            SELECT pair.next, a.id, p_execution, p_root, pair.amount
              FROM unnest(sources, opened, opened_amounts) AS pair(key, next, amount)
             WHERE pair.key IS NULL AND pair.next IS NOT NULL;
        END IF;
        RETURN QUERY
            SELECT asked.amount, CASE WHEN key IS NOT NULL THEN 0::bigint END, asked.amount > 0, told, asked.next,
                   CASE WHEN asked.next IS NOT NULL THEN true END, NULL::bigint, NULL::bigint
              FROM unnest(p_keys, p_amounts, p_nexts) WITH ORDINALITY AS asked(key, amount, next, place) ORDER BY place;
        RETURN;
    END IF;

    FOR each IN SELECT * FROM unnest(p_keys, p_amounts, p_facts, p_nexts, p_next_amounts)
                       WITH ORDINALITY AS asked(key, amount, about, next, next_amount, place) ORDER BY place
    LOOP
        spendable := NULL; committed := NULL;
        IF each.key IS NOT NULL THEN
            SELECT step.* INTO charged, owed, is_new, has_news, granted
              FROM credits_capture_and_hold(
                   p_user, each.key, each.amount, each.about, p_max_cost,
                   each.next, p_execution, p_root, each.next_amount, p_max_cost) AS step;
        ELSE
            charged := NULL; owed := NULL; is_new := NULL; has_news := false; granted := NULL;
            IF each.next IS NOT NULL THEN
                a := credits_lock(p_user);
                SELECT h.* INTO granted, spendable, committed
                  FROM credits_hold(p_user, each.next, p_execution, p_root, each.next_amount, p_max_cost) AS h;
                SELECT news > a.news INTO has_news FROM credits_account WHERE id = a.id;
            END IF;
        END IF;
        next := each.next;
        RETURN NEXT;
    END LOOP;
END $$;
"""

BACKWARD = """
DROP FUNCTION credits_capture_and_hold_all;
"""


class Migration(migrations.Migration):
    """Add a function."""

    dependencies = [("credits", "0017_entries_of_a_statement")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
