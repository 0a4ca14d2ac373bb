"""What words and signs around a number mean: units, scales, numbers written out.

Knows words; must not know answers. A unit that is not here is no part of a value: 42 apples are 42.
"""

import re

_UNITS = (  # the first of each line stands for all
    "% percent pct",
    "$ usd us$ dollar dollars",
    "\u20ac eur euro euros",
    "\u00a3 gbp",
    "\u00a5 jpy yen",
    "yuan cny rmb",
    "\u20b9 inr rupee rupees",
    "\u00b0 degree degrees deg",
    "\u00b0c celsius",
    "\u00b0f fahrenheit",
    "km kilometer kilometers kilometre kilometres",
    "m meter meters metre metres",
    "cm centimeter centimeters centimetre centimetres",
    "mm millimeter millimeters millimetre millimetres",
    "mi mile miles",
    "yd yard yards",
    "ft foot feet",
    "inch inches",
    "kg kilogram kilograms",
    "g gram grams",
    "mg milligram milligrams",
    "lb lbs pound pounds",
    "oz ounce ounces",
    "l L liter liters litre litres",
    "ml milliliter milliliters millilitre millilitres",
    "ms millisecond milliseconds",
    "s sec secs second seconds",
    "min mins minute minutes",
    "h hr hrs hour hours",
    "day days",
    "week weeks",
    "month months",
    "year years",
    "km/h kph kmh",
    "mph",
    "m/s",
    "cent cents \u00a2",
)
UNITS = {word: line.split()[0] for line in _UNITS for word in line.split()}

SCALES = {"dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_ONES = re.split(" ", f"zero one two three four five six seven eight nine {_TEENS}")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SPELLED = {word: value for value, word in enumerate(_ONES)} | {
    ten + one: 10 * at + value
    for at, ten in enumerate(_TENS, 2)
    for value, one in enumerate(["", *(f"-{word}" for word in _ONES[1:10])])
}


def spelled_number(text: str) -> int | None:
    """A number from 0 to 99 that is written as English words and nothing else; None for other texts."""
    return _SPELLED.get(re.sub(r"\s+", "-", text.strip().casefold()))
