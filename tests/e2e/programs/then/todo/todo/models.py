"""The shapes that go in and out (pydantic 1, as it was)."""

import datetime
from typing import List, Optional

from pydantic import BaseModel, Field, validator


class NewTask(BaseModel):
    title: str = Field(..., max_length=40)
    due: Optional[datetime.date]
    tags: List[str] = []

    @validator("tags", each_item=True)
    def lower(cls, tag):
        return tag.lower()


class Task(NewTask):
    id: int
    done: bool = False

    class Config:
        schema_extra = {"example": {"id": 1, "title": "Water the plants"}}
