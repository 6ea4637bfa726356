"""What serving costs: time to first audio, real-time factor, streams at once, and the server's share of a call."""
