"""Takes Snowgate's callbacks: verifies, recognises repeats, answers `ticket.opened` with an incident of its own.

    pip install -r requirements.txt && SNOWGATE_CALLBACK_SECRET=whsec_… PORT=9000 python receiver.py

What is yours to change: `handle`, and `answers`, which must be a table with a unique key that outlives a restart.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

SECRET = os.environ["SNOWGATE_CALLBACK_SECRET"]
BODY_BYTES_MAX = 32 * 1024 * 1024
webhook = Webhook(SECRET)

# What each `webhook-id` was answered. An id may come again for 30 days: keep it in the transaction of its effect.
answers = {}
one_at_a_time = threading.Lock()


def handle(event):
    """Does what the event asks for and gives the answer's body, if there is one."""
    file = event.get("file", {})
    print("took", event["type"], event.get("subject", "-"), event["id"], file.get("sha256", "-"), flush=True)
    if event["type"] == "ticket.opened":
        # The same ticket is the same incident, whatever happened to our first answer.
        return {"incident": {"id": "INC-" + event["data"]["ticket"]["sys_id"]}}
    return None  # types that we do not know yet are taken as well, or they would come again


def verified(headers, body):
    """The event of a genuine request; raises for any other."""
    if "ce-type" not in headers:
        return webhook.verify(body, headers)
    # The body is a file, byte for byte. The package takes text alone, so this is the same signature by hand.
    if not is_signed(headers, body):
        raise WebhookVerificationError("the signature is wrong")
    sha256 = hashlib.sha256(body).hexdigest()
    if sha256 != headers.get("ce-attachmentsha256"):
        raise WebhookVerificationError("this is another file")
    name = urllib.parse.unquote(headers["ce-attachmentname"])
    file = {"id": headers["ce-attachmentid"], "name": name, "sha256": sha256, "body": body}
    return {"id": headers["ce-id"], "type": headers["ce-type"], "subject": headers.get("ce-subject"), "file": file}


def is_signed(headers, body):
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    right = "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    is_recent = abs(time.time() - int(headers["webhook-timestamp"])) <= 300
    given = headers["webhook-signature"].split(" ")
    return is_recent and any(hmac.compare_digest(entry.encode(), right.encode()) for entry in given)


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        if length > BODY_BYTES_MAX:
            return self.answer(413)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(length)
        try:
            event = verified(headers, body)
        except (WebhookVerificationError, KeyError, ValueError) as problem:
            print("refused:", problem, file=sys.stderr)
            return self.answer(401)
        with one_at_a_time:
            if headers["webhook-id"] not in answers:
                answers[headers["webhook-id"]] = handle(event)
        answer = answers[headers["webhook-id"]]
        return self.answer(204) if answer is None else self.answer(200, json.dumps(answer).encode())

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        if body:
            self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", 9000))), Receiver)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
