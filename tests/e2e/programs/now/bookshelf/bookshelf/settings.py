"""Django's settings."""

import os
import tempfile

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "of the bookshelf")
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "bookshelf.urls"
INSTALLED_APPS = ["bookshelf"]
MIDDLEWARE = ["django.middleware.http.ConditionalGetMiddleware"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": ["/srv/templates"]}]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{tempfile.gettempdir()}/bookshelf.sqlite"}
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
