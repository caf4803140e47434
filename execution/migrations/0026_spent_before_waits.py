"""What a node execution has used before its waits: it is paid for when it has ended."""

from django.db import migrations

import graphs.ordered_json


class Migration(migrations.Migration):
    """Add a column."""

    dependencies = [("execution", "0025_wrap_reviews")]

    operations = [
        migrations.AddField(
            model_name="nodeexecution",
            name="spent",
            field=graphs.ordered_json.OrderedJSONField(null=True),
        ),
    ]
