"""Converts temperatures: one web endpoint, and a plain function that it calls."""

import enum

import modal
from fastapi import HTTPException, Query

stub = modal.Stub("converter")


class Unit(str, enum.Enum):
    celsius = "C"
    fahrenheit = "F"
    kelvin = "K"


@stub.function
def kelvin(value, unit):
    if unit is Unit.celsius:
        return value + 273.15
    if unit is Unit.fahrenheit:
        return (value + 459.67) * 5 / 9
    return value


@stub.webhook
def convert(value: float, source: Unit = Query(Unit.celsius, alias="from"), to: Unit = Unit.fahrenheit):
    absolute = kelvin(value, source)
    if absolute < 0:
        raise HTTPException(400, f"{value} {source.value} is below absolute zero")
    degrees = {
        Unit.celsius: absolute - 273.15,
        Unit.fahrenheit: absolute * 9 / 5 - 459.67,
        Unit.kelvin: absolute,
    }
    return {"value": round(degrees[to], 2), "unit": to}


if __name__ == "__main__":
    stub.serve()
