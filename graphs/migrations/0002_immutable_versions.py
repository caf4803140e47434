"""What makes a version immutable, as law of the database.

* No UPDATE of a version, a node or a link.
* No DELETE of them unless their graph goes in the same transaction. That is looked at when the transaction ends, so it
  doesn't matter in which order Django deletes, or whether a user's or a graph's deletion began it.
* No INSERT of a node or a link beyond the counts that the version was made with, and no link without both ends.
* A graph's active version is one of its own.

PostgreSQL keeps the plan that it made for a function's first call, when the tables may have been empty. So rows are looked
up by index whatever their number (`enable_seqscan`), and the search for loose links is planned anew each time (`EXECUTE`).
"""

from django.db import migrations

FORWARD = """
ALTER TABLE graphs_graph ADD CONSTRAINT graph_active_version_is_its_own
    FOREIGN KEY (id, active_version_id) REFERENCES graphs_graphversion (graph_id, id)
    DEFERRABLE INITIALLY DEFERRED;

CREATE FUNCTION graphs_refuse_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a saved graph version never changes' USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION graphs_refuse_version_delete() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM graphs_graph WHERE id = OLD.graph_id) THEN
        RAISE EXCEPTION 'a graph version goes only with its graph' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION graphs_refuse_part_delete() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM graphs_graphversion WHERE id = OLD.version_id) THEN
        RAISE EXCEPTION 'a node or link goes only with its graph' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION graphs_check_node_insert() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM added JOIN graphs_graphversion v ON v.id = added.version_id
               WHERE added.position >= v.node_count) THEN
        RAISE EXCEPTION 'a saved graph version takes no more nodes' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION graphs_check_link_insert() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    is_loose boolean;
BEGIN
    IF EXISTS (SELECT FROM added JOIN graphs_graphversion v ON v.id = added.version_id
               WHERE added.position >= v.link_count) THEN
        RAISE EXCEPTION 'a saved graph version takes no more links' USING ERRCODE = 'restrict_violation';
    END IF;
    EXECUTE '
        SELECT EXISTS (
            SELECT FROM added
            LEFT JOIN graphs_node source ON (source.version_id, source.node_id) = (added.version_id, added.source_id)
            LEFT JOIN graphs_node sink ON (sink.version_id, sink.node_id) = (added.version_id, added.sink_id)
            WHERE source.id IS NULL OR sink.id IS NULL)' INTO is_loose;
    IF is_loose THEN
        RAISE EXCEPTION 'a link needs both of its nodes' USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER version_is_immutable BEFORE UPDATE ON graphs_graphversion
    FOR EACH ROW EXECUTE FUNCTION graphs_refuse_update();
CREATE TRIGGER node_is_immutable BEFORE UPDATE ON graphs_node
    FOR EACH ROW EXECUTE FUNCTION graphs_refuse_update();
CREATE TRIGGER link_is_immutable BEFORE UPDATE ON graphs_link
    FOR EACH ROW EXECUTE FUNCTION graphs_refuse_update();

CREATE CONSTRAINT TRIGGER version_goes_with_its_graph AFTER DELETE ON graphs_graphversion
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION graphs_refuse_version_delete();
CREATE CONSTRAINT TRIGGER node_goes_with_its_graph AFTER DELETE ON graphs_node
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION graphs_refuse_part_delete();
CREATE CONSTRAINT TRIGGER link_goes_with_its_graph AFTER DELETE ON graphs_link
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION graphs_refuse_part_delete();

CREATE TRIGGER node_belongs AFTER INSERT ON graphs_node REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION graphs_check_node_insert();
CREATE TRIGGER link_belongs AFTER INSERT ON graphs_link REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION graphs_check_link_insert();
"""

BACKWARD = """
DROP TRIGGER link_belongs ON graphs_link;
DROP TRIGGER node_belongs ON graphs_node;
DROP TRIGGER link_goes_with_its_graph ON graphs_link;
DROP TRIGGER node_goes_with_its_graph ON graphs_node;
DROP TRIGGER version_goes_with_its_graph ON graphs_graphversion;
DROP TRIGGER link_is_immutable ON graphs_link;
DROP TRIGGER node_is_immutable ON graphs_node;
DROP TRIGGER version_is_immutable ON graphs_graphversion;
DROP FUNCTION graphs_check_link_insert;
DROP FUNCTION graphs_check_node_insert;
DROP FUNCTION graphs_refuse_part_delete;
DROP FUNCTION graphs_refuse_version_delete;
DROP FUNCTION graphs_refuse_update;
ALTER TABLE graphs_graph DROP CONSTRAINT graph_active_version_is_its_own;
"""


class Migration(migrations.Migration):
    """Add the triggers and the foreign key."""

    dependencies = [("graphs", "0001_initial")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
