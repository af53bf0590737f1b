"""A Django site that lives in a package of its own, which is mounted by name."""

import modal

stub = modal.Stub("polls", image=modal.Image.debian_slim().pip_install(["django"]))


@stub.wsgi(mounts=modal.create_package_mounts(["pollsite"]), concurrency_limit=1)
def site():
    import os

    import django
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application

    os.environ["DJANGO_SETTINGS_MODULE"] = "pollsite.settings"
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    return get_wsgi_application()


if __name__ == "__main__":
    stub.serve()
