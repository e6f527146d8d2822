"""Language tags: Home Assistant matches them exactly, people speak in regions."""

from collections.abc import Iterable

# The tags that Home Assistant's languages and satellites ask for, beside the plain one.
_REGIONS = {
    "de": ("de-AT", "de-CH", "de-DE"),
    "en": ("en-AU", "en-CA", "en-GB", "en-IE", "en-IN", "en-NZ", "en-US"),
    "es": ("es-419", "es-ES", "es-MX"),
    "fr": ("fr-BE", "fr-CA", "fr-CH", "fr-FR"),
    "it": ("it-IT",),
    "ja": ("ja-JP",),
    "ko": ("ko-KR",),
    "nl": ("nl-BE", "nl-NL"),
    "pl": ("pl-PL",),
    "pt": ("pt-BR", "pt-PT"),
    "ru": ("ru-RU",),
    "yue": ("yue-HK", "zh-HK"),
    "zh": ("zh-CN", "zh-Hans", "zh-Hant", "zh-TW"),
}


def spoken_tags(languages: Iterable[str]) -> dict[str, str]:
    """Map every tag a user may name to the service's own tag for it.

    The service's own tags come first and win over the regions of another.
    """
    own = tuple(languages)
    tags = {language: language for language in own}
    for language in own:
        for region in _REGIONS.get(language, ()):
            tags.setdefault(region, language)
    return tags
