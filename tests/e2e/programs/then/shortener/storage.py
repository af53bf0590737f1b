"""Keeps the links in SQLite."""

import sqlite3


class Links:
    def __init__(self, path):
        self.database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.database.execute(
            "create table if not exists links (code text primary key, url text, hits integer)"
        )

    def add(self, code, url):
        self.database.execute("insert into links values (?, ?, 0)", (code, url))

    def follow(self, code):
        self.database.execute("update links set hits = hits + 1 where code = ?", (code,))
        return self.find(code)

    def find(self, code):
        row = self.database.execute("select url, hits from links where code = ?", (code,)).fetchone()
        return row and {"url": row[0], "hits": row[1]}
