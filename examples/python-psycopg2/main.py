"""Compiled against libpq in the build, which has no wheel of it; linked to libpq in the image."""

import psycopg2.extensions

print("libpq", psycopg2.extensions.libpq_version(), "is here")
