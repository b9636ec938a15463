"""A stand-in for the Hugging Face Hub on this machine, for the real client."""

import hashlib
import http.server
import json
import threading
from urllib.parse import unquote, urlsplit


class Hub:
    """Repositories: commits of files, branches that point to them, and what was asked for."""

    def __init__(self):
        self.commits, self.branches, self.gated = {}, {}, set()
        self.sizes = {}  # that the metadata tell, where they are not the files' own
        self.asked, self.headers = [], []
        self.after_info = lambda: None
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                hub.asked.append(self.path)
                hub.headers.append(self.headers)
                status, headers, body = hub.answer(unquote(urlsplit(self.path).path).strip("/").split("/"))
                self.send_response(status)
                for name, value in {**headers, "Content-Length": len(body)}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def commit(self, name, files, branch="main"):
        """A new commit of name -> bytes; the branch moves to it."""
        sha = hashlib.sha1(repr((name, sorted(files.items()))).encode()).hexdigest()
        self.commits[name, sha] = files
        self.branches[name, branch] = sha
        return sha

    def answer(self, parts):
        if parts[:2] == ["api", "models"]:
            name, revision = "/".join(parts[2:4]), "/".join(parts[5:])
            if name not in {name for name, _ in self.commits}:
                return 401, {"X-Error-Code": "RepoNotFound"}, b""
            sha = self.branches.get((name, revision), revision)
            if (name, sha) not in self.commits:
                return 404, {"X-Error-Code": "RevisionNotFound"}, b""
            files = self.commits[name, sha]
            siblings = [{"rfilename": p, "size": self.sizes.get(p, len(b)), "blobId": ""} for p, b in files.items()]
            body = json.dumps({"id": name, "sha": sha, "siblings": siblings}).encode()
            self.after_info()
            return 200, {"Content-Type": "application/json"}, body
        if parts[2:3] != ["resolve"]:
            return 404, {}, b""
        name, sha, path = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
        sha = self.branches.get((name, sha), sha)
        if name in self.gated:
            return 401, {"X-Error-Code": "GatedRepo"}, b""
        content = self.commits[name, sha].get(path)
        if content is None:
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        etag = hashlib.sha256(content).hexdigest()
        return 200, {"ETag": f'"{etag}"', "X-Repo-Commit": sha}, content

    @property
    def fetched(self):
        """Paths that were downloaded, the commit left out."""
        return {"/".join(path.split("/")[5:]) for path in self.asked if "/resolve/" in path}
