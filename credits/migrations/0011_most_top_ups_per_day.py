"""No more automatic top-ups are made within a day than their user allows: then they pause, and the user is told.

They are ordered for who owes something, too, whatever the threshold.
"""

from django.db import migrations, models

FORWARD = """
-- From when on an account may have another automatic top-up, when the oldest of so many is a day old; null: at any time.
CREATE FUNCTION credits_next_top_up(p_account bigint, p_per_day bigint) RETURNS timestamptz
LANGUAGE sql STABLE SET enable_seqscan = off AS $$
    SELECT created_at + interval '24 hours' FROM credits_topup
     WHERE account_id = p_account AND kind = 'AUTO' AND status <> 'FAILED'
     ORDER BY created_at DESC OFFSET p_per_day - 1 LIMIT 1
$$;

-- Order an automatic top-up of a locked account, if it is due and none is under way; or pause, when there were enough.
-- Return whether there is news of it.
CREATE OR REPLACE FUNCTION credits_order_top_up(p_account bigint) RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    a credits_account;
    next_at timestamptz;
    pauses boolean;
BEGIN
    SELECT * INTO a FROM credits_account WHERE id = p_account;
    IF a.auto_top_up_amount IS NULL OR a.user_id IS NULL OR a.balance >= a.auto_top_up_threshold AND a.owed = 0
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
"""


class Migration(migrations.Migration):
    """Add what is allowed, and bound what is ordered by it."""

    dependencies = [("credits", "0010_graphs_of_roots")]

    operations = [
        migrations.AddField(
            model_name="account",
            name="auto_top_ups_per_day",
            field=models.SmallIntegerField(db_default=10, default=10),
        ),
        migrations.AddField(
            model_name="account",
            name="is_auto_top_up_paused",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddConstraint(
            model_name="account",
            constraint=models.CheckConstraint(
                condition=models.Q(("auto_top_ups_per_day__gt", 0)), name="account_auto_top_ups_above_zero"
            ),
        ),
        migrations.AddIndex(
            model_name="account",
            index=models.Index(
                condition=models.Q(("auto_top_up_amount__isnull", False)),
                fields=["id"],
                name="account_buys_automatically",
            ),
        ),
        migrations.AddIndex(
            model_name="topup",
            index=models.Index(
                condition=models.Q(("kind", "AUTO")), fields=["account", "-created_at"], name="top_up_auto_by_time"
            ),
        ),
        migrations.AlterField(
            model_name="notice",
            name="kind",
            field=models.CharField(
                choices=[
                    ("LOW_BALANCE", "Low Balance"),
                    ("OUT_OF_CREDITS", "Out Of Credits"),
                    ("AUTO_TOP_UP_FAILED", "Auto Top Up Failed"),
                    ("AUTO_TOP_UP_PAUSED", "Auto Top Up Paused"),
                    ("REFUND_REQUESTED", "Refund Requested"),
                ],
                max_length=32,
            ),
        ),
        migrations.RunSQL(FORWARD),
    ]
