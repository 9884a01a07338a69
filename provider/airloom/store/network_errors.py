"""What a cloud's refusals mean: errors of obstore as errors of Airloom.

Their own text holds whole URLs, with signatures in them, so it is never told or chained: only
what this module recognises in it is, the status and the code of the server's answer.
"""

from __future__ import annotations

import re

from airloom.errors import AirloomError, SettingsError, StoreError, StoreUnavailable
from airloom.settings import variable

_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_RETRIED = re.compile(r"after [1-9]\d* retries")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "InvalidBucketName")
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired")
_UNKNOWN_KEY = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthenticationFailed", "InvalidToken")
_ELSEWHERE = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")


def status(error: BaseException) -> int | None:
    """HTTP status of the server's answer; None when it did not answer."""
    match = _STATUS.search(str(error))
    return int(match[1]) if match else None


def is_no_bucket(error: BaseException) -> bool:
    """Say whether not only the object is missing."""
    return any(code in str(error) for code in _NO_BUCKET)


def is_conflict(error: BaseException) -> bool:
    """Say whether S3 asks to try again, since another request for the same key is going on.

    Notes
    -----
    ``409 ConditionalRequestConflict``: Amazon S3 user guide, "How to prevent object overwrites
    with conditional writes".
    """
    return status(error) == 409 and any(
        code in str(error) for code in ("ConditionalRequestConflict", "OperationAborted")
    )


def gave_up_at_once(error: BaseException) -> bool:
    """Say whether the client met trouble that may pass, and did not try again by itself.

    It does not after an answer that broke off while it was read, and for requests that it does
    not know to be harmless when they are done twice, such as deleting many objects.
    """
    text = str(error)
    answer = status(error)
    passing = (
        answer >= 500 or answer in (408, 429)
        if answer is not None
        else "HTTP error" in text or "Http" in text
    )
    return passing and not _RETRIED.search(text) and not _without_credentials(error, text)


def translate(error: BaseException, verb: str, where: str, credentials: str) -> AirloomError:
    """Make the error that says what went wrong.

    Parameters
    ----------
    verb
        What could not be done to the object: read, written, ...
    where
        URL of the object or folder.
    credentials
        Where the credentials came from, in words.
    """
    text = str(error)
    code = match[1] if (match := _CODE.search(text)) else ""
    answer = status(error)
    said = f"{answer} {code}".strip() if answer else code
    bucket = "/".join(where.split("/")[:3])
    if is_no_bucket(error):
        return StoreError(
            "the bucket does not exist",
            where=bucket,
            mend=f"make it first, or correct {variable('datastore_root')}; "
            f"at another server than the cloud's own also look at {variable('store_endpoint')}.",
        )
    if code in _EXPIRED:
        return StoreUnavailable(
            f"the credentials have expired ({said})",
            where=where,
            mend=f"renew them ({credentials}), and try again.",
        )
    if code == "RequestTimeTooSkewed":
        return StoreUnavailable(
            "this machine's clock is too far from the store's",
            where=where,
            mend="set the clock, and try again.",
        )
    if code in _ELSEWHERE or answer == 301 or "redirect without LOCATION" in text:
        return SettingsError(
            f"the bucket lies in another region ({said})",
            where=bucket,
            mend=f"set {variable('store_region')} to the bucket's own region.",
        )
    if _without_credentials(error, text):
        return StoreError(
            "there are no credentials for the store, or they cannot be had",
            where=where,
            mend=f"give some ({credentials}), see docs/stores.md.",
        )
    if code in _UNKNOWN_KEY or answer == 401:
        return StoreError(
            f"the store does not know the credentials ({said})",
            where=where,
            mend=f"correct them ({credentials}).",
        )
    if answer in (403, 405):
        return StoreError(
            f"the object could not be {verb}: access is denied ({said})",
            where=where,
            mend=f"allow it to the credentials in use ({credentials}); docs/stores.md lists what is needed.",
        )
    if answer is not None and answer < 500 and answer not in (408, 409, 425, 429):
        return StoreError(
            f"the object could not be {verb}: the store answered {said}",
            where=where,
            mend=f"look at {variable('datastore_root')} and {variable('store_endpoint')}: "
            "is there an object store of that kind?",
        )
    return _unavailable(text, verb, where, said)


def _without_credentials(error: BaseException, text: str) -> bool:
    if "External" in text and "credential provider" in text:
        return True
    # The address at which a machine in a cloud tells its role; and Azure's and Google's own.
    asked = ("169.254.169.254", "169.254.170.2", "metadata.google.internal", "login.microsoftonline")
    return any(address in text for address in asked) or (
        type(error).__name__ == "UnauthenticatedError" and status(error) is None
    )


def _unavailable(text: str, verb: str, where: str, said: str) -> StoreUnavailable:
    server = match[1] if (match := re.search(r"(https?://[^/\s?]+)", text)) else "the server"
    if "dns error" in text or "failed to lookup address" in text:
        return StoreUnavailable(
            f"the store's server cannot be found: no address is known for {server}",
            where=where,
            mend=f"correct {variable('store_endpoint')} or {variable('store_region')}, or mend this "
            "machine's name resolution.",
        )
    if "kind: Connect," in text:
        return StoreUnavailable(
            f"the store's server cannot be reached: {server} accepts no connection",
            where=where,
            mend=f"start the server, or correct {variable('store_endpoint')}; look at firewalls and proxies.",
        )
    reason = f"the store answered {said}" if said else _interruption(text)
    return StoreUnavailable(
        f"the object could not be {verb}: {reason}",
        where=where,
        mend=f"try again; {variable('store_timeout_s')}, {variable('store_retries')} and "
        f"{variable('store_deadline_s')} say how long Airloom does.",
    )


def _interruption(text: str) -> str:
    if "kind: Timeout" in text or "TimedOut" in text:
        return "it took longer than one request may take"
    return "the connection was interrupted"
