#!/usr/bin/env python3
"""Who may do what over HTTP: decisions need the home's token, no other site's page gets through, paths of the machine are
for those who hold the token, uploads are what their name says. Prints TAP."""
import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

PAWL = os.path.abspath(sys.argv[1])
JSON = {"Content-Type": "application/json"}


def ask(method, url, body=None, headers=None):
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


def code_of(answer):
    return json.loads(answer[1])["error"]["code"]


def cases(url, token):
    api = url + "/api/pawl/v1"
    bearer = {"Authorization": "Bearer " + token}
    hold = api + "/endpoints/none/hold"
    content = b"a,b\n1,2\n"
    digest = hashlib.sha256(content).hexdigest()
    raw = {"Content-Type": "application/octet-stream"}
    yield "a decision without the token", ask("POST", hold, {}, JSON)[0] == 401
    yield "a decision with a wrong token", ask("POST", hold, {}, {**JSON, "Authorization": "Bearer " + "0" * 64})[0] == 401
    yield "a decision with the token is heard", ask("POST", hold, {}, {**JSON, **bearer})[0] not in (401, 403)
    yield "reading is open", ask("GET", api + "/runs")[0] == 200
    yield "an unknown parameter is named", b"did you mean" in ask("GET", api + "/runs?limt=3")[1]
    yield "an unknown path", ask("GET", api + "/nothing")[0] == 404
    yield "a wrong method", ask("PATCH", api + "/runs", {}, JSON)[0] in (404, 405)
    yield "a form of another page", ask("POST", hold, b"{}", {**bearer, "Content-Type": "text/plain"})[0] == 415
    yield "another Host", ask("GET", api + "/runs", None, {"Host": "evil.example"})[0] == 403
    yield "another Origin", ask("POST", hold, {}, {**JSON, **bearer, "Origin": "http://evil.example"})[0] == 403
    yield "a body that is no object", ask("POST", hold, b"[1]", {**JSON, **bearer})[0] == 400
    yield "a body that is no JSON", ask("POST", hold, b"{", {**JSON, **bearer})[0] == 400
    answer = ask("PUT", api + "/uploads/" + digest, content, raw)
    yield "an upload", answer == (200, b'{"file":"upload:%s","bytes":8}\n' % digest.encode())
    yield "an upload twice", ask("PUT", api + "/uploads/" + digest, content, raw)[0] == 200
    yield "an upload that is something else", ask("PUT", api + "/uploads/" + "0" * 64, content, raw)[0] == 400
    yield "an upload out of its folder", ask("PUT", api + "/uploads/..%2F..%2Fx", content, raw)[0] in (400, 404)
    with urllib.request.urlopen(api + "/openapi.json", timeout=30) as document:
        paths = json.load(document)["paths"]
    decides = [(p, m) for p, item in paths.items() for m, o in item.items() if "security" in o]
    yield "every operation that decides says so", len(decides) > 3
    for path, method in decides:
        for name in ("{endpoint}", "{release}", "{rollout}", "{run}", "{model}", "{alert}", "{view}"):
            path = path.replace(name, "1")
        yield f"{method.upper()} {path} without the token", ask(method.upper(), url + path, {}, JSON)[0] in (401, 404)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(home, *flags):
    server = subprocess.Popen([PAWL, "server", "--home", home, "--port", "0", *flags], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
    return server, server.stdout.readline().split()[1]


def public_cases(home, token):
    """A listener that others can reach, with a plane of its own for predictions."""
    done = subprocess.run([PAWL, "server", "--home", home, "--port", "0", "--host", "0.0.0.0"], capture_output=True,
                          timeout=60, check=False)
    yield "no open address without TLS or a proxy", done.returncode == 4 and b"not a loopback" in done.stderr
    port = free_port()
    server, url = start(home, "--behind-proxy", "--serve-port", str(port))
    try:
        serving = f"http://127.0.0.1:{port}"
        yield "behind a proxy reading needs the token", ask("GET", url + "/api/pawl/v1/runs")[0] == 401
        bearer = {"Authorization": "Bearer " + token}
        yield "and is open with it", ask("GET", url + "/api/pawl/v1/runs", None, bearer)[0] == 200
        yield "probes stay open", ask("GET", url + "/livez")[0] == 200
        yield "the serving plane has probes", ask("GET", serving + "/livez")[0] == 200
        yield "and predictions", ask("GET", serving + "/v2", None, bearer)[0] == 200
        yield "and nothing that decides", ask("GET", serving + "/api/pawl/v1/runs", None, bearer)[0] == 404
    finally:
        server.terminate()
        server.wait(30)


def main():
    with tempfile.TemporaryDirectory() as folder:
        home = os.path.join(folder, ".pawl")
        server, url = start(home)
        try:
            mode = os.stat(os.path.join(home, "token")).st_mode & 0o777
            with open(os.path.join(home, "token"), encoding="ascii") as f:
                token = f.read().strip()
            results = [("the token is for its owner alone", mode == 0o600)] + list(cases(url, token))
        finally:
            server.terminate()
            server.wait(30)
        results += public_cases(home, token)
    print(f"1..{len(results)}")
    for i, (what, is_right) in enumerate(results, 1):
        print(f"{'ok' if is_right else 'not ok'} {i} - {what}")
    return 0 if all(r for _, r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
