"""Training and measuring: `loop.run_training` makes a model, `evaluation.evaluate` fills the table."""
