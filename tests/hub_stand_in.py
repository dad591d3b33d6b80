"""A hub on loopback that speaks as much of the real one's HTTP as publishing and fetching a model takes."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class Repository:
    """One repository: its files by commit, the newest commit last."""

    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def at(self, revision: str) -> str | None:
        return (
            list(self.commits)[-1]
            if revision == "main" and self.commits
            else revision
            if revision in self.commits
            else None
        )


@dataclass
class Hub:
    """What the stand-in holds, and which requests came."""

    address: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def reply(
            self, status: int, value: Any = None, headers: dict[str, str] | None = None, body: bytes = b""
        ) -> None:
            body = json.dumps(value).encode() if value is not None else body
            self.send_response(status)
            for name, text in (headers or {}).items():
                self.send_header(name, text)
            self.send_header("Content-Length", (headers or {}).get("X-Size") or str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def missing(self, code: str = "RepoNotFound") -> None:
            self.reply(404, {"error": "not found"}, {"X-Error-Code": code})

        def body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                parts = []
                while size := int(self.rfile.readline().strip(), 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append(f"{self.command} {path}")
            if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(?:revision|tree)/([^/]+))?", path):
                return self._describe(found[1], found[2] or "main", is_tree="/tree/" in path)
            if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
                return self._file(*found.groups())
            return self.missing()

        do_HEAD = do_GET

        def _describe(self, name: str, revision: str, *, is_tree: bool) -> None:
            repository = hub.repositories.get(name)
            if repository is None:
                return self.missing()
            commit = repository.at(revision)
            if commit is None and revision != "main":
                return self.missing("RevisionNotFound")
            files = repository.commits.get(commit or "", {})
            if is_tree:
                return self.reply(
                    200,
                    [
                        {"type": "file", "path": file, "size": len(content), "oid": "0" * 40}
                        for file, content in files.items()
                    ],
                )
            siblings = [{"rfilename": file} for file in files]
            return self.reply(200, {"id": name, "sha": commit, "private": repository.private, "siblings": siblings})

        def _file(self, name: str, revision: str, file: str) -> None:
            repository = hub.repositories.get(name)
            commit = None if repository is None else repository.at(revision)
            if repository is None or commit is None or file not in repository.commits[commit]:
                return self.missing("EntryNotFound")
            content = repository.commits[commit][file]
            tag = hashlib.sha1(content, usedforsecurity=False).hexdigest()
            headers = {"ETag": f'"{tag}"', "X-Repo-Commit": commit, "X-Size": str(len(content))}
            return self.reply(200, headers=headers, body=content)

        def do_POST(self) -> None:
            path, content = unquote(urlsplit(self.path).path), self.body()
            hub.asked.append(f"POST {path}")
            if path == "/api/repos/create":
                asked = json.loads(content)
                name = f"{asked['organization']}/{asked['name']}"
                if name in hub.repositories:
                    return self.reply(409, {"error": "there already", "url": f"{hub.address}/{name}"})
                hub.repositories[name] = Repository(bool(asked.get("private")) or asked.get("visibility") == "private")
                return self.reply(200, {"url": f"{hub.address}/{name}", "name": name})
            if path == "/api/validate-yaml":
                return self.reply(200, {"errors": [], "warnings": []})
            found = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/([^/]+)", path)
            if found is None or found[1] not in hub.repositories:
                return self.missing()
            if found[2] == "preupload":
                files = [
                    {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for one in json.loads(content)["files"]
                ]
                return self.reply(200, {"files": files})
            return self._commit(hub.repositories[found[1]], found[1], content)

        def _commit(self, repository: Repository, name: str, content: bytes) -> None:
            files = dict(repository.commits.get(repository.at("main") or "", {}))
            for line in content.splitlines():
                one = json.loads(line)
                if one["key"] == "header":
                    repository.messages.append(one["value"]["summary"])
                elif one["key"] == "file":
                    files[one["value"]["path"]] = base64.b64decode(one["value"]["content"])
                elif one["key"] == "deletedFile":
                    del files[one["value"]["path"]]
            commit = hashlib.sha1(content, usedforsecurity=False).hexdigest()
            repository.commits[commit] = files
            url = f"{hub.address}/{name}/commit/{commit}"
            self.reply(200, {"success": True, "commitOid": commit, "commitUrl": url, "hookOutput": ""})

    return Handler


@contextmanager
def hub_on_loopback() -> Iterator[Hub]:
    """Serve an empty hub until the block ends."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
