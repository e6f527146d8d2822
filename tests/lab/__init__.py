"""The home laboratory: a real Home Assistant and a real player, installed, run and listened to.

Test equipment, not product: `tests/e2e` proves with it and `script/demo --home` shows with it.
Read `home.py` first.
"""
