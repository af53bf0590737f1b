"""The table of compatibility: every name of Modal's interface, what becomes of it here, and the proof."""
