"""Text before phonemes: cutting, grouping and the alphabets of GPT-SoVITS."""
