"""The step that charges one node execution and sets aside what the next costs also does the one or the other alone.

So whoever records several at once asks for all of it with one statement, however many end and however many follow.
"""

from django.db import migrations

FORWARD = """
-- Charge a node execution as `credits_capture` does, then set credits aside for another as `credits_hold` does. Where
-- there is no key, the one or the other is left out.
CREATE OR REPLACE FUNCTION credits_capture_and_hold(
    p_user bigint, p_key uuid, p_amount bigint, p_facts jsonb, p_max_cost bigint,
    p_next uuid, p_execution uuid, p_root uuid, p_next_amount bigint, p_next_max_cost bigint,
    OUT charged bigint, OUT owed bigint, OUT is_new boolean, OUT has_news boolean, OUT granted boolean
) LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    a credits_account := credits_lock(p_user);
BEGIN
    IF p_key IS NOT NULL AND p_next IS NOT NULL AND p_amount = p_next_amount AND p_max_cost IS NULL AND p_next_max_cost IS NULL
       AND a.owed = 0 AND a.balance - a.held >= p_amount
       AND NOT EXISTS(SELECT FROM credits_ledgerentry WHERE key = 'usage:' || p_key)
       AND NOT EXISTS(SELECT FROM credits_hold WHERE key = p_next)
    THEN
        UPDATE credits_hold SET key = p_next, execution_id = p_execution, root_execution_id = p_root
         WHERE key = p_key AND account_id = a.id AND amount = p_amount;
        IF FOUND THEN
            PERFORM credits_enter(a.id, 'usage:' || p_key, 'USAGE', -p_amount, 0, p_facts);
            charged := p_amount;
            owed := 0;
            is_new := true;
            granted := true;
            SELECT news > a.news INTO has_news FROM credits_account WHERE id = a.id;
            RETURN;
        END IF;
    END IF;
    IF p_key IS NOT NULL THEN
        SELECT c.charged, c.owed, c.is_new INTO charged, owed, is_new
          FROM credits_capture(p_user, p_key, p_amount, p_facts, p_max_cost) AS c;
    END IF;
    IF p_next IS NOT NULL THEN
        SELECT h.granted INTO granted
          FROM credits_hold(p_user, p_next, p_execution, p_root, p_next_amount, p_next_max_cost) AS h;
    END IF;
    SELECT news > a.news INTO has_news FROM credits_account WHERE id = a.id;
END $$;
"""


class Migration(migrations.Migration):
    """Replace a function."""

    dependencies = [("credits", "0015_holds_that_pass_on")]

    # What was there before is a part of what it does.
    operations = [migrations.RunSQL(FORWARD, migrations.RunSQL.noop)]
