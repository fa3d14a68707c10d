"""The agent's language (docs/wire.md): a question as a line, what comes back as an observation."""
