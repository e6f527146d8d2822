"""Language tags."""

from custom_components.gptsovits_tts.languages import spoken_tags


def test_regions_map_to_the_tag_the_service_knows() -> None:
    tags = spoken_tags(["en", "zh"])
    assert (tags["en"], tags["en-GB"], tags["zh-TW"]) == ("en", "en", "zh")
    assert "zh-HK" not in tags


def test_hong_kong_speaks_cantonese_where_the_service_does() -> None:
    assert spoken_tags(["zh", "yue"])["zh-HK"] == "yue"


def test_a_tag_of_the_service_itself_wins() -> None:
    assert spoken_tags(["en", "en-US"])["en-US"] == "en-US"


def test_an_unknown_language_is_offered_as_it_is() -> None:
    assert spoken_tags(["tlh"]) == {"tlh": "tlh"}
