"""GPT-SoVITS as a library: text and a voice in, audio out."""
