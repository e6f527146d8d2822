"""Home Assistant integrations of this repository; a package, so that the test kit finds it."""
