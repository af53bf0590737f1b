"""The pages: results, and the vote."""

from django.db.models import F
from django.http import HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from .models import Choice


@require_GET
def results(request):
    return render(request, "pollsite/results.html", {"choices": Choice.objects.all()})


@require_POST
def vote(request):
    text = request.POST.get("choice", "").strip()
    if not text:
        return HttpResponseBadRequest("choose something")
    choice, _ = Choice.objects.get_or_create(text=text)
    Choice.objects.filter(pk=choice.pk).update(votes=F("votes") + 1)
    return redirect("results")
