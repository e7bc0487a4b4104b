"""How this processor computes: tiles, vectors, memory and elementary functions."""
