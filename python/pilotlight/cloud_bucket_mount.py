"""`CloudBucketMount`: a bucket of an object store as a folder. Declared only."""

from __future__ import annotations

from .exception import InvalidError
from .object import Mountable
from .secret import Secret

__all__ = ["CloudBucketMount"]


class CloudBucketMount(Mountable):
    """A bucket as a folder: `volumes={"/data": modal.CloudBucketMount("my-bucket")}`. Not built yet.

    Raises `InvalidError` for arguments that cannot be.
    """

    _shown = "CloudBucketMount"

    def __init__(
        self,
        bucket_name: str,
        bucket_endpoint_url: str | None = None,
        key_prefix: str | None = None,
        secret: Secret | None = None,
        oidc_auth_role_arn: str | None = None,
        read_only: bool = False,
        requester_pays: bool = False,
        force_path_style: bool = False,
    ) -> None:
        if not isinstance(bucket_name, str) or not bucket_name:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidError(f"CloudBucketMount needs the name of a bucket, not {bucket_name!r}")
        if secret is not None and not isinstance(secret, Secret):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidError(f"CloudBucketMount: expected a modal.Secret for secret=, not {secret!r}")
        if key_prefix is not None and not key_prefix.endswith("/"):
            raise InvalidError(
                f"CloudBucketMount: key_prefix= is a folder and ends with '/', unlike {key_prefix!r}"
            )
        if requester_pays and secret is None:
            raise InvalidError("CloudBucketMount: requester_pays=True needs the requester's secret=")
        self.bucket_name = bucket_name
        self._declare(f"{self._shown}({bucket_name!r})")
