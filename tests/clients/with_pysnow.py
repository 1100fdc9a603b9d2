"""The third-party client pysnow, unchanged, against the simulator: python with_pysnow.py https://127.0.0.1:PORT"""

import sys
import tempfile

import pysnow
import requests

host = sys.argv[1].removeprefix("https://")
CHOSEN = "fedcba9876543210fedcba9876543210"
client = pysnow.Client(host=host, user="snowgate", password="snowgate")
incidents = client.resource(api_path="/table/incident")

created = incidents.create(
    payload={"sys_id": CHOSEN, "short_description": "Room dark", "correlation_id": "pysnow-1", "comments": "first"}
)
assert created["sys_id"] == CHOSEN and created["comments"] == "", created["comments"]
assert created["opened_by"]["link"].startswith(sys.argv[1] + "/api/now/table/sys_user/"), created["opened_by"]

# Read back by query; then display values.
assert incidents.get(query={"correlation_id": "pysnow-1"}).one()["number"] == created["number"]
incidents.parameters.display_value = True
shown = incidents.get(query={"sys_id": CHOSEN}).one()
assert shown["state"] == "New" and "(Additional comments)\nfirst" in shown["comments"], shown
incidents.parameters.display_value = False

# Update through a query; a refusal by data policy reaches the client as HTTP 403.
updated = incidents.update(query={"number": created["number"]}, payload={"state": "2", "work_notes": "looking"}).one()
assert updated["state"] == "2" and updated["sys_mod_count"] == "1", updated
try:
    incidents.update(query={"number": created["number"]}, payload={"state": "6"}).one()
    raise SystemExit("resolved without a resolution code")
except requests.HTTPError as refusal:
    assert refusal.response.status_code == 403
    detail = refusal.response.json()["error"]["detail"]
    assert detail.endswith("mandatory: Resolution code, Close notes"), detail

# The query builder, ordering and paging, streamed and not.
for number in range(5):
    incidents.create(payload={"correlation_id": f"p-{number}", "correlation_display": "pysnow-page"})
query = pysnow.QueryBuilder().field("correlation_display").equals("pysnow-page").AND().field("correlation_id").order_descending()
page = incidents.get(query=query, limit=2, offset=1, fields=["correlation_id"]).all()
assert page == [{"correlation_id": "p-3"}, {"correlation_id": "p-2"}], page
assert len(list(incidents.get(query=query, stream=True).all())) == 5

# A file, uploaded and listed.
with tempfile.NamedTemporaryFile(suffix=".log") as file:
    file.write(b"room log")
    file.flush()
    incidents.attachments.upload(sys_id=CHOSEN, file_path=file.name, name="room.log")
files = incidents.attachments.get(sys_id=CHOSEN)
assert [(one["file_name"], one["size_bytes"]) for one in files] == [("room.log", "8")], files

# Journal rows, delete, gone.
rows = client.resource(api_path="/table/sys_journal_field").get(query={"element_id": CHOSEN}).all()
assert sorted(row["value"] for row in rows) == ["first", "looking"], rows
assert incidents.delete(query={"sys_id": CHOSEN}) == {"status": "record deleted"}
assert incidents.get(query={"sys_id": CHOSEN}).one_or_none() is None

# OAuth with a password, through requests-oauthlib, which signs the client in with basic authentication.
token_url = sys.argv[1] + "/oauth_token.do"
signed = pysnow.OAuthClient(client_id="snowgate-client", client_secret="snowgate-secret", host=host)
token = signed.generate_token("snowgate", "snowgate")
signed.set_token(token)
assert signed.resource(api_path="/table/sys_user").get(query={"user_name": "abel.tuter"}).one()["name"] == "Abel Tuter"
assert token["token_type"] == "Bearer" and token["expires_in"] <= 1800, token

print("pysnow agrees")
