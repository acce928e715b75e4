"""Fast computations, each beside its plain reference."""
