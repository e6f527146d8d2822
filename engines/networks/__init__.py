"""GPT-SoVITS networks in PyTorch, one file each; offline only, never imported to speak."""
