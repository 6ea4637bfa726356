"""Names of currencies and of units of measure."""

from __future__ import annotations

from typing import Final

#: Singular, plural, and the same of the hundredth part.
CURRENCIES: Final[dict[str, tuple[str, str, str, str]]] = {
    "$": ("dollar", "dollars", "cent", "cents"), "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"), "¥": ("yen", "yen", "", ""), "₹": ("rupee", "rupees", "paisa", "paise"),
    "₩": ("won", "won", "", ""), "₽": ("ruble", "rubles", "kopek", "kopeks"), "₿": ("bitcoin", "bitcoins", "", ""),
}  # fmt: skip
CURRENCY_CODES: Final[dict[str, tuple[str, str, str, str]]] = {
    "USD": CURRENCIES["$"], "EUR": CURRENCIES["€"], "GBP": CURRENCIES["£"], "JPY": CURRENCIES["¥"],
    "INR": CURRENCIES["₹"], "CHF": ("swiss franc", "swiss francs", "", ""),
    "CAD": ("canadian dollar", "canadian dollars", "cent", "cents"),
    "AUD": ("australian dollar", "australian dollars", "cent", "cents"),
}  # fmt: skip

#: Symbol -> singular and plural. Case counts: "mW" is not "MW".
UNITS: Final[dict[str, tuple[str, str]]] = {
    symbol: (singular, many or f"{singular}s")
    for symbol, singular, many in (
        ("km", "kilometer", ""), ("m", "meter", ""), ("cm", "centimeter", ""), ("mm", "millimeter", ""),
        ("µm", "micrometer", ""), ("nm", "nanometer", ""), ("mi", "mile", ""), ("yd", "yard", ""), ("yds", "yard", ""),
        ("ft", "foot", "feet"), ("in", "inch", "inches"), ("kg", "kilogram", ""), ("kgs", "kilogram", ""),
        ("g", "gram", ""), ("mg", "milligram", ""), ("µg", "microgram", ""), ("lb", "pound", ""), ("lbs", "pound", ""),
        ("oz", "ounce", ""), ("t", "ton", ""), ("l", "liter", ""), ("L", "liter", ""), ("ml", "milliliter", ""),
        ("mL", "milliliter", ""), ("cl", "centiliter", ""), ("gal", "gallon", ""), ("s", "second", ""),
        ("sec", "second", ""), ("secs", "second", ""), ("ms", "millisecond", ""), ("µs", "microsecond", ""),
        ("ns", "nanosecond", ""), ("min", "minute", ""), ("mins", "minute", ""), ("h", "hour", ""), ("hr", "hour", ""),
        ("hrs", "hour", ""), ("Hz", "hertz", "hertz"), ("kHz", "kilohertz", "kilohertz"),
        ("MHz", "megahertz", "megahertz"), ("GHz", "gigahertz", "gigahertz"), ("W", "watt", ""), ("kW", "kilowatt", ""),
        ("MW", "megawatt", ""), ("kWh", "kilowatt hour", ""), ("V", "volt", ""), ("mV", "millivolt", ""),
        ("A", "amp", ""), ("mA", "milliamp", ""), ("mAh", "milliamp hour", ""), ("Ω", "ohm", ""), ("J", "joule", ""),
        ("kJ", "kilojoule", ""), ("N", "newton", ""), ("Pa", "pascal", ""), ("kPa", "kilopascal", ""),
        ("hPa", "hectopascal", ""), ("psi", "p s i", "p s i"), ("dB", "decibel", ""), ("cal", "calorie", ""),
        ("kcal", "kilocalorie", ""), ("KB", "kilobyte", ""), ("kB", "kilobyte", ""), ("MB", "megabyte", ""),
        ("GB", "gigabyte", ""), ("TB", "terabyte", ""), ("PB", "petabyte", ""),
        ("Mbps", "megabit per second", "megabits per second"),
        ("Gbps", "gigabit per second", "gigabits per second"), ("kbps", "kilobit per second", "kilobits per second"),
        ("mph", "mile per hour", "miles per hour"),
        ("kmh", "kilometer per hour", "kilometers per hour"), ("kph", "kilometer per hour", "kilometers per hour"),
        ("rpm", "revolution per minute", "revolutions per minute"),
        ("fps", "frame per second", "frames per second"), ("bpm", "beat per minute", "beats per minute"),
        ("dpi", "dot per inch", "dots per inch"), ("px", "pixel", ""), ("ha", "hectare", ""),
        ("sq ft", "square foot", "square feet"),
        ("MP", "megapixel", ""), ("mmHg", "millimeter of mercury", "millimeters of mercury"),
    )
}  # fmt: skip

#: Symbols that are also words or names: units only where no space stands before them.
ATTACHED: Final = frozenset(("in", "A", "t", "N", "J", "T", "W", "V", "MP"))
