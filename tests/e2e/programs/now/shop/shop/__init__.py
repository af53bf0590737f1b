"""A shop in several apps that are included in one: `pilotlight serve -m shop.main` from the folder above."""
