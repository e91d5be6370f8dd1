"""lr-pipeline: finds an initial learning rate and a decay scheme by experiment, and says how sure it is."""
