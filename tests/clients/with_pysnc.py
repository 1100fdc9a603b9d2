"""ServiceNow's own client, unchanged, against the simulator: python with_pysnc.py https://127.0.0.1:PORT"""

import hashlib
import sys

from pysnc import ServiceNowClient
from pysnc.auth import ServiceNowClientCredentialsFlow, ServiceNowPasswordGrantFlow
from pysnc.exceptions import AuthenticationException, InsertException, RoleException

url = sys.argv[1]
CHOSEN = "0123456789abcdef0123456789abcdef"
client = ServiceNowClient(url, ("snowgate", "snowgate"), auto_retry=False)

# A chosen id is kept, an unknown field is ignored (the client's own tests: test_insert_custom_guid, test_crud).
ticket = client.GlideRecord("incident")
ticket.initialize()
ticket.set_new_guid_value(CHOSEN)
ticket.short_description = "Room dark"
ticket.set_value("correlation_id", "pysnc-1")
ticket.set_value("bunk_field", "x")
assert str(ticket.insert()) == CHOSEN, ticket.sys_id

# Read back, raw and shown.
found = client.GlideRecord("incident")
assert found.get(CHOSEN)
assert found.get_value("state") == "1" and found.get_display_value("state") == "New"
assert found.get_display_value("opened_by") == "Snowgate Integration"
assert str(found.sys_mod_count) == "0" and found.get_value("priority") == "5"

# The same id again is refused.
again = client.GlideRecord("incident")
again.initialize()
again.set_new_guid_value(CHOSEN)
try:
    again.insert()
    raise SystemExit("a second ticket with the same id")
except (RoleException, InsertException) as refusal:
    assert "Error during insert of incident" in str(refusal), refusal

# Update: only what changed, seen by a second reader.
found.set_value("urgency", "1")
found.set_value("impact", "1")
assert found.update() is not None
reread = client.GlideRecord("incident")
assert reread.get("correlation_id", "pysnc-1")
assert reread.get_value("priority") == "1" and str(reread.sys_mod_count) == "1"

# Journal: appended, read as history and as rows.
reread.set_value("comments", "hello from pysnc")
reread.update()
history = client.GlideRecord("incident")
assert history.get(CHOSEN)
assert history.get_value("comments") in ("", None), history.get_value("comments")
assert "Snowgate Integration (Additional comments)\nhello from pysnc" in history.get_display_value("comments")
journal = client.GlideRecord("sys_journal_field")
journal.add_query("element_id", CHOSEN)
journal.add_query("element", "comments")
journal.query()
assert [str(entry.value) for entry in journal] == ["hello from pysnc"]

# A file: attached, listed with its hash, read back, also as a row.
content = "Gr\u00fc\u00dfe\nline 2".encode()
reread.add_attachment("log 1.txt", content, content_type="text/plain")
files = reread.get_attachments()
assert len(files) == 1, len(files)
for file in files:
    assert file.file_name == "log 1.txt" and file.hash == hashlib.sha256(content).hexdigest(), file.hash
    assert file.read() == content and int(file.size_bytes) == len(content)
    assert file.readlines() == content.decode().split("\n")
rows = client.GlideRecord("sys_attachment")
rows.add_query("table_name", "incident")
rows.add_query("sys_created_on", ">=", "2020-01-01 00:00:00")
rows.query()
assert [str(row.table_sys_id) for row in rows] == [CHOSEN]

# Paging: 25 records in pages of 10, each once.
for number in range(25):
    one = client.GlideRecord("incident")
    one.initialize()
    one.set_value("correlation_display", "page")
    one.set_value("correlation_id", f"page-{number}")
    assert one.insert()
paged = client.GlideRecord("incident", batch_size=10)
paged.add_query("correlation_display", "page")
paged.query()
assert len(paged) == 25, len(paged)
assert len({str(one.correlation_id) for one in paged}) == 25

# Dot-walking, LIKE, IN, OR, ORDERBY, limit.
people = client.GlideRecord("sys_user")
people.add_query("name", "LIKE", "a").add_or_condition("user_name", "IN", "admin,abel.tuter")
people.order_by("name")
people.limit = 2
people.query()
names = [str(person.name) for person in people]
assert names == ["Abel Tuter", "Beth Anglin"], names

# Delete, and gone.
assert reread.delete()
assert not client.GlideRecord("incident").get(CHOSEN)

# OAuth, client credentials and password; and a wrong password.
for flow in (
    ServiceNowClientCredentialsFlow("snowgate-client", "snowgate-secret"),
    ServiceNowPasswordGrantFlow("snowgate", "snowgate", "snowgate-client", "snowgate-secret"),
):
    assert ServiceNowClient(url, flow).GlideRecord("sys_user").get("user_name", "abel.tuter")
try:
    ServiceNowClient(url, ("snowgate", "wrong")).GlideRecord("incident").get(CHOSEN)
    raise SystemExit("a wrong password was taken")
except AuthenticationException:
    pass

print("pysnc agrees")
