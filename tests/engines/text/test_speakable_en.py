# ruff: noqa: E501 - an announcement a line.
"""English announcements and what an American speaker would say."""

import re

import pytest

from engines.text.speakable import speakable

ANNOUNCEMENTS = {
    # temperatures, humidity, percentages
    "It is 21.5 °C in the living room and the humidity is 48%.": "It is twenty-one point five degrees Celsius in the living room and the humidity is forty-eight percent.",
    "Outside it is -4 °C, feels like -9°C.": "Outside it is minus four degrees Celsius, feels like minus nine degrees Celsius.",
    "The freezer is at −18.5 °C.": "The freezer is at minus eighteen point five degrees Celsius.",
    "It is 68°F inside and 1 °C outside.": "It is sixty-eight degrees Fahrenheit inside and one degree Celsius outside.",
    "Set to 23.0 °C, now 1.0 °C off.": "Set to twenty-three degrees Celsius, now one degree Celsius off.",
    "Expect 18-21 °C today and 10–12 tomorrow.": "Expect eighteen to twenty-one degrees Celsius today and ten to twelve tomorrow.",
    "Between -5 and 5°, ±2 °C.": "Between minus five and five degrees, plus or minus two degrees Celsius.",
    "The cover is 100 % open": "The cover is one hundred percent open",
    # power, electricity, weather, air
    "The dryer used 2.3 kWh at 3,200 W.": "The dryer used two point three kilowatt hours at three thousand two hundred watts.",
    "The UPS reports 750 VA, 230 V and 3.2 A.": "The UPS reports seven hundred fifty volt amperes, two hundred thirty volts and three point two amps.",
    "EV charging: 62% done, 7.4kW.": "EV charging, sixty-two percent done, seven point four kilowatts.",
    "Wind is 35 km/h, gusts 15 m/s, limit 70 mph.": "Wind is thirty-five kilometers per hour, gusts fifteen meters per second, limit seventy miles per hour.",
    "Pressure 1013 hPa, tires 2.4 bar, boiler 30 psi.": "Pressure one thousand thirteen hectoh pascals, tires two point four bar, boiler thirty pounds per square inch.",
    "CO2 is at 1200 ppm.": "CO two is at one thousand two hundred parts per million.",
    "PM2.5 is 35 µg/m³.": "PM two point five is thirty-five micrograms per cubic meter.",
    "Brightness is 350 lux and noise is 65 dB.": "Brightness is three hundred fifty lux and noise is sixty-five decibels.",
    "The garage is 85 m², 5 km away, 12 mm of rain fell.": "The garage is eighty-five square meters, five kilometers away, twelve millimeters of rain fell.",
    "Mix 500 ml of water with 1.5 kg of flour, 1,5 l milk.": "Mix five hundred milliliters of water with one point five kilograms of flour, one point five liters milk.",
    "The backup is 1.2 TB at 100 Mbit/s.": "The backup is one point two terabytes at one hundred megabits per second.",
    # times, dates, durations
    "The front door was opened at 18:05.": "The front door was opened at six oh five PM.",
    "Wake up at 7:00, leave by 6 pm, lights off at 00:00.": "Wake up at seven AM, leave by six PM, lights off at midnight.",
    "Lunch is at 12:00, or 8:07 p.m. in summer.": "Lunch is at noon, or eight oh seven PM in summer.",
    "Open 9:30-17:00, class 3-5 pm.": "Open nine thirty AM to five PM, class three PM to five PM.",
    "He left at 8 a.m. The door is shut.": "He left at eight AM. The door is shut.",
    "Today is 2026-11-23.": "Today is November twenty-third, twenty twenty-six.",
    "It ends 23.11.2026 or 11/23/2026.": "It ends November twenty-third, twenty twenty-six or November twenty-third, twenty twenty-six.",
    "Trash on Nov 23 and the 1st of Dec.": "Trash on November twenty-third and the first of December.",
    "Due Mon, Jan 5, 2026 at 2026-01-05T07:30:00Z.": "Due Monday, January fifth, twenty twenty-six at January fifth, twenty twenty-six seven thirty AM.",
    "Built in 1999, sold in 2008, hip in the 1980s.": "Built in nineteen ninety-nine, sold in two thousand eight, hip in the nineteen eighties.",
    "The dishwasher needs 1h 30min.": "The dishwasher needs one hour and thirty minutes.",
    "Timer 00:12:30, up 2d 4h 10m.": "Timer twelve minutes and thirty seconds, up two days, four hours and ten minutes.",
    "Approx. 5 min. left, e.g. for tea.": "Approximately five minutes left, for example for tea.",
    # numbers
    "You walked 12,450 steps, 1/2 of your goal.": "You walked twelve thousand four hundred fifty steps, one half of your goal.",
    "Add 1 1/2 cups, then ¾ cup.": "Add one and a half cups, then three quarters cup.",
    "The 2nd and the 21st alarm, No. 5, #7.": "The second and the twenty-first alarm, number five, number seven.",
    "The score is 3-2, the picture 16:9.": "The score is three to two, the picture sixteen to nine.",
    "5 + 3 = 8, 9 - 4 = 5, 2 × 4 = 8.": "five plus three equals eight, nine minus four equals five, two times four equals eight.",
    "- 4 °C": "minus four degrees Celsius",
    "Kitchen - the light is on – really.": "Kitchen, the light is on, really.",
    "The bill is $42.50, €100 or £7.14.": "The bill is forty-two dollars and fifty cents, one hundred euros or seven pounds and fourteen pence.",
    "Power costs 0.32 €/kWh, the house $1.5M.": "Power costs thirty-two cents per kilowatt hour, the house one point five million dollars.",
    "Call 555-123-4567 or +1 555 123 4567.": "Call five five five, one two three, four five six seven or plus one, five five five, one two three, four five six seven.",
    "In an emergency dial 911.": "In an emergency dial nine one one.",
    "World War II, Louis XIV and Chapter IV.": "World War two, Louis the fourteenth and Chapter four.",
    "Humidity > 70 %, power < 5 W, ~10 min.": "Humidity over seventy percent, power under five watts, about ten minutes.",
    # names, marks, computers
    "WARNING: WATER LEAK in the BASEMENT! HVAC and TV are OFF.": "warning, water leak in the basement! HVAC and TV are off.",
    "living_room_window and binary_sensor.front_door are open": "living room window and front door are open",
    "Dr. Smith lives on Main St. at 5 St. James Ave.": "Doctor Smith lives on Main Street at five Saint James Avenue.",
    "Baker St. 5, Elm St. We meet at St. Paul on Oak St.": "Baker Street five, Elm Street. We meet at Saint Paul on Oak Street.",
    "THERE IS A LEAK, I AM HERE, NO ENTRY, plan A at 6 AM, Q&A.": "there is a leak, I am here, no entry, plan A at six AM, Q and A.",
    "Heat 72F, 5pm-7pm, arrives 11/24, $5/month.": "Heat seventy-two degrees Fahrenheit, five PM to seven PM, arrives November twenty-fourth, five dollars per month.",
    "Party 🎉 tonight!!! Really?? Yes…": "Party tonight! Really? Yes…",
    "See https://www.home-assistant.io/docs/?x=1 now.": "See home assistant dot io now.",
    "Write to anna.berg@example.com.": "Write to anna dot berg at example dot com.",
    "**Bold**, *italic*, `code` and [a link](http://example.com/x)": "Bold, italic, code and a link",
    "# Shopping\n- milk\n- 2 eggs\n\nThat's all": "Shopping. milk. two eggs. That's all",
    "The router 192.168.1.10 runs v2.10.3.": "The router one nine two dot one six eight dot one dot one zero runs version two point ten point three.",
    "Home Assistant 2026.11.3 is out.": "Home Assistant twenty twenty-six point eleven point three is out.",
    "Turn it on/off via Wi-Fi & the A/C too.": "Turn it on or off via why phi and the AC too.",
    "It’s 5 o’clock — time to go; bye": "It's five o'clock, time to go, bye",
    "Open 24/7, w/o a key, etc.": "Open twenty-four seven, without a key, et cetera.",
}  # fmt: skip


@pytest.mark.parametrize("text", ANNOUNCEMENTS)
def test_announcement_is_said_as_a_speaker_would(text: str) -> None:
    assert speakable(text, "en") == ANNOUNCEMENTS[text]


@pytest.mark.parametrize(
    "text",
    [
        "Good morning, the washing machine has finished its cycle.",
        "Someone is at the door!",
        "I'll be back in a minute, won't I?",
        'She said that the well-known "blue lamp" (the old one) is broken.',
        "No, on Sunday in May we may go to Lake Louise.",
        "It is sunny and bar stools are in the kitchen.",
    ],
)
def test_ordinary_prose_is_left_alone(text: str) -> None:
    assert speakable(text, "en") == text


def test_whole_numbers() -> None:
    said = [speakable(f"{n}", "en") for n in (0, 13, 20, 21, 100, 105, 1000, 1999, 10000, 1234567)]
    assert said == [
        "zero",
        "thirteen",
        "twenty",
        "twenty-one",
        "one hundred",
        "one hundred five",
        "one thousand",
        "one thousand nine hundred ninety-nine",
        "ten thousand",
        "one million two hundred thirty-four thousand five hundred sixty-seven",
    ]


def test_no_digit_is_left_in_numbers_and_times() -> None:
    numbers = [speakable(f"It is {n} now.", "en") for n in range(10_001)]
    times = [speakable(f"It is {m // 60:02}:{m % 60:02} now.", "en") for m in range(1440)]
    assert [said for said in numbers + times if re.search(r"[\d:]", said)] == []
    assert len(set(numbers)) == 10_001
    assert len(set(times)) == 1440
