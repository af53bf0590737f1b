"""The books that are there at first."""

from django.core.management import call_command

from .models import Author, Book


def fill():
    call_command("migrate", run_syncdb=True, verbosity=0)
    if not Author.objects.exists():
        lem = Author.objects.create(name="Stanisław Lem")
        Book.objects.create(title="Solaris", year=1961, author=lem)
        Book.objects.create(title="Fiasco", year=1986, author=lem)
