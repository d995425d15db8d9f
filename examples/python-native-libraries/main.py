"""A PDF by cairo, its page as a picture by poppler, a tone by ffmpeg, and MariaDB's client: libraries that wheels do not bring."""

import io

import cairo
import MySQLdb
from pdf2image import convert_from_bytes
from pydub.generators import Sine

document = io.BytesIO()
surface = cairo.PDFSurface(document, 144, 72)
cairo.Context(surface).paint()
surface.finish()
(page,) = convert_from_bytes(document.getvalue(), dpi=72)

tone = io.BytesIO()
Sine(440).to_audio_segment(duration=100).export(tone, format="ogg")

print("page of", page.size, "pixels")
print("tone is", tone.getvalue()[:4].decode())
print("client of", "MariaDB" if MySQLdb.get_client_info() else "nobody")
