"""psycopg and SQLAlchemy through the SQL gateway: what their tools do when they connect, browse, prepare, fetch and copy.

client.py ADDRESS PEOPLE: libpq's connection string, and how many people have three videos each."""

import datetime
import sys

import psycopg
import sqlalchemy

address, people = sys.argv[1], int(sys.argv[2])
SINGAPORE = datetime.timedelta(hours=8)

with psycopg.connect(address, autocommit=True) as connection:
    one = "select video_id, review_state, updated_at, owner from video_status where video_id = %s"
    for binary in (False, True):
        with connection.cursor(binary=binary) as cursor:
            # From the sixth time on the driver has it prepared.
            for _ in range(7):
                row = cursor.execute(one, (1000000,)).fetchone()
            assert row[:2] == (1000000, "held") and row[3].startswith("t1."), row
            assert row[2] == datetime.datetime(2026, 11, 1, 9, tzinfo=datetime.timezone.utc), row
            kinds = "select array[1, null, 3], '{\"a\": [1, null]}'::jsonb, null::text, 1.50::numeric, true, '\\x00ff'::bytea"
            row = cursor.execute(kinds).fetchone()
            assert row[:3] == ([1, None, 3], {"a": [1, None]}, None) and str(row[3]) == "1.50" and row[4:] == (True, b"\x00\xff"), row
    connection.execute("set timezone to 'Asia/Singapore'")
    row = connection.execute(one, (1000001,)).fetchone()
    assert row[2].utcoffset() == SINGAPORE, row
    with connection.transaction(), connection.cursor(name="rows") as cursor:
        cursor.itersize = 7
        cursor.execute("select video_id, owner from video_status order by video_id")
        assert sum(1 for _ in cursor) == 3 * people
    with connection.cursor() as cursor, cursor.copy("copy (select video_id from video_status order by 1) to stdout") as copy:
        assert [int(row[0]) for row in copy.rows()][:3] == [1000000, 1000001, 1000002]
    for statement, code in (("select uploader_ip from video_status", "42703"), ("select * from app.video_status", "42501"),
                            ("delete from video_status", "42501"), ("select 1 / 0", "22012")):
        try:
            connection.execute(statement)
        except psycopg.Error as error:
            assert error.sqlstate == code, (statement, error.sqlstate, str(error))
            assert error.diag.message_detail is None and error.diag.message_hint is None and error.diag.context is None
        else:
            raise SystemExit(f"`{statement}` passed")
    with connection.pipeline():
        cursors = [connection.execute(one, (1000000 + n,)) for n in range(3)]
    assert [cursor.fetchone()[0] for cursor in cursors] == [1000000, 1000001, 1000002]

engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(address))
with engine.connect() as connection:
    browser = sqlalchemy.inspect(connection)
    assert browser.get_view_names() == ["video_status"], browser.get_view_names()
    names = [column["name"] for column in browser.get_columns("video_status")]
    assert {"owner", "video_id", "review_state"} <= set(names) and "uploader_ip" not in names, names
    table = sqlalchemy.Table("video_status", sqlalchemy.MetaData(), autoload_with=connection)
    query = sqlalchemy.select(sqlalchemy.func.count()).select_from(table).where(table.c.review_state == "held")
    assert connection.execute(query).scalar() == people
print("ok")
