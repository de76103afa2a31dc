"""Can this bucket be used? Asked before anything starts, so that the answer is one line and not a stack of retries."""

from fashion.errors import InputError

PROBE = {"connect_timeout": 5, "read_timeout": 10, "retries": {"max_attempts": 2}}


def check_storage(setting: str, uri: str) -> None:
    """Raise InputError, naming `setting`, where `uri` is in a bucket that cannot be reached. Local folders pass."""
    if not uri.startswith("s3://"):
        return
    import boto3  # here, for it takes a while and local folders need none
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    bucket = uri.removeprefix("s3://").split("/")[0]
    try:
        boto3.client("s3", config=Config(**PROBE)).head_bucket(Bucket=bucket)
    except ClientError as fault:
        code = fault.response.get("Error", {}).get("Code", "?")
        what = {"404": "there is no such bucket", "403": "these credentials may not use it"}.get(code, f"error {code}")
        raise InputError(
            f"{setting}: bucket {bucket!r}: {what}; create it, or check the name and the AWS settings"
        ) from None
    except BotoCoreError as fault:
        text = " ".join(str(fault).split())
        raise InputError(
            f"{setting}: bucket {bucket!r} cannot be reached ({text}); check AWS_ENDPOINT_URL, AWS_REGION and the "
            "credentials"
        ) from None
