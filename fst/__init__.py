"""fst: fast neural style transfer, from a painting to a webcam."""

__version__ = "0.1.0"
