"""Authors and their books."""

from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=100, unique=True)


class Book(models.Model):
    title = models.CharField(max_length=200)
    year = models.IntegerField()
    author = models.ForeignKey(Author, on_delete=models.CASCADE, related_name="books")

    def as_json(self):
        return {"id": self.pk, "title": self.title, "year": self.year, "author": self.author.name}
