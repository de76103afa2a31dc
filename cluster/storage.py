"""Can this folder or bucket be used? Asked before anything starts, so that the answer is one line and not a stack of
retries."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from fashion.addresses import azure_account, split
from fashion.errors import InputError
from fashion.storage import Store

PATIENCE_S = 10
MISSING = "there is no such bucket"
CLOCKS_S = 300  # apart; AWS refuses requests of a quarter of an hour
BUSY = ("429", "500", "502", "503", "504")
JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # Ray sets it in the process that `ray job submit` starts
# In a process of its own: where no credentials are found, Azure's client ends the process that asks.
AZURE = "import sys, pyarrow.fs as f; print(f.AzureFileSystem(sys.argv[1]).get_file_info(sys.argv[2]).type.name)"


def check_storage(setting: str, uri: str, *, writes: bool = False) -> None:
    """Raise InputError, naming `setting`, where `uri` is in a bucket that cannot be reached. Local folders pass, except one
    that a job `writes` to and that goes with the job.

    The working folder of a job that was sent to a cluster is a temporary copy of Ray's: a relative path lies in it.
    """
    store = Store(uri)
    if store.local:
        if writes and JOB in os.environ and not Path(os.path.expanduser(uri.removeprefix("file://"))).is_absolute():
            raise InputError(
                f"{setting}: {uri} is relative, and the working folder of a job on a cluster is a temporary one that goes "
                "with the job; give s3://bucket/prefix, or the absolute path of a folder that all machines share"
            )
        return
    scheme, bucket, _ = split(store.uri)
    checks: dict[str | None, Callable[[str], str | None]] = {"s3": _s3, "gs": _gs, "abfs": _abfs}
    what = checks[scheme](bucket)
    if what:
        raise InputError(f"{setting}: bucket {bucket!r}{what}")


def check_run(setting: str, uri: str) -> None:
    """`check_storage` of a training run's folder, which has a name of its own and a folder that it lies in."""
    check_storage(setting, uri, writes=True)
    try:
        Store(uri).parent()
    except InputError as fault:
        raise InputError(f"{setting}: {fault}") from None


def _s3(bucket: str) -> str | None:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    quick = Config(connect_timeout=5, read_timeout=PATIENCE_S, retries={"max_attempts": 2})
    try:
        boto3.client("s3", config=quick).head_bucket(Bucket=bucket)
    except ClientError as fault:
        code = fault.response.get("Error", {}).get("Code", "?")
        if code in BUSY or (code == "403" and _by_another_clock(fault.response)):
            return None  # it is there, and what follows waits for it, or goes by its clock
        return _refused({"404": MISSING, "403": "these credentials may not use it"}.get(code, f"error {code}"))
    except BotoCoreError as fault:
        return _unreachable(fault, "AWS_ENDPOINT_URL, AWS_REGION")
    return None


def _by_another_clock(response: Mapping[str, Any]) -> bool:
    """Whether a request was refused, perhaps, for its time: this clock is not the storage's. Of a HEAD no reason is
    told."""
    date = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return date is not None and abs(parsedate_to_datetime(date).timestamp() - time.time()) > CLOCKS_S


def _gs(bucket: str) -> str | None:
    import pyarrow.fs as pafs

    try:
        bucket_info = pafs.GcsFileSystem(retry_time_limit=timedelta(seconds=PATIENCE_S)).get_file_info(bucket)
    except OSError as fault:
        return _unreachable(fault, "GOOGLE_APPLICATION_CREDENTIALS")
    return _refused(MISSING) if bucket_info.type == pafs.FileType.NotFound else None


def _abfs(bucket: str) -> str | None:
    command = [sys.executable, "-c", AZURE, azure_account(bucket), bucket.split("@")[0]]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=6 * PATIENCE_S)
    except subprocess.TimeoutExpired:
        return _unreachable("no answer", "AZURE_TENANT_ID, AZURE_CLIENT_ID")
    if asked.returncode:
        said = [line.strip() for line in asked.stderr.splitlines() if "what():" in line or "Error" in line]
        return _unreachable((said or ["no answer"])[0], "AZURE_TENANT_ID, AZURE_CLIENT_ID")
    return _refused(MISSING) if asked.stdout.strip() == "NotFound" else None


def _refused(what: str) -> str:
    return f": {what}; create it, or check the name and the credentials"


def _unreachable(fault: object, names: str) -> str:
    text = " ".join(str(fault).split())
    text = text if len(text) < 300 else f"{text[:300]}..."
    return f" cannot be reached ({text}); check {names} and the credentials"
