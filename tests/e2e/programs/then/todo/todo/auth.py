"""Who asks: a bearer token that a secret names."""

import os

from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer


def user(credentials: HTTPAuthorizationCredentials = Depends(HTTPBearer())) -> str:
    for pair in os.environ["TODO_TOKENS"].split(","):
        name, token = pair.split(":")
        if token == credentials.credentials:
            return name
    raise HTTPException(401, "unknown token", headers={"WWW-Authenticate": "Bearer"})
