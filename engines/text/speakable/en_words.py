# ruff: noqa: SIM905 - lists of words read better as text.
"""English words for the English reader: units, money, names and short forms."""

from __future__ import annotations

# key → singular|plural; without a bar the word does not change. The models' lexicon guesses words
# that it lacks and spells "hecto" out, so those are written as words that it has.
UNITS = {
    "percent": "percent",
    "celsius": "degree Celsius|degrees Celsius",
    "fahrenheit": "degree Fahrenheit|degrees Fahrenheit",
    "degree": "degree|degrees",
    "W": "watt|watts",
    "kW": "kilowatt|kilowatts",
    "MW": "megawatt|megawatts",
    "mW": "milli watt|milli watts",
    "Wh": "watt hour|watt hours",
    "kWh": "kilowatt hour|kilowatt hours",
    "MWh": "megawatt hour|megawatt hours",
    "VA": "volt ampere|volt amperes",
    "kVA": "kilo volt ampere|kilo volt amperes",
    "V": "volt|volts",
    "mV": "milli volt|milli volts",
    "kV": "kilo volt|kilo volts",
    "A": "amp|amps",
    "mA": "milli amp|milli amps",
    "Ah": "amp hour|amp hours",
    "mAh": "milli amp hour|milli amp hours",
    "ohm": "ohm|ohms",
    "Hz": "hertz",
    "kHz": "kilo hertz",
    "MHz": "megahertz",
    "GHz": "gigahertz",
    "km/h": "kilometer per hour|kilometers per hour",
    "m/s": "meter per second|meters per second",
    "mph": "mile per hour|miles per hour",
    "knot": "knot|knots",
    "Pa": "pascal|pascals",
    "kPa": "kilo pascal|kilo pascals",
    "hPa": "hectoh pascal|hectoh pascals",
    "mbar": "millibar|millibars",
    "bar": "bar|bar",
    "psi": "pound per square inch|pounds per square inch",
    "mmHg": "millimeter of mercury|millimeters of mercury",
    "inHg": "inch of mercury|inches of mercury",
    "ppm": "part per million|parts per million",
    "ppb": "part per billion|parts per billion",
    "µg/m³": "microgram per cubic meter|micrograms per cubic meter",
    "mg/m³": "milligram per cubic meter|milligrams per cubic meter",
    "g/m³": "gram per cubic meter|grams per cubic meter",
    "lx": "lux",
    "lm": "lumen|lumens",
    "dB": "decibel|decibels",
    "dBm": "DBM",
    "mm/h": "millimeter per hour|millimeters per hour",
    "L/min": "liter per minute|liters per minute",
    "m³/h": "cubic meter per hour|cubic meters per hour",
    "W/m²": "watt per square meter|watts per square meter",
    "mm": "millimeter|millimeters",
    "cm": "centimeter|centimeters",
    "m": "meter|meters",
    "km": "kilometer|kilometers",
    "in": "inch|inches",
    "ft": "foot|feet",
    "mi": "mile|miles",
    "yd": "yard|yards",
    "mm²": "square millimeter|square millimeters",
    "cm²": "square centimeter|square centimeters",
    "m²": "square meter|square meters",
    "km²": "square kilometer|square kilometers",
    "cm³": "cubic centimeter|cubic centimeters",
    "m³": "cubic meter|cubic meters",
    "L": "liter|liters",
    "mL": "milliliter|milliliters",
    "gal": "gallon|gallons",
    "mg": "milligram|milligrams",
    "g": "gram|grams",
    "kg": "kilogram|kilograms",
    "t": "ton|tons",
    "lb": "pound|pounds",
    "oz": "ounce|ounces",
    "B": "byte|bytes",
    "kB": "kilobyte|kilobytes",
    "MB": "megabyte|megabytes",
    "GB": "gigabyte|gigabytes",
    "TB": "terabyte|terabytes",
    "kbit/s": "kilo bit per second|kilo bits per second",
    "Mbit/s": "megabit per second|megabits per second",
    "Gbit/s": "gigabit per second|gigabits per second",
    "kB/s": "kilobyte per second|kilobytes per second",
    "MB/s": "megabyte per second|megabytes per second",
    "rpm": "revolution per minute|revolutions per minute",
    "cal": "calorie|calories",
    "kcal": "kilo calorie|kilo calories",
    "kJ": "kilo joule|kilo joules",
    "d": "day|days",
    "h": "hour|hours",
    "min": "minute|minutes",
    "s": "second|seconds",
    "ms": "millisecond|milliseconds",
}

# code → one|many|hundredth|hundredths
CURRENCIES = {
    "USD": "dollar|dollars|cent|cents",
    "$": "dollar|dollars|cent|cents",
    "HKD": "Hong Kong dollar|Hong Kong dollars|cent|cents",
    "TWD": "Taiwan dollar|Taiwan dollars|cent|cents",
    "AUD": "Australian dollar|Australian dollars|cent|cents",
    "CAD": "Canadian dollar|Canadian dollars|cent|cents",
    "EUR": "euro|euros|cent|cents",
    "GBP": "pound|pounds|penny|pence",
    "¥": "yen|yen||",
    "JPY": "yen|yen||",
    "CNY": "yuan|yuan||",
    "KRW": "won|won||",
    "INR": "rupee|rupees||",
    "CHF": "franc|francs||",
    "SEK": "krona|kronor||",
    "NOK": "krone|kroner||",
    "DKK": "krone|kroner||",
    "PLN": "zloty|zloty||",
}

MONTHS = (
    "January February March April May June July August September October November December"
).split()
DAYS = {
    "Mon": "Monday",
    "Tue": "Tuesday",
    "Tues": "Tuesday",
    "Wed": "Wednesday",
    "Thu": "Thursday",
    "Thur": "Thursday",
    "Thurs": "Thursday",
    "Fri": "Friday",
    "Sat": "Saturday",
    "Sun": "Sunday",
}

# Written exactly so, as whole words. Wi-Fi is spelled as words that every English lexicon has.
TERMS = {
    "Wi-Fi": "why phi",
    "WiFi": "why phi",
    "WIFI": "why phi",
    "Wi-fi": "why phi",
    "Wifi": "why phi",
    "wifi": "why phi",
    "wi-fi": "why phi",
    "CO2": "CO two",
    "NO2": "NO two",
    "SO2": "SO two",
    "O3": "ozone",
    "H2O": "H two O",
    "PM2.5": "PM two point five",
    "PM10": "PM ten",
    "PM1": "PM one",
    "4K": "four K",
    "8K": "eight K",
    "24/7": "twenty-four seven",
    "A/C": "AC",
    "a/c": "AC",
    "N/A": "not available",
    "n/a": "not available",
    "w/o": "without",
    "on/off": "on or off",
    "open/closed": "open or closed",
    "yes/no": "yes or no",
    "and/or": "and or",
    "he/she": "he or she",
    "IoT": "IOT",
    "NaN": "unknown",
    "IPv4": "IP version four",
    "IPv6": "IP version six",
    "TVs": "TVs",
    "U.S.": "US",
    "U.S.A.": "USA",
    "U.K.": "UK",
    "E.U.": "EU",
    "Ph.D.": "PHD",
    "OK": "okay",
    "ok": "okay",
    "Ok": "okay",
    "NASA": "Nasa",
    "IKEA": "Ikea",
    "RAM": "ram",
    "LAN": "lan",
    "WLAN": "W lan",
    "PIN": "pin",
    "SIM": "sim",
    "ZIP": "zip",
    "JPEG": "jay peg",
    "LASER": "laser",
    "RADAR": "radar",
    "SONOS": "Sonos",
    "ESPHome": "ESP home",
    "MQTT": "MQTT",
    "Zigbee": "zig bee",
    "ZigBee": "zig bee",
    "Z-Wave": "Z wave",
}

# Written with a full stop, which is not the end of a sentence unless a capital follows.
SHORT_FORMS = {
    "approx.": "approximately",
    "e.g.": "for example",
    "i.e.": "that is",
    "etc.": "et cetera",
    "vs.": "versus",
    "incl.": "including",
    "excl.": "excluding",
    "max.": "maximum",
    "min.": "minimum",
    "avg.": "average",
    "temp.": "temperature",
    "hum.": "humidity",
    "dept.": "department",
    "apt.": "apartment",
    "Apt.": "apartment",
    "tel.": "telephone",
    "Tel.": "telephone",
    "misc.": "miscellaneous",
    "est.": "estimated",
    "appt.": "appointment",
    "govt.": "government",
    "hrs.": "hours",
    "mins.": "minutes",
    "secs.": "seconds",
    "sq.": "square",
    "Ave.": "Avenue",
    "Rd.": "Road",
    "Blvd.": "Boulevard",
    "Jr.": "Junior",
    "Sr.": "Senior",
    "Inc.": "Incorporated",
    "Ltd.": "Limited",
    "Co.": "Company",
    "vs": "versus",
}
# Before a name these never end a sentence.
TITLES = {
    "Dr.": "Doctor",
    "Mr.": "Mister",
    "Mrs.": "Missus",
    "Ms.": "Miz",
    "Prof.": "Professor",
    "Mt.": "Mount",
    "Capt.": "Captain",
    "Sgt.": "Sergeant",
    "Rev.": "Reverend",
    "Gen.": "General",
    "Dr": "Doctor",
    "Mr": "Mister",
    "Mrs": "Missus",
    "Ms": "Miz",
}

# Spelled in capitals and said letter by letter although they could be read as words.
ACRONYMS = frozenset(
    "AC ADSL AI AM API APP ASAP ATM AV BBC BBQ BLE BMW BP BT CAD CCTV CD CEO CET CNN CO COVID "
    "CPU CSS CSV DC DHCP DIY DJ DNS DSL DST DVB DVD DVR EDT ENT ER ESP EST ETA EU EUR EV FAQ "
    "FBI FM FPS FTP GBP GDP GIF GMT GPIO GPS GPU GPT GSM GUI HA HACS HD HDD HDMI HDR HEPA HID "
    "HIFI HQ HTML HTTP HTTPS HVAC IBM ICE ID IFTTT IOS IOT IP IPS IPTV IR ISO ISP IT ITV JSON "
    "KNX LCD LED LLM LTE LTS MAC MP MQTT MRI NAS NASA NBC NFC NFL NHL NBA NTP NVME OBD OEM "
    "OLED OS OTA PC PCB PDF PDT PHD PHEV PIR PIV PM PNG POE PR PS PSI PST PV PVR QR RAID REM RF "
    "RFID RGB RGBW RMB RSS RTC RTSP SCSI SD SDK SMS SMTP SOC SOH SOS SPF SQL SSD SSH SSID SSL "
    "STT SUV TCP TLS TTS TV TVOC TVS UDP UFO UI UK UPS URL US USA USB USD UTC UV UVB VAT VCR "
    "VIP VM VOC VPN VR WAN WC WHO XML YAML".split()
)
# Short words that stand in capitals in a warning; longer ones are told by their vowels.
SHORT_WORDS = frozenset(
    "A I AND ANY ARE ALL AS AT BE BED BIG BUS BUT BY CAN CAR CAT CUP DAD DAY DID DO DOG DRY EAT "
    "END FAN FAR FOR GAS GET GO HAS HE HER HIM HIS HOT HOW IF IN IS ITS JOB KEY LET LOW MAN MAY "
    "ME MOM MUM MY NEW NO NOT NOW OF OFF OIL OLD ON ONE OR OUR OUT OWN PET PLS PUT RED RUN SAY SEE "
    "SET SHE SIX SO SUN TEN THE TO TOO TOP TRY TWO UP USE VAN WAS WAY WE WET WHY WON YES YET "
    "YOU".split()
)

# A Roman numeral after one of these is a plain number.
NUMBERED = (
    "Act Chapter Class Episode Factor Level Part Phase Section Season Stage Star Type Vol "
    "Volume War Wars Appendix Article Book Figure Mark Step Title"
).split()
RULERS = (
    "Alexander Charles Edward Elizabeth Francis Frederick George Gregory Henry James John Louis "
    "Mary Napoleon Nicholas Paul Peter Philip Pius Richard William"
).split()
# St. before one of these is Saint, not the end of a Street.
SAINTS = (
    "Albans Andrew Andrews Anthony Barth Catharines Charles Clair Francis Gallen George Helens "
    "James John Johns Joseph Kitts Louis Lucia Lucy Mark Martin Mary Michael Moritz Nicholas "
    "Nick Patrick Paul Pauls Peter Petersburg Pierre Stephen Thomas Tropez Valentine Vincent"
).split()
