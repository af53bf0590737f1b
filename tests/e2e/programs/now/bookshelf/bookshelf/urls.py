"""Which address shows what."""

from django.urls import path

from .views import Books, index

urlpatterns = [path("", index), path("api/books", Books.as_view())]
