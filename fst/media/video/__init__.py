"""Films: decode, paint, encode."""
