"""What words and signs around a number mean: units, scales, numbers written out.

Knows words; must not know answers. A unit that is not here is no part of a value: 42 apples are 42.
"""

import re

_UNITS = (  # the first of each line stands for all
    "% percent pct",
    "\u2030 permille",
    "ppm",
    "$ usd us$ dollar dollars",
    "\u20ac eur euro euros",
    "\u00a3 gbp",
    "\u00a5 jpy yen",
    "yuan cny rmb",
    "\u20b9 inr rupee rupees",
    "chf franc francs",
    "cad",
    "aud",
    "cent cents \u00a2",
    "\u00b0 degree degrees deg",
    "\u00b0c celsius degreecelsius degreescelsius degreec degreesc",
    "\u00b0f fahrenheit degreefahrenheit degreesfahrenheit degreef degreesf",
    "kelvin kelvins",
    "rad radian radians",
    "km kilometer kilometers kilometre kilometres",
    "m meter meters metre metres",
    "dm decimeter decimeters decimetre decimetres",
    "cm centimeter centimeters centimetre centimetres",
    "mm millimeter millimeters millimetre millimetres",
    "\u03bcm \u00b5m um micrometer micrometers micrometre micrometres micron microns",
    "nm nanometer nanometers nanometre nanometres",
    "mi mile miles",
    "yd yard yards",
    "ft foot feet",
    "inch inches",
    "acre acres",
    "ha hectare hectares",
    "t tonne tonnes",
    "ton tons",
    "kg kilogram kilograms",
    "g gram grams",
    "mg milligram milligrams",
    "\u03bcg \u00b5g mcg microgram micrograms",
    "lb lbs pound pounds",
    "oz ounce ounces",
    "l L liter liters litre litres",
    "dl deciliter deciliters decilitre decilitres",
    "cl centiliter centiliters centilitre centilitres",
    "ml milliliter milliliters millilitre millilitres",
    "gallon gallons gal",
    "quart quarts",
    "pint pints",
    "cup cups",
    "tbsp tablespoon tablespoons",
    "tsp teaspoon teaspoons",
    "mol mole moles",
    "mmol millimole millimoles",
    "ns nanosecond nanoseconds",
    "\u03bcs \u00b5s microsecond microseconds",
    "ms millisecond milliseconds",
    "s sec secs second seconds",
    "min mins minute minutes",
    "h hr hrs hour hours",
    "day days",
    "week weeks",
    "fortnight fortnights",
    "month months",
    "year years",
    "decade decades",
    "century centuries",
    "km/h kph kmh",
    "mi/h mph",
    "N newton newtons",
    "kN kn kilonewton kilonewtons",
    "J joule joules",
    "kJ kj kilojoule kilojoules",
    "MJ megajoule megajoules",
    "cal calorie calories",
    "kcal kilocalorie kilocalories",
    "W watt watts",
    "mW milliwatt milliwatts",
    "kW kw kilowatt kilowatts",
    "MW megawatt megawatts",
    "GW gw gigawatt gigawatts",
    "Wh wh",
    "kWh kwh",
    "MWh mwh",
    "V volt volts",
    "mV millivolt millivolts",
    "kV kv kilovolt kilovolts",
    "amp amps ampere amperes",
    "mA ma milliamp milliamps milliampere milliamperes",
    "ohm ohms \u03a9 \u2126",
    "k\u03a9 kilohm kilohms",
    "Pa pa pascal pascals",
    "kPa kpa kilopascal kilopascals",
    "MPa megapascal megapascals",
    "atm atmosphere atmospheres",
    "mmHg mmhg",
    "Hz hz hertz",
    "kHz khz kilohertz",
    "MHz mhz megahertz",
    "GHz ghz gigahertz",
    "bit bits",
    "byte bytes",
    "KB kb kilobyte kilobytes",
    "MB mb megabyte megabytes",
    "GB gb gigabyte gigabytes",
    "TB tb terabyte terabytes",
    "Mb megabit megabits",
    "Gb gigabit gigabits",
    "KiB kib",
    "MiB mib",
    "GiB gib",
)
UNITS = {word: line.split()[0] for line in _UNITS for word in line.split()}

SCALES = {"dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
SCALES |= {"bn": 10**9, "lakh": 10**5, "crore": 10**7}
_POWERS = {"square": "square", "sq": "square", "cubic": "cubic", "cu": "cubic"}  # before a unit
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_ONES = re.split(" ", f"zero one two three four five six seven eight nine {_TEENS}")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SPELLED = {word: value for value, word in enumerate(_ONES)} | {
    ten + one: 10 * at + value
    for at, ten in enumerate(_TENS, 2)
    for value, one in enumerate(["", *(f"-{word}" for word in _ONES[1:10])])
}

SCALE = re.compile(rf"[\s*$\\)]*({'|'.join(SCALES)})s?\b", re.IGNORECASE)
CIRCLE = re.compile(r"\s*\^?\s*\{?\\circ\}?(?:\s*([CF])\b)?")
_UNIT = re.compile(
    r"[\s*(\\]*(?:\b(square|sq|cubic|cu)\b\.?\s*)?"
    r"(\u00b0(?:\s?[CF]\b)?|[%$\u00a2\u00a3\u00a5\u20b9\u20ac\u2030]|"
    r"(?i:degrees?\s(?:celsius|fahrenheit|[CF])\b|per\scent\b)|(?!per\b)[^\W\d_]+)"
)
_PER = re.compile(r"\s*(?:/\s?|\bper\s+(?:an?\s+)?)([A-Za-z]+)")
_CURRENCY = re.compile(
    r"([\u00a3\u00a5\u20b9\u20ac]|\b(?:US|USD|EUR|GBP|JPY|INR|CNY|CAD|AUD|CHF)|\b(?!US)[A-Z]{1,2}\$)\s?$"
)


def spelled_number(text: str) -> int | None:
    """A number from 0 to 99 that is written as English words and nothing else; None for other texts."""
    return _SPELLED.get(re.sub(r"\s+", "-", text.strip().casefold()))


def known_unit(writing: str) -> str | None:
    """The unit of a writing; single letters count as they are, since M is no m."""
    return UNITS.get(writing) or (UNITS.get(writing.casefold()) if len(writing) > 1 else None)


def unit_beside(line: str, mark: re.Match[str] | None, end: int) -> str | None:
    """The unit behind a number that ends at `end`, or the currency before it; dollar signs in pairs are LaTeX's.

    `mark` is a match of `NUMBER`, None where another word ends there, such as a month.
    """
    if circle := CIRCLE.match(line, end):
        return f"\u00b0{(circle[1] or '').casefold()}"
    dollars = "\\$" in line or line.count("$") % 2 == 1
    found, unit = _UNIT.match(line, end), None
    if found and (found[2] != "$" or dollars):
        last = found[2] == "in" and not line[found.end() :].strip(" .*$)\\")  # or else it is a small word
        unit = UNITS["inch"] if last else known_unit("".join(found[2].split()))
        if found[1]:
            unit = f"{_POWERS[found[1]]} {unit or found[2]}"
    if unit is None and mark is not None:
        before = _CURRENCY.search(line[: mark.start("value")])
        if before and before[1].endswith("$") and dollars:
            unit = before[1]
        elif before and before[1] != "US" and not before[1].endswith("$"):
            unit = known_unit(before[1])
        elif "$" in mark[0] and dollars:
            unit = "$"
    if found and found[2].casefold().startswith("per "):
        return unit
    per = _PER.match(line, end) or (_PER.match(line, found.end()) if found else None)
    return f"{unit or ''}/{known_unit(per[1]) or per[1]}" if per else unit
