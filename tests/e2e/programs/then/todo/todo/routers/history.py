"""What happened."""

from fastapi import APIRouter, Depends

from .. import journal
from ..auth import user

router = APIRouter()


@router.get("/history")
def history(user: str = Depends(user)):
    return journal.read(user)
