"""Send every change of a model to a webhook, and check the signature of each post as a receiver must.

The receiver runs in a thread of this script. In production it is a service of yours, and `registry events watch` sends.
Run it in any directory: `python event_webhook.py`.
"""

import hashlib
import hmac
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import numpy as np
from sklearn.linear_model import LinearRegression

import registry as mlflow

SECRET = b"shared with the receiver; take it from the environment"
MODEL = "drift-alarm"
received: dict[int, dict[str, object]] = {}


class Receiver(BaseHTTPRequestHandler):
    """Take a post if its signature is right, and count an event that comes again only once."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        expected = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
        genuine = hmac.compare_digest(self.headers.get("X-Registry-Signature-256", ""), expected)
        if genuine:
            event = json.loads(body)
            received[event["position"]] = event  # the position is the same if the event comes again
        self.send_response(204 if genuine else 403)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Print nothing per request."""


server = HTTPServer(("127.0.0.1", 0), Receiver)
Thread(target=server.serve_forever, daemon=True).start()

data = np.arange(8.0).reshape(4, 2)
with mlflow.start_run():
    model = LinearRegression().fit(data, data.sum(axis=1))
    info = mlflow.sklearn.log_model(model, name="model", registered_model_name=MODEL)

client = mlflow.MlflowClient()
version = info.registered_model_version
client.transition_model_version_stage(MODEL, version, "Staging", reason="the nightly tests passed")
client.transition_model_version_stage(MODEL, version, "Production", reason="two days without complaints")

# The cursor file remembers what was delivered, over restarts: a second run delivers only what is new.
sink = mlflow.WebhookSink(f"http://127.0.0.1:{server.server_port}/events", secret=SECRET)
delivered = client.watch_events(sink, cursor="webhook-cursor.json", once=True)
server.shutdown()
server.server_close()

for position, event in sorted(received.items()):
    change = f"{event['from']} -> {event['to']}" if event["kind"] == "stage_changed" else ""
    print(f"{position:>3}  {event['model']}  {event['kind']:<16} {change:<24} {event['reason'] or ''}".rstrip())
assert delivered == len(received)
print(f"{delivered} events delivered, each signed")
