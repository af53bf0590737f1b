"""The one table."""

from django.db import models


class Choice(models.Model):
    text = models.CharField(max_length=100, unique=True)
    votes = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-votes", "text"]
