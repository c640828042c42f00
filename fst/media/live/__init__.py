"""A live webcam, in a window or on a page."""
