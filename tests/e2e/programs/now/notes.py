"""Notes in SQLite behind a FastAPI app with a lifespan, dependencies and pydantic 2 models."""

import modal

image = modal.Image.debian_slim().pip_install("fastapi[standard]")
app = modal.App("notes", image=image)


@app.function(max_containers=1, scaledown_window=300)
@modal.concurrent(max_inputs=50, target_inputs=20)
@modal.asgi_app()
def api():
    import contextlib
    import sqlite3
    from typing import Annotated, Optional

    from fastapi import Depends, FastAPI, HTTPException, Query, Request
    from pydantic import BaseModel, ConfigDict, Field, field_validator

    class Note(BaseModel):
        model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

        title: str = Field(min_length=1, max_length=80)
        text: str = ""

        @field_validator("title")
        @classmethod
        def capital(cls, title: str) -> str:
            return title[0].upper() + title[1:]

    class Stored(Note):
        id: int

    @contextlib.asynccontextmanager
    async def lifespan(web: FastAPI):
        with contextlib.closing(sqlite3.connect("/tmp/notes.sqlite", check_same_thread=False)) as database:
            database.row_factory = sqlite3.Row
            database.execute(
                "create table if not exists notes (id integer primary key, title text, text text)"
            )
            yield {"database": database}

    def database(request: Request):
        with request.state.database as transaction:
            yield transaction

    Database = Annotated[sqlite3.Connection, Depends(database)]
    web = FastAPI(title="Notes", lifespan=lifespan)

    @web.post("/notes", status_code=201)
    def create(note: Note, database: Database) -> Stored:
        cursor = database.execute("insert into notes (title, text) values (?, ?)", (note.title, note.text))
        return Stored(id=cursor.lastrowid, **note.model_dump())

    @web.get("/notes")
    def search(
        database: Database,
        q: Annotated[Optional[str], Query(min_length=2)] = None,
        limit: Annotated[int, Query(le=10)] = 5,
    ) -> list[Stored]:
        rows = database.execute(
            "select * from notes where title like ? order by id limit ?", (f"%{q or ''}%", limit)
        )
        return [Stored(**row) for row in rows]

    @web.delete("/notes/{number}", status_code=204)
    def delete(number: int, database: Database) -> None:
        if not database.execute("delete from notes where id = ?", (number,)).rowcount:
            raise HTTPException(404, detail=f"no note {number}")

    return web
