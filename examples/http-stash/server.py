"""A store of your own behind Holdfast. Every call it took stands in one file, which is played again
at start: `STASH_SECRET=... python3 server.py 8090 crm.log`. The wire is in docs/HTTP-STASH.md."""
import base64, hashlib, hmac, json, os, sys, threading, time, uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = base64.b64decode(os.environ["STASH_SECRET"].replace("whsec_", ""))
PORT, FILE = int(sys.argv[1]), sys.argv[2]
kept, book, lock = {}, {"mark": None, "session": str(uuid.uuid4())}, threading.Lock()

def one(kind, attempt):
    id = (attempt["uow"], attempt["attempt"])
    was = kept.get(id)
    if kind == "holds": return "never" if not was else "tombstone" if was["undone"] else "live"
    if kind == "apply" and was and was["undone"]: return "failed"
    if kind == "apply" and was: return "stored" if was["digest"] == attempt["digest"] else "failed"
    if kind == "apply" and attempt["keys"][0].startswith("bad-"): return "refused"
    kept[id] = {**attempt, "undone": kind == "undo"}
    return "undone" if kind == "undo" else "stored"

def all_of(call):
    replies = [{"reply": one(call["type"], attempt)} for attempt in call["attempts"]]
    book["mark"] = call.get("mark") or book["mark"]
    return {"replies": replies}

def read(call):
    live = [a for a in kept.values() if not a["undone"] and call["key"] in a["keys"]
            and (a["account"], a["flow"]) == (call["account"], call["flow"])]
    newest = max(live, key=lambda a: (a["uow"], a["attempt"]), default={"kind": None})
    there = newest["kind"] == "set" and (newest["expiresAt"] or 1e15) > time.time() * 1000
    return {"found": newest if there else None}

class Handler(BaseHTTPRequestHandler):
    protocol_version, wbufsize, log_message = "HTTP/1.1", -1, lambda *_: None
    def do_POST(self):
        body, h = self.rfile.read(int(self.headers["content-length"])), self.headers
        text = f"{h['webhook-id']}.{h['webhook-timestamp']}.".encode() + body
        mac = b"v1," + base64.b64encode(hmac.digest(KEY, text, hashlib.sha256))
        given = (h["webhook-signature"] or "").encode().split(b" ")
        ours = any([hmac.compare_digest(mac, each) for each in given])
        if not ours or abs(time.time() - int(h["webhook-timestamp"])) > 300: return self.end(401)
        with lock: self.end(*self.answer(json.loads(body), body))
    def answer(self, call, body):
        kind = call["type"]
        if kind == "probe": return 200, {}
        if kind == "read": return 200, read(call)
        if kind == "mark" and call["open"]: book["session"] = str(uuid.uuid4())
        if kind == "mark": return 200, book
        if call["session"] != book["session"]: return 412, {}
        if kind != "holds":
            with open(FILE, "ab") as log: log.write(body + b"\n"); log.flush(); os.fsync(log.fileno())
        return 200, all_of(call)
    def end(self, status, reply={}):
        data = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

for line in open(FILE, "rb") if os.path.exists(FILE) else []: all_of(json.loads(line))
ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
