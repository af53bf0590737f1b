"""The tasks of one user."""

from typing import Dict, List

from fastapi import APIRouter, BackgroundTasks, Depends, HTTPException

from .. import journal
from ..auth import user
from ..models import NewTask, Task

router = APIRouter(prefix="/tasks", tags=["tasks"])
tasks: Dict[str, Dict[int, Task]] = {}


@router.post("", response_model=Task, status_code=201)
def create(new: NewTask, background: BackgroundTasks, user: str = Depends(user)):
    mine = tasks.setdefault(user, {})
    task = Task(id=len(mine) + 1, **new.dict())
    mine[task.id] = task
    background.add_task(journal.write, user, f"created {task.title}")
    return task


@router.get("", response_model=List[Task], response_model_exclude_unset=True)
def everything(tag: str = None, user: str = Depends(user)):
    return [task for task in tasks.get(user, {}).values() if tag is None or tag in task.tags]


@router.post("/{number}/done", response_model=Task)
def finish(number: int, background: BackgroundTasks, user: str = Depends(user)):
    if number not in tasks.get(user, {}):
        raise HTTPException(404, f"{user} has no task {number}")
    task = tasks[user][number] = tasks[user][number].copy(update={"done": True})
    background.add_task(journal.write, user, f"finished {task.title}")
    return task
