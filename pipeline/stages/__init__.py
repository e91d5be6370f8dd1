"""The stages of the chain. Each module has `run(context) -> result` and `summary(result)`, one line."""
