"""The stages of the chain. A stage's module has `run(context) -> result` and `summary(result)`, one line."""
