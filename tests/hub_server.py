"""A server that speaks as much of the Hugging Face hub as an upload and a download."""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub(BaseHTTPRequestHandler):
    """Repositories in memory: name to file to content."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Stay silent."""

    def _answer(self, status, content=b"", **headers):
        self.server.requests.append(f"{self.command} {self.path}")
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _json(self, content):
        self._answer(200, json.dumps(content).encode(), Content_Type="application/json")

    def _commit(self, files):
        digest = hashlib.sha1(b"".join(files[name] for name in sorted(files)))
        return digest.hexdigest()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        repos = self.server.repos
        if self.headers.get("Authorization") != "Bearer hf_secret":
            self._answer(401, X_Error_Message="log in first")
        elif self.path == "/api/repos/create":
            asked = json.loads(body)
            name = "/".join(filter(None, [asked.get("organization"), asked["name"]]))
            repos.setdefault(name, {})
            self._json({"url": f"{self.server.address}/{name}"})
        elif self.path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif match := re.match(r"/api/models/(\S+)/preupload/main", self.path):
            files = json.loads(body)["files"]
            self._json({
                "files": [
                    {"path": file["path"], "uploadMode": "regular",
                     "shouldIgnore": False, "oid": None}
                    for file in files
                ]
            })  # fmt: skip
        elif match := re.match(r"/api/models/(\S+)/commit/main", self.path):
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    value = line["value"]
                    content = base64.b64decode(value["content"])
                    repos[match[1]][value["path"]] = content
            oid = self._commit(repos[match[1]])
            url = f"{self.server.address}/{match[1]}/commit/{oid}"
            self._json({"success": True, "commitOid": oid, "commitUrl": url})
        else:
            self._answer(404)

    def do_GET(self):
        repos = self.server.repos
        if match := re.match(r"/api/models/([^/]+/[^/]+)(/revision/main)?$", self.path):
            files = repos.get(match[1])
            if files is None:
                self._answer(404, X_Error_Code="RepoNotFound")
            else:
                siblings = [{"rfilename": name} for name in files]
                oid = self._commit(files)
                self._json({"id": match[1], "sha": oid, "siblings": siblings})
        elif match := re.match(r"/(.+/.+)/resolve/[^/]+/(.+)", self.path):
            content = repos.get(match[1], {}).get(match[2])
            if match[1] not in repos:
                self._answer(404, X_Error_Code="RepoNotFound")
            elif content is None:
                self._answer(404, X_Error_Code="EntryNotFound")
            else:
                self._answer(
                    200,
                    content,
                    ETag=f'"{hashlib.sha1(content).hexdigest()}"',
                    X_Repo_Commit=self._commit(repos[match[1]]),
                )
        else:
            self._answer(404)

    def do_HEAD(self):
        self.do_GET()


@contextmanager
def hub_server():
    """Serve an empty hub on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.address = f"http://127.0.0.1:{server.server_port}"
    server.repos, server.requests = {}, []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
