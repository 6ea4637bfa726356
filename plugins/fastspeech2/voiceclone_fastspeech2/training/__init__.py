"""The training recipe of fastspeech2: features, tasks, and the command ``voiceclone train fastspeech2``."""
