"""Serve the parts of the Hugging Face Hub's API that this project uses."""

import base64
import http.server
import json
import threading
from contextlib import contextmanager


class Hub(http.server.BaseHTTPRequestHandler):
    """Create and list repositories and take commits as the Hub does, and keep what was sent.

    The server's `files` is a dict from a file's path to the title of the last commit that changed the file. `contents`
    has the bytes of the files that can be downloaded.
    """

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.append((self.path, self.headers["Authorization"]))
        if self.server.status != 200:
            return self.reply({"error": "You may not do this"}, self.server.status)
        if self.path == "/api/repos/create":
            self.server.created = json.loads(body)
            place = f"{self.server.created['type']}s/me/{self.server.created['name']}"
            return self.reply({"url": f"{self.server.url}/{place}"})
        if self.path == "/api/spaces/me/bears/variables":
            self.server.variables = json.loads(body)
            return self.reply({})
        if "/preupload/" in self.path:
            files = [f["path"] for f in json.loads(body)["files"]]
            modes = [{"path": f, "uploadMode": "lfs" if f.endswith(".pkl") else "regular"} for f in files]
            return self.reply({"files": [{**mode, "shouldIgnore": False} for mode in modes]})
        if self.path.endswith("/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            upload = {"upload": {"href": f"{self.server.url}/store/{objects[0]['oid']}"}}
            return self.reply({"transfer": "basic", "objects": [{**o, "actions": upload} for o in objects]})
        if self.path == "/api/validate-yaml":  # checks the card
            return self.reply({"errors": [], "warnings": []})
        self.server.commit = [json.loads(line) for line in body.splitlines()]
        [title] = [line["value"]["summary"] for line in self.server.commit if line["key"] == "header"]
        for line in self.server.commit:
            if line["key"] == "deletedFile":
                if not self.server.files.pop(line["value"]["path"], None):
                    return self.reply({"error": "A file to delete does not exist"}, 404)
            elif line["key"] != "header":
                self.server.files[line["value"]["path"]] = title
                if line["key"] == "file":
                    self.server.contents[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        self.reply({"commitUrl": f"{self.server.url}/spaces/me/bears/commit/1", "commitOid": "1", "success": True})

    def do_PUT(self):
        self.server.stored = self.rfile.read(int(self.headers["Content-Length"]))
        self.reply({})

    def do_HEAD(self):
        self.do_GET()

    def send_file(self, name):
        """Answer a download, or a HEAD request for a file."""
        if name not in self.server.contents:
            return self.reply({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
        self.reply(self.server.contents[name], headers={"ETag": f'"{name}"', "X-Repo-Commit": "0" * 40})

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if "/resolve/" in path:
            return self.send_file(path.partition("/resolve/")[2].partition("/")[2])
        if path != "/api/spaces/me/bears/tree/main":
            return self.reply({"id": "me/bears", "name": "me", "type": "user"})
        if not self.server.files:
            return self.reply({"error": "There is nothing on main"}, 404, {"X-Error-Code": "EntryNotFound"})
        files = [{"type": "file", "path": path, "size": 1, "oid": "1"} for path in self.server.files]
        if "expand=true" in query.lower():
            for file in files:
                commit = {"id": "1", "title": self.server.files[file["path"]], "date": "2026-11-24T00:00:00.000Z"}
                file["lastCommit"] = commit
        self.reply(files)

    def reply(self, answer, status=200, headers=()):
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(data), **dict(headers)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *args):
        pass


@contextmanager
def running_hub():
    hub = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    hub.url, hub.calls, hub.status, hub.files = f"http://127.0.0.1:{hub.server_port}", [], 200, {}
    hub.contents = {}
    thread = threading.Thread(target=hub.serve_forever, args=[0.05])
    thread.start()
    yield hub
    hub.shutdown()
    thread.join()
    hub.server_close()
