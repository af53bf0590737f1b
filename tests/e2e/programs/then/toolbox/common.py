"""What all tools use."""

import modal
from fastapi import Header, HTTPException

stub = modal.Stub("toolbox")


def api_key(x_api_key: str = Header(None)) -> str:
    """Lets only those in who name themselves."""
    if not x_api_key:
        raise HTTPException(403, "name yourself in X-API-Key")
    return x_api_key
