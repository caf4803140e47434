"""One step charges a node execution and sets aside what the next one costs.

Where both are the same amount, as in a run of blocks with one price, the hold of the one passes to the other: the
account changes once in place of three times. So a hold may change whose it is, never its account nor its amount.
"""

from django.db import migrations

FORWARD = """
DROP TRIGGER hold_is_immutable ON credits_hold;

CREATE TRIGGER hold_keeps_its_amount BEFORE UPDATE ON credits_hold
    FOR EACH ROW WHEN ((OLD.account_id, OLD.amount) IS DISTINCT FROM (NEW.account_id, NEW.amount))
    EXECUTE FUNCTION credits_refuse_change();

-- Charge a node execution as `credits_capture` does, then set credits aside for another as `credits_hold` does.
CREATE FUNCTION credits_capture_and_hold(
    p_user bigint, p_key uuid, p_amount bigint, p_facts jsonb, p_max_cost bigint,
    p_next uuid, p_execution uuid, p_root uuid, p_next_amount bigint, p_next_max_cost bigint,
    OUT charged bigint, OUT owed bigint, OUT is_new boolean, OUT has_news boolean, OUT granted boolean
) LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    a credits_account := credits_lock(p_user);
BEGIN
    IF p_amount = p_next_amount AND p_max_cost IS NULL AND p_next_max_cost IS NULL
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
    SELECT c.charged, c.owed, c.is_new, c.has_news INTO charged, owed, is_new, has_news
      FROM credits_capture(p_user, p_key, p_amount, p_facts, p_max_cost) AS c;
    SELECT h.granted INTO granted
      FROM credits_hold(p_user, p_next, p_execution, p_root, p_next_amount, p_next_max_cost) AS h;
    SELECT news > a.news INTO has_news FROM credits_account WHERE id = a.id;
END $$;
"""

BACKWARD = """
DROP FUNCTION credits_capture_and_hold;
DROP TRIGGER hold_keeps_its_amount ON credits_hold;
CREATE TRIGGER hold_is_immutable BEFORE UPDATE ON credits_hold
    FOR EACH ROW EXECUTE FUNCTION credits_refuse_change();
"""


class Migration(migrations.Migration):
    """Replace a law, and add a function."""

    dependencies = [("credits", "0014_automatic_only_as_wanted")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
