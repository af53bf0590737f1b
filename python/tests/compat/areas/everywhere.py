"""Parameters of Modal's hosted service, which many names have."""

from __future__ import annotations

from ..table import Area, works

EVERYWHERE = Area(
    "Parameters of the hosted service",
    "There is one server, one namespace and one environment, `main`, no client object, and progress is "
    "always "
    "shown: these are accepted wherever Modal has them, and have nothing to choose from.",
    (
        works(
            "*(client=…, namespace=…, environment_name=…, workspace=…, object_entity=…, stdout=…, "
            "show_progress=…)",
            "compat/test_surroundings.py::test_parameters_of_the_hosted_service_are_accepted",
        ),
    ),
)
