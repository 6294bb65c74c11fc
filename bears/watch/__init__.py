"""Watch a camera, a stream, a film or a folder of photos, and raise an alarm when one of your classes appears."""

import os

# Silence OpenCV and FFmpeg before cv2 is imported. This package itself reports damaged files and lost connections.
os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
