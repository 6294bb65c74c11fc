"""Watch a camera, a stream, a film or a folder of photos, and raise an alarm when it shows certain classes."""

import os

# Silence OpenCV and FFmpeg before cv2 is imported. The watch itself reports damaged frames and lost connections.
os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
