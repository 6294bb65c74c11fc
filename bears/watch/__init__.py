"""Watch a camera, a stream, a film or a folder of photos, and raise an alarm when one of some classes comes."""

import os

# Before cv2 is imported: what OpenCV and FFmpeg say of damaged frames and lost connections, the watch says in words.
os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
