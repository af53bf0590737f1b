"""As few settings as a site with a model, templates and CSRF protection needs."""

SECRET_KEY = "polls-of-a-test"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "pollsite.urls"
INSTALLED_APPS = ["pollsite"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "/tmp/polls.sqlite"}}
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
