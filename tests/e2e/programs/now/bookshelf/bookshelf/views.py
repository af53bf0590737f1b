"""Pages and JSON, class-based."""

import json

from django.http import JsonResponse
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from .models import Author, Book


def index(request):
    return render(request, "index.html", {"books": Book.objects.select_related("author").order_by("year")})


@method_decorator(csrf_exempt, name="dispatch")
class Books(View):
    def get(self, request):
        books = Book.objects.select_related("author").order_by("pk")
        if after := request.GET.get("after"):
            books = books.filter(year__gt=int(after))
        return JsonResponse({"books": [book.as_json() for book in books]})

    def post(self, request):
        given = json.loads(request.body)
        author, _ = Author.objects.get_or_create(name=given["author"])
        book = author.books.create(title=given["title"], year=given["year"])
        return JsonResponse(book.as_json(), status=201)
