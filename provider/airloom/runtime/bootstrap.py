"""The first lines of a container: fetch Airloom's runtime from the store, check it, hand over to it.

The text of this file is a job's command (``python3 -c``, see `airloom.runtime.carried`): it uses the
standard library only, and every Python from 3.6 can read it, so that one that is too old is told so.

Notes
-----
Signature: "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)", Amazon S3
API reference. Credentials of a job's role: "Task IAM role", Amazon ECS developer guide; the address
169.254.170.2 stands there.
"""

import hashlib
import hmac
import io
import json
import os
import shutil
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

if False:  # typing.TYPE_CHECKING, without the import
    from typing import NoReturn, Tuple

START_FAILED, VERSION_SKEW = 96, 94
NOTHING = hashlib.sha256(b"").hexdigest()


def stop(what: str, code: int = START_FAILED) -> "NoReturn":
    """End the container with a sentence for its log, and a code that the operator knows."""
    sys.stderr.write(f"Airloom cannot start: {what}\n")
    sys.exit(code)


def read(request: Request) -> bytes:
    """Read an answer; what may pass is tried again for about half a minute."""
    pauses = [0.2, 1, 3, 9, 18]
    while True:
        try:
            with urlopen(request, timeout=60) as answer:
                return bytes(answer.read())
        except OSError as error:
            passing = not isinstance(error, HTTPError) or error.code in (429, 500, 502, 503, 504)
            if not pauses or not passing:
                stop(f"{request.full_url}: {error}")
        time.sleep(pauses.pop(0))


def credentials() -> "Tuple[str, str, str]":
    """Key, secret and session token: of the variables, else of the job's role."""
    known = os.environ.get
    if known("AWS_ACCESS_KEY_ID"):
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        key, secret, token = (known(name, "") for name in names)
        return key, secret, token
    place = known("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if not place and known("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        place = f"http://169.254.170.2{known('AWS_CONTAINER_CREDENTIALS_RELATIVE_URI')}"
    if not place:
        stop("the container has no credentials for the store: give the step a role with iam_role=.")
    authorization = known("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    headers = {"Authorization": authorization} if authorization else {}
    found = json.loads(read(Request(place, headers=headers)).decode())
    return found["AccessKeyId"], found["SecretAccessKey"], found.get("Token", "")


def signed(url: str, region: str) -> Request:
    """Make a request for an object of S3."""
    key, secret, token = credentials()
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    headers = {"host": urlsplit(url).netloc, "x-amz-content-sha256": NOTHING, "x-amz-date": now}
    if token:
        headers["x-amz-security-token"] = token
    names = ";".join(sorted(headers))
    lines = [f"{name}:{headers[name]}" for name in sorted(headers)]
    canonical = "\n".join(["GET", urlsplit(url).path, "", *lines, "", names, NOTHING])
    scope = f"{now[:8]}/{region}/s3/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    signer = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        signer = hmac.new(signer, part.encode(), "sha256").digest()
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, digest])
    signature = hmac.new(signer, text.encode(), "sha256").hexdigest()
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key}/{scope},SignedHeaders={names},Signature={signature}"
    )
    return Request(url, headers=headers)


def fetch(root: str, key: str) -> bytes:
    """Read an object of the store."""
    if "://" not in root:
        try:
            return Path(root, key).read_bytes()
        except OSError as error:
            stop(f"{error}: is the store's folder mounted into the container?")
    known = os.environ.get
    bucket = urlsplit(root).netloc
    region = (
        known("AIRLOOM_STORE_REGION") or known("AWS_REGION") or known("AWS_DEFAULT_REGION") or "us-east-1"
    )
    place = known("AIRLOOM_STORE_ENDPOINT") or known("AWS_ENDPOINT_URL_S3") or known("AWS_ENDPOINT_URL")
    if not place:
        ending = ".cn" if region.startswith("cn-") else ""
        place = f"https://s3.{region}.amazonaws.com{ending}"
    path = "/".join(part for part in (bucket, urlsplit(root).path.strip("/"), key) if part)
    return read(signed(f"{place.rstrip('/')}/{quote(path, safe='/-_.~')}", region))


def cache() -> Path:
    """Folder for what was unpacked: a chosen one, the home's, else one of this container alone."""
    try:
        chosen = os.environ.get("AIRLOOM_CACHE_DIR")
        folder = Path(chosen) if chosen else Path.home() / ".cache" / "airloom"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except (OSError, RuntimeError):  # a user without a home, as in many images
        pass
    return Path(tempfile.mkdtemp(prefix="airloom-"))


def unpacked(root: str, digest: str, folder: Path) -> Path:
    """Folder of an archive of the runtime: nothing of it is used before its SHA-256 is the wanted one."""
    place = folder / "runtimes" / digest
    if place.is_dir():
        return place
    data = fetch(root, f"runtimes/{digest}.zip")
    if hashlib.sha256(data).hexdigest() != digest:
        stop(f"the runtime {digest} in the store has other bytes than were saved: deploy the flow again.")
    place.parent.mkdir(exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=str(place.parent)))
    with zipfile.ZipFile(io.BytesIO(data)) as files:
        files.extractall(str(fresh / "files"))
    try:
        (fresh / "files").rename(place)
    except OSError:
        if not place.is_dir():  # else another container with this cache was first
            raise
    shutil.rmtree(str(fresh), ignore_errors=True)
    return place


def main() -> None:
    """Start what the one argument names: root of the store, digests of the runtime, tasks."""
    if sys.version_info < (3, 10):
        stop(
            f"the image has Python {sys.version_info[0]}.{sys.version_info[1]}, and 3.10 is the oldest that "
            "Airloom runs with: name another one with image=.",
            VERSION_SKEW,
        )
    told = json.loads(sys.argv[1])
    folder = cache()
    os.environ["AIRLOOM_CACHE_DIR"] = str(folder)
    sys.path.insert(0, str(unpacked(told["root"], told["runtime"], folder)))
    from airloom.runtime import container

    lacking = container.lacking()
    if lacking:
        wheels = told["wheels"].get(container.tag())
        if wheels is None:
            stop(container.refusal(lacking, told["wheels"]), VERSION_SKEW)
        container.add(unpacked(told["root"], wheels, folder), lacking)
    sys.exit(container.run(told["command"]))


if __name__ == "__main__":
    main()
