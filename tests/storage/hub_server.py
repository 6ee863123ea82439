"""A stand-in for the HTTP interface of the Hugging Face Hub: models in memory, with Git LFS uploads and revisions."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_stand_in"


class Hub:
    """The models on the server, and what was asked of it."""

    def __init__(self) -> None:
        self.url = ""
        self.commits: dict[str, list[dict[str, bytes]]] = {}
        """For each model its commits, each the whole content."""
        self.tags: dict[str, dict[str, int]] = {}
        """For each model the number of the commit of a tag."""
        self.private: set[str] = set()
        self.objects: dict[str, bytes] = {}
        """Large files by their SHA-256."""
        self.served: list[str] = []
        """The files that were downloaded."""

    def content(self, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The hash and the files of a revision."""
        commits = self.commits[name]
        hashes = [hashlib.sha1(f"{name}{number}".encode()).hexdigest() for number in range(len(commits))]
        number = {"main": len(commits) - 1, **self.tags.get(name, {}), **{one: i for i, one in enumerate(hashes)}}.get(revision)
        return None if number is None else (hashes[number], commits[number])


@contextmanager
def serving() -> Iterator[Hub]:
    """A server in a thread of this process."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_HEAD(self) -> None:
        self._resolve()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self._found(match[1], match[2] or "main", self._info)
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", path):
            self._found(match[1], match[2], self._tree)
        else:
            self._resolve()

    def do_POST(self) -> None:
        path, body = urlsplit(self.path).path, self._body()
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if not self._is_known():
            return self._error(401, "", "Invalid credentials")
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization', 'alice')}/{asked['name']}"
            if name.startswith("other/"):
                return self._error(403, "", "You may not create models for other")
            if name in self.hub.commits:
                return self._json({"url": f"{self.hub.url}/{name}"}, 409)
            self.hub.commits[name] = [{}]
            if asked.get("private") or asked.get("visibility") == "private":
                self.hub.private.add(name)
            return self._json({"url": f"{self.hub.url}/{name}"})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/main", path):
            files = [
                {"path": one["path"], "uploadMode": "lfs" if one["path"].endswith(".safetensors") else "regular", "shouldIgnore": False}
                for one in json.loads(body)["files"]
            ]
            return self._json({"files": files})
        if path.endswith("/info/lfs/objects/batch"):
            objects = [
                one | {"actions": {"upload": {"href": f"{self.hub.url}/objects/{one['oid']}"}}} for one in json.loads(body)["objects"]
            ]
            return self._json({"transfer": "basic", "objects": objects})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
            return self._commit(match[1], [json.loads(line) for line in body.splitlines()])
        return self._error(404, "", "No such address")

    def do_PUT(self) -> None:
        body = self._body()
        self.hub.objects[hashlib.sha256(body).hexdigest()] = body
        self._json({})

    def _commit(self, name: str, lines: list[dict[str, Any]]) -> None:
        files = dict(self.hub.commits[name][-1])
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        self.hub.commits[name].append(files)
        found = self.hub.content(name, "main")
        assert found is not None
        self._json({"commitUrl": f"{self.hub.url}/{name}/commit/{found[0]}", "commitOid": found[0], "success": True})

    def _found(self, name: str, revision: str, answer: Any) -> None:
        if name not in self.hub.commits or (name in self.hub.private and not self._is_known()):
            return self._error(401 if not self._is_known() else 404, "RepoNotFound", "Repository not found")
        found = self.hub.content(name, revision)
        if found is None:
            return self._error(404, "RevisionNotFound", "Invalid rev id")
        return answer(name, *found)

    def _info(self, name: str, commit: str, files: dict[str, bytes]) -> None:
        siblings = [{"rfilename": path} for path in files]
        self._json({"id": name, "modelId": name, "sha": commit, "private": name in self.hub.private, "tags": [], "siblings": siblings})

    def _tree(self, name: str, commit: str, files: dict[str, bytes]) -> None:
        entries = []
        for path, data in files.items():
            entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": _blob(data)}
            if path.endswith(".safetensors"):
                entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
            entries.append(entry)
        self._json(entries)

    def _resolve(self) -> None:
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", unquote(urlsplit(self.path).path))
        if match is None:
            return self._error(404, "", "No such address")
        return self._found(match[1], match[2], lambda name, commit, files: self._file(commit, files, match[3]))

    def _file(self, commit: str, files: dict[str, bytes], path: str) -> None:
        if path not in files:
            return self._error(404, "EntryNotFound", "Entry not found")
        data = files[path]
        large = path.endswith(".safetensors")
        etag = hashlib.sha256(data).hexdigest() if large else _blob(data)
        if self.command == "GET":
            self.hub.served.append(path)
        self._answer(200, data, {"ETag": f'"{etag}"', "X-Repo-Commit": commit, "Content-Type": "application/octet-stream"})
        return None

    def _is_known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _json(self, value: Any, status: int = 200) -> None:
        self._answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _error(self, status: int, code: str, words: str) -> None:
        self._answer(status, json.dumps({"error": words}).encode(), {"X-Error-Code": code, "X-Error-Message": words})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _blob(data: bytes) -> str:
    """The name that Git gives to a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
