"""The agent's language (docs/wire.md): questions as lines, and answers as observations."""
