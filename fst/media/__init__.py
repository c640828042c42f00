"""Sources and sinks: photos and folders, videos, the webcam, a window, a page."""
